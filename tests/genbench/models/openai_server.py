"""A real OpenAI-compatible server on 127.0.0.1 for a tiny checkpoint, and what can go wrong.

Text is answered by transformers itself, one prompt at a time, so that it is a reference of its
own; prompts with images by genbench's default backend.
"""

import base64
import json
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

from asking import load

from genbench.models.interface import Request
from genbench.task import Image, Message


class Speaker:
    """Answers of a checkpoint to the bodies of requests; each distinct one is computed once."""

    def __init__(self, folder):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.folder = folder
        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.context = self.model.config.max_position_embeddings
        self.lock = threading.Lock()
        self.known = {}

    def prompt_ids(self, path, body):
        if path.endswith("/chat/completions"):
            return self.tokenizer.apply_chat_template(
                body["messages"],
                add_generation_prompt=True,
                return_tensors="pt",
                return_dict=True,
            )["input_ids"]
        return self.tokenizer(body["prompt"], return_tensors="pt")["input_ids"]

    def answer(self, path, body):
        """(text, finish reason, prompt tokens, generated tokens); a sentence where it is too
        long."""
        key = json.dumps([path, body], sort_keys=True)
        with self.lock:
            if key not in self.known:
                self.known[key] = self._answer(path, body)
            return self.known[key]

    def _answer(self, path, body):
        torch, end = self.torch, self.tokenizer.eos_token_id
        ids = self.prompt_ids(path, body)
        size, limit = ids.shape[1], body["max_tokens"]
        if size + limit > self.context:
            return (
                f"This model's maximum context length is {self.context} tokens. However, you "
                f"requested {size + limit} tokens ({size} in the messages, {limit} in the "
                "completion)."
            )
        sampled = body.get("temperature", 1) > 0
        if sampled:
            torch.manual_seed(body["seed"])
        settings = {"temperature": body["temperature"], "top_p": body["top_p"]} if sampled else {}
        with torch.inference_mode():
            whole = self.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=sampled,
                max_new_tokens=limit,
                pad_token_id=end,
                **settings,
            )
        new = whole[0, size:].tolist()
        reason = "stop" if new[-1] == end else "length"
        text = self.tokenizer.decode(new, skip_special_tokens=True)
        for count in range(1, len(new) + 1):
            said = self.tokenizer.decode(new[:count], skip_special_tokens=True)
            places = [said.find(stop) for stop in body.get("stop", ()) if stop in said]
            if places:
                return said[: min(places)], "stop", size, count
        return text, reason, size, len(new)


class Seer:
    """As a Speaker, of a checkpoint that reads images, through genbench's default backend."""

    def __init__(self, folder):
        self.model, self.lock = load(folder), threading.Lock()

    def answer(self, path, body):
        messages = tuple(self._message(message) for message in body["messages"])
        request = Request("e", 0, 0, messages, body["max_tokens"])
        with self.lock:
            (found,) = self.model.generate([request])
        return found.text, found.finish_reason, found.prompt_tokens, found.generated_tokens

    @staticmethod
    def _message(raw):
        if isinstance(raw["content"], str):
            return Message(raw["role"], raw["content"])
        parts = []
        for part in raw["content"]:
            if part["type"] == "text":
                parts.append(part["text"])
                continue
            head, data = part["image_url"]["url"].split(";base64,")
            parts.append(Image(base64.b64decode(data, validate=True), head.removeprefix("data:")))
        return Message(raw["role"], tuple(parts))


class Server(ThreadingHTTPServer):
    """Serves `speaker` as the model `name`.

    `fault(number, path, body)` may name what goes wrong with a request (a method of `Handler`),
    `list_faults` what goes wrong when the list of models is asked for; `seen` counts the bodies
    that came, `faults` what went wrong.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self, speaker, name="tiny", *, key=None, fault=None, list_faults=(), entry=None, delay=0.0
    ):
        super().__init__(("127.0.0.1", 0), Handler)
        self.speaker, self.name, self.key, self.delay = speaker, name, key, delay
        self.fault = fault or (lambda number, path, body: None)
        self.list_faults = list(list_faults)
        self.entry = {"id": name, "object": "model", "owned_by": "tests", **(entry or {})}
        self.model_said, self.system_fingerprint = name, "fp_1"
        self.lock = threading.Lock()
        self.number = self.active = self.most_active = 0
        self.seen, self.faults, self.bodies, self.times = Counter(), Counter(), [], []
        self.hanging = threading.Event()

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request, client_address):
        """A client that hangs up is no fault of the server's."""


@contextmanager
def serving(speaker, name="tiny", **settings):
    server = Server(speaker, name, **settings)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.hanging.set()
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    # -- what comes -----------------------------------------------------------------------------

    def do_GET(self):
        if not self._allowed():
            return
        if self.path == "/v1/models":
            if self.server.list_faults:
                getattr(self, self.server.list_faults.pop())()
                return
            # `created` is the server's clock, as with vLLM.
            entry = {**self.server.entry, "created": time.time_ns()}
            self._json(200, {"object": "list", "data": [entry]})
        else:
            self._json(404, {"detail": "Not Found"})

    def do_POST(self):
        server = self.server
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._allowed():
            return
        if self.path not in ("/v1/chat/completions", "/v1/completions"):
            self._json(404, {"detail": "Not Found"})
            return
        with server.lock:
            server.number += 1
            number = server.number
            server.active += 1
            server.most_active = max(server.most_active, server.active)
            server.seen[json.dumps(self.body, sort_keys=True)] += 1
            server.bodies.append(self.body)
            server.times.append(time.monotonic())
        try:
            if server.delay:
                time.sleep(server.delay)
            fault = server.fault(number, self.path, self.body)
            if fault:
                with server.lock:
                    server.faults[fault] += 1
                getattr(self, fault)()
            else:
                self._answer()
        finally:
            with server.lock:
                server.active -= 1

    def _allowed(self):
        key = self.server.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        # As careless as a server can be: it shows the key that it was given.
        self._json(401, {"error": {"message": f"Incorrect API key provided: {given}"}})
        return False

    # -- what goes ------------------------------------------------------------------------------

    def _send(self, status, kind, content, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def _json(self, status, value, **headers):
        self._send(status, "application/json", json.dumps(value).encode(), **headers)

    def reply(self):
        found = self.server.speaker.answer(self.path, self.body)
        if isinstance(found, str):
            return None, found
        text, reason, prompt, generated = found
        choice = {"index": 0, "finish_reason": reason}
        if self.path.endswith("/chat/completions"):
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": generated,
            "total_tokens": prompt + generated,
        }
        return {
            "id": "x",
            "model": self.server.model_said,
            "system_fingerprint": self.server.system_fingerprint,
            "choices": [choice],
            "usage": usage,
        }, None

    def whole(self):
        """What a sound server would say."""
        return self.reply()[0] if self.command == "POST" else {"object": "list", "data": []}

    def _answer(self):
        if self.body["model"] != self.server.name:
            message = f"The model `{self.body['model']}` does not exist."
            self._json(404, {"error": {"message": message, "code": "model_not_found"}})
            return
        found, refusal = self.reply()
        if refusal is not None:
            self._json(400, {"error": {"message": refusal, "type": "BadRequestError"}})
            return
        self._json(200, found)

    # -- what can go wrong ----------------------------------------------------------------------

    def busy(self):
        self._json(429, {"error": {"message": "slow down"}}, Retry_After="0")

    def busy_for_a_second(self):
        self._json(429, {"error": {"message": "slow down"}}, Retry_After="1")

    def busy_for_an_hour(self):
        self._json(429, {"error": {"message": "come back later"}}, Retry_After="3600")

    def spent(self):
        error = {"message": "You exceeded your current quota", "code": "insufficient_quota"}
        self._json(429, {"error": error})

    def broken(self):
        self._send(500, "text/html", b"<h1>Internal Server Error</h1>")

    def unavailable(self):
        self._json(503, {"error": "loading the model"})

    def hang(self):
        self.server.hanging.wait(30)

    def drip(self):
        """A byte now and then, for longer than anyone waits."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(300):
            if self.server.hanging.wait(0.1):
                return
            self.wfile.write(b" ")

    def cut(self):
        """The connection breaks in the middle of the body."""
        content = json.dumps(self.whole()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True

    def reset(self):
        """A TCP reset before any answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def malformed(self):
        content = json.dumps(self.whole()).encode()
        self._send(200, "application/json", content[:-7])

    def no_choices(self):
        self._json(200, {**self.reply()[0], "choices": []})

    def no_text(self):
        self._json(200, {**self.reply()[0], "choices": [{"finish_reason": "stop"}]})

    def a_list(self):
        self._json(200, [1, 2])

    def a_page(self):
        self._send(200, "text/html", b"<html>Please log in</html>")

    def not_gzip(self):
        self._send(200, "application/json", b"no gzip", Content_Encoding="gzip")

    def aborted(self):
        found = self.reply()[0]
        found["choices"][0]["finish_reason"] = "abort"
        self._json(200, found)

    def slow(self):
        time.sleep(0.15)
        self._answer()


#: what a request outlives
PASSING = (
    "busy", "broken", "unavailable", "cut", "reset", "malformed", "no_choices", "no_text",
    "a_list", "a_page", "not_gzip", "aborted", "slow",
)  # fmt: skip


def flaky(seed, kinds=PASSING, share=0.4, most=3):
    """Faults for a share of all tries, at most so many for one and the same request."""
    lock, stream, suffered = threading.Lock(), Random(seed), Counter()

    def fault(number, path, body):
        key = json.dumps(body, sort_keys=True)
        with lock:
            if stream.random() >= share or suffered[key] >= most:
                return None
            suffered[key] += 1
            return stream.choice(kinds)

    return fault
