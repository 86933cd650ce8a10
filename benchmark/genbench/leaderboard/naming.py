"""What is published names no path of the machine that it was made on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genbench.errors import UsageError
from genbench.results import Results
from genbench.store import RESULTS, RUN

_LOCAL = re.compile(r"[/~]|\.{1,2}/|[A-Za-z]:[\\/]|\\\\|file:")
_PROSE = ("system", "stop", "prompt", "first_prompt")  # texts may begin with a slash


def named(results: Results, name: str | None) -> Results:
    """The results under a public name. Raises UsageError where the name is empty, or where there
    is none and the run's own is a path."""
    if name is not None:
        if not name.strip():
            raise UsageError("--name: an empty name names nothing")
        results = results.model_copy(
            update={"model": results.model.model_copy(update={"name": name})}
        )
    _refuse({"model": {"name": results.model.name}}, f"{RESULTS}: ")
    return results


def public(
    results: Results, header: Mapping[str, Any], name: str | None
) -> tuple[Results, dict[str, Any]]:
    """Both files under the public name. Raises UsageError where a path of this machine is left."""
    results = named(results, name)
    if name is not None:
        header = {**header, "model": {**header["model"], "name": name}}
    execution = dict(header["execution"])
    if "source" in execution:  # the file that responses were imported from
        execution["source"] = Path(str(execution["source"])).name
    shown = {**header, "execution": execution}
    raw = results.model_dump(mode="json")
    _refuse(shown, f"{RUN}: ")
    _refuse({key: raw[key] for key in ("model", "task", "settings", "sampling")}, f"{RESULTS}: ")
    return results, shown


def _refuse(value: Any, where: str) -> None:
    for place, text in _local(value, where):
        advice = (
            "publish it under a name with --name"
            if place.endswith("model.name")
            else "nobody else could use it: make the run with a hub id or a relative path"
        )
        raise UsageError(f"{place} is '{text}', a path of this machine; {advice}")


def _local(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """The texts below `value` that are paths of this machine, and their places."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _PROSE:
                yield from _local(item, f"{where}{'' if where.endswith(' ') else '.'}{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _local(item, f"{where}[{index}]")
    elif isinstance(value, str) and (_LOCAL.match(value) or _at_home(value)):
        yield where, value


def _at_home(text: str) -> bool:
    home = str(Path.home())
    return len(home) > 1 and f"{home}{os.sep}" in text
