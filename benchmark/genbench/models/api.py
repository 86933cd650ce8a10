"""The `api` backend: any server that speaks the OpenAI-compatible protocol (vLLM, llama.cpp,
SGLang, hosted ones).

The weights are the server's and cannot be seen: what is recorded in their place is the server, and
what it says of its model.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from genbench.errors import ModelError, UsageError, closest
from genbench.models import api_wire
from genbench.models.api_client import ApiClient, RefusedError
from genbench.models.api_model import ApiModel
from genbench.models.api_options import ApiOptions, deciding
from genbench.models.interface import Backend, Identity, LoadOptions, Model
from genbench.task import fingerprint

_PREFIX = "api:"


class ApiBackend(Backend):
    """`--backend api --model NAME --model-args base_url=...`, or `--model api:NAME`.

    `NAME` is what the server calls the model. `--chat-template off` asks `/completions`.
    """

    name = "api"
    arguments = None
    reads_folders = False

    def deciding(self, options: LoadOptions) -> dict[str, str]:
        return deciding(options.arguments)

    def identify(self, name: str, options: LoadOptions) -> Identity:
        model = name.removeprefix(_PREFIX)
        if not model.strip():
            raise UsageError("--model api: needs the name that the server calls its model by")
        _refuse_local(options)
        chosen = ApiOptions.of(options.arguments)
        entry = _entry(model, chosen)
        meta = entry.get("meta")
        parameters = meta.get("n_params") if isinstance(meta, dict) else None
        return Identity(
            name=model,
            backend=self.name,
            weights_fingerprint=None,
            files_fingerprint=fingerprint({"server": chosen.server, "model": entry}),
            revision=chosen.revision,
            parameters=parameters if type(parameters) is int and parameters > 0 else None,
        )

    def check_workers(self, options: LoadOptions) -> None:
        raise UsageError(
            "--workers: the backend api asks several things at once by itself; --model-args "
            "concurrency=N says how many requests are in flight"
        )

    def load(self, identity: Identity, options: LoadOptions) -> Model:
        chosen = ApiOptions.of(options.arguments)
        return ApiModel(
            identity.name,
            chosen,
            ApiClient(chosen),
            chat=options.chat_template != "off",
            reported=_shown(_entry(identity.name, chosen)),
        )


def _refuse_local(options: LoadOptions) -> None:
    """Raise UsageError for options of weights that are loaded here."""
    of_the_server = {
        "--device": options.device != "auto",
        "--dtype": options.dtype != "auto",
        "--thinking-budget": options.thinking_budget is not None,
    }
    for option, given in of_the_server.items():
        if given:
            raise UsageError(f"{option} is not available with the backend api: it is the server's")
    if options.batch_size is not None:
        raise UsageError(
            "--batch-size: the server makes its own batches; --model-args concurrency=N says how "
            "many requests it is sent at once"
        )


def _entry(model: str, options: ApiOptions) -> dict[str, Any]:
    """What the server's list says of a model. Raises ModelError where it is not there.

    Empty where the server has no list, or where it is not to be looked at (`listed=false`).
    """
    if not options.listed:
        return {}
    client = ApiClient(options)
    try:
        entries = client.get("/models", api_wire.listed)
    except RefusedError as error:
        if error.status in (404, 405, 501):
            return {}  # the first request will tell
        raise
    finally:
        client.close()
    for entry in entries:
        if entry["id"] == model:
            return api_wire.reported(entry)
    names = [client.shown(entry["id"]) for entry in entries]
    raise ModelError(
        f"{options.base_url} serves no model '{model}'; {closest(model, names)}. If it answers "
        "to names that it does not list: --model-args listed=false"
    )


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    """As a run file has it: of a folder on the server, its name alone."""
    return {
        name: PurePath(value).name
        if isinstance(value, str) and name != "id" and value.startswith(("/", "~"))
        else value
        for name, value in entry.items()
    }
