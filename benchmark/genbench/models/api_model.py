"""A server's model behind genbench's interface: as many requests in flight as it bears.

A conversation that goes on is asked before new ones: the server may still hold its beginning.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from genbench.errors import GenbenchError, IncompleteError, ModelError
from genbench.models import api_wire
from genbench.models.api_client import (
    ApiClient,
    RefusedError,
    StoppedError,
    UnansweredError,
)
from genbench.models.api_options import ApiOptions
from genbench.models.interface import Model, Request, Response
from genbench.task import Task

NO_DETERMINISM = (
    "not promised: the weights are the server's, and floats may depend on which requests it "
    "computes together"
)


class ApiModel(Model):
    """One model of one server."""

    def __init__(
        self,
        name: str,
        options: ApiOptions,
        client: ApiClient,
        *,
        chat: bool,
        reported: Mapping[str, Any],
    ) -> None:
        """`reported` is what the server says of the model."""
        self._name, self._options, self._client, self._chat = name, options, client, chat
        self._reported = reported
        self._lock = threading.Lock()
        self._asked: list[tuple[int, int, int, Request]] = []  # a heap
        self._tickets = itertools.count()
        self._workers = 0
        self._answered = False  # some request, ever
        self._answered_lately = False  # since one was given up
        self._done: queue.SimpleQueue[tuple[Request, Response] | GenbenchError] = (
            queue.SimpleQueue()
        )
        self._fault: GenbenchError | None = None
        self._tally = Tally(options)

    # -- requests -------------------------------------------------------------------------------

    def start(self, task: Task) -> None:
        self._tally = Tally(self._options)
        self._client.forget()

    def submit(self, requests: Sequence[Request]) -> None:
        for request in requests:
            if request.known is not None:
                self._done.put((request, request.known))
                continue
            if not self._chat:
                api_wire.plain_text(request.messages)  # refused here, where it cannot be asked
            with self._lock:
                heapq.heappush(
                    self._asked, (-request.turn, request.order, next(self._tickets), request)
                )
        with self._lock:
            wanted = min(len(self._asked), self._options.concurrency - self._workers)
            self._workers += wanted
        for _ in range(wanted):
            threading.Thread(target=self._work, name="genbench-api", daemon=True).start()

    def receive(self) -> Sequence[tuple[Request, Response]]:
        """What is finished. What came before a fault is handed over first."""
        if self._fault is not None:
            raise self._fault
        found = [self._done.get()]
        while not self._done.empty():
            found.append(self._done.get())
        answers = []
        for item in found:
            if isinstance(item, GenbenchError):
                self._fault = self._fault or item
                continue
            request, response = item
            other = self._tally.add(response)
            if other is not None:
                # The answer of another model is not kept.
                self._stop()
                self._fault = self._fault or IncompleteError(other)
                continue
            answers.append((request, response))
        if answers:
            return answers
        assert self._fault is not None
        raise self._fault

    def _work(self) -> None:
        """Answer requests until there are none."""
        while True:
            with self._lock:
                if not self._asked:
                    self._workers -= 1
                    return
                request = heapq.heappop(self._asked)[-1]
            try:
                self._done.put((request, self._answer(request)))
            except StoppedError:
                continue  # the queue was emptied, too
            except GenbenchError as error:
                self._stop()
                self._done.put(error)
            except BaseException as error:  # a thread's own would be lost
                self._stop()
                self._done.put(
                    ModelError(f"the backend 'api' failed: {type(error).__name__}: {error}")
                )
                raise

    def _stop(self) -> None:
        """Ask nothing more."""
        with self._lock:
            self._asked.clear()
        self._client.stop()

    def _body(self, request: Request, room: int) -> Any:
        return api_wire.body(self._name, self._options, request, chat=self._chat, room=room)

    def _answer(self, request: Request) -> Response:
        """The response; one with an error where this request alone fails.

        Raises GenbenchError where the run cannot go on.
        """
        room = request.max_new_tokens
        while True:
            try:
                found = self._ask(request, room)
            except RefusedError as refused:
                if api_wire.filtered(refused.code):
                    # That is the answer to this prompt: it would be refused again.
                    return Response("", "stop", None, 0, origin={"filter": refused.code})
                too_long = api_wire.over_context(refused.detail, refused.code)
                if too_long and request.turn > 0:
                    # The conversation has outgrown the context: less room, while there is any.
                    room //= 2
                    if room == 0:
                        return Response("", "length", None, 0)
                    continue
                if refused.of_all or too_long or not self._answered:
                    raise self._final(refused, request) from None
                return Response("", "error", error=str(refused))
            except UnansweredError as error:
                # Where others are answered, it is this request's own misfortune.
                with self._lock:
                    others, self._answered_lately = self._answered_lately, False
                if not others:
                    raise IncompleteError(
                        f"{error}. The turns finished before are on disk: run the same command "
                        "again to go on"
                    ) from None
                return Response("", "error", error=str(error))
            else:
                self._answered = self._answered_lately = True
                return found

    def _ask(self, request: Request, room: int) -> Response:
        path = api_wire.CHAT if self._chat else api_wire.COMPLETIONS
        return self._client.post(
            path,
            self._body(request, room),
            lambda found: api_wire.answer(found, chat=self._chat, stops=request.stop, room=room),
        )

    def _final(self, refused: RefusedError, request: Request) -> GenbenchError:
        """What ends the run."""
        too_long = api_wire.over_context(refused.detail, refused.code)
        if self._answered and not too_long:
            return IncompleteError(
                f"{refused}. The turns finished before are on disk: run the same command again "
                "to go on"
            )
        advice = ""
        if self._chat and "template" in refused.detail.lower():
            advice = "; a model without a chat template is asked with --chat-template off"
        elif "max_completion_tokens" in refused.detail:
            advice = "; --model-args token_limit=max_completion_tokens"
        elif too_long:
            advice = (
                f"; that is {request.episode} with --max-new-tokens {request.max_new_tokens}: ask "
                "for less, or serve the model with a longer context"
            )
        return ModelError(f"{refused}{advice}")

    # -- what is recorded -----------------------------------------------------------------------

    def rendered(self, request: Request) -> Mapping[str, Any]:
        """The body that is sent, images by their SHA-256; the server alone knows token ids."""
        sent = self._body(request, request.max_new_tokens)
        return {
            "text": sent.get("prompt"),
            "ids": None,
            "chat_template": self._chat,
            "request": api_wire.recorded(sent),
        }

    def execution(self) -> Mapping[str, Any]:
        return {
            "server": self._options.server,
            "endpoint": api_wire.CHAT if self._chat else api_wire.COMPLETIONS,
            "reported": dict(self._reported),
            "determinism": NO_DETERMINISM,
        }

    def sampling(self) -> Mapping[str, Any]:
        return {
            "chat_template": self._chat,
            "body": dict(self._options.body or {}),
            "seed_bits": api_wire.SEED_BITS,
            "others": "the server's own: this backend sends no further sampling parameter",
        }

    def events(self) -> Mapping[str, Any]:
        """Tokens, cost and origins over all sessions; retries of the last one."""
        return {
            **self._tally.record(),
            "concurrency": self._options.concurrency,
            "lowest_concurrency": self._client.lowest_concurrency,
            "retries": self._client.retries(),
        }

    def close(self) -> None:
        self._client.close()


class Tally:
    """What the responses of a run cost, and who gave them; journalled ones count, too."""

    def __init__(self, options: ApiOptions) -> None:
        self._prices = options.prices
        self._server = options.server
        self._responses = self._unknown = self._prompt = self._generated = 0
        self._origins: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, response: Response) -> str | None:
        """Count a response in; a sentence, and no count, where another model gave it."""
        if response.finish_reason == "error":
            return None
        origin = response.origin or {}
        model, before = origin.get("model"), next(iter(self._origins["model"]), None)
        if model is not None and before is not None and model != before:
            return (
                f"{self._server} answers as '{model}' now, and answered as '{before}' before: a "
                "run is of one model. The turns finished before are on disk; run the same "
                "command again if the first one is back, or start anew with --no-resume"
            )
        for name, value in origin.items():
            self._origins[name][value] += 1
        self._responses += 1
        if "cache" in origin:  # this run has not paid for it
            return None
        if response.prompt_tokens is None or response.generated_tokens is None:
            self._unknown += 1
        self._prompt += response.prompt_tokens or 0
        self._generated += response.generated_tokens or 0
        return None

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "responses": self._responses,
            "prompt_tokens": self._prompt,
            "generated_tokens": self._generated,
            "responses_without_token_counts": self._unknown,
            "origins": {
                name: dict(sorted(counts.items())) for name, counts in sorted(self._origins.items())
            },
        }
        if self._prices is not None:
            found["cost"] = {
                "prompt_price_per_million": self._prices.prompt,
                "generated_price_per_million": self._prices.generated,
                "total": round(self._prices.cost(self._prompt, self._generated), 6),
            }
        return found
