"""Settings of a task that are given beside its file (`--set key=value`).

A split's own settings stand over the task's. So what a split sets cannot be given beside the file:
it would change the other splits alone, and with them what the shift is of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.errors import UsageError
from genbench.task import Protocol, TaskSpec

_NAMED = 3


def overridden(
    settings: Mapping[str, Any], given: Mapping[str, Any], merged: Sequence[str]
) -> dict[str, Any]:
    """`settings` with those that are given; of the settings in `merged`, the parts that are."""
    found = {**settings, **given}
    for key in merged:
        own, more = settings.get(key), given.get(key)
        if isinstance(own, Mapping) and isinstance(more, Mapping):
            found[key] = {**own, **more}
    return found


def refuse_fixed(
    spec: TaskSpec, protocol: str, given: Mapping[str, Any], merged: Sequence[str], path: Path
) -> None:
    """Raise UsageError for a given setting that splits of the protocol set themselves."""
    paths = dict.fromkeys(_paths(given, merged))
    for setting in paths:
        by = _set_by(spec.protocols[protocol], setting, merged)
        if not by:
            continue
        free = [
            f"'{name}'"
            for name, other in spec.protocols.items()
            if not _set_by(other, setting, merged)
        ]
        raise UsageError(
            f"--set {'.'.join(setting)}: {_named('split', by)} of {spec.name} ({protocol}) "
            f"set{'s' if len(by) == 1 else ''} it, and what a split sets stands: "
            f"{_effect(spec.protocols[protocol], by)}. For another value, change a copy of {path} "
            "and give that as --task"
            + (f"; or choose another --protocol: {', '.join(free)}" if free else "")
        )


def _paths(settings: Mapping[str, Any], merged: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """What is set, by its key; of the settings in `merged`, each part."""
    for key, value in settings.items():
        if key in merged and isinstance(value, Mapping):
            yield from ((key, str(part)) for part in value)
        else:
            yield (key,)


def _set_by(protocol: Protocol, setting: tuple[str, ...], merged: Sequence[str]) -> list[str]:
    """The splits that set it. A whole is set by whoever sets a part of it, and the reverse."""
    return [
        split.name
        for split in protocol.splits
        if any(own[: len(setting)] == setting[: len(own)] for own in _paths(split.settings, merged))
    ]


def _named(what: str, names: Sequence[str]) -> str:
    """`the split 'ood'`, `the splits 'id' and 'ood'`."""
    quoted = [f"'{name}'" for name in names]
    if len(quoted) == 1:
        return f"the {what} {quoted[0]}"
    return f"the {what}s {', '.join(quoted[:-1])} and {quoted[-1]}"


def _effect(protocol: Protocol, by: Sequence[str]) -> str:
    others = [split.name for split in protocol.splits if split.name not in by]
    if not others:
        return "--set would change nothing"
    which = _named("split", others) if len(others) <= _NAMED else "the other splits"
    return f"--set would change {which} alone, and with that what the shift is of"
