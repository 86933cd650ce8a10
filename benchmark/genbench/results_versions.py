"""Results of older schema versions, read as those of the present one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genbench.results import SCHEMA_VERSION

READABLE = (1, 2, SCHEMA_VERSION)
_NOT_IN_1 = "results of schema version 1 do not hold it; run the same command in another --output"


def upgraded(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a readable `results.json` under the present schema; what an older version
    did not hold is null. Content of another shape is left for validation to name."""
    return as_of(raw, raw["schema_version"])


def as_of(raw: Mapping[str, Any], version: int) -> dict[str, Any]:
    """`raw` without what `version` did not hold, in the present schema."""
    found = {**raw, "schema_version": SCHEMA_VERSION}
    if version < 2:
        absent = {"retention": None, "retention_reason": _NOT_IN_1}
        found["splits"] = _each(found.get("splits"), {"outcome_rates": None})
        found["generalization"] = _each(found.get("generalization"), absent)
    if version < 3:
        gaps = {"perception_gap": None, "gap_given_perception": None, "steps": None}
        new = {"level": None, "success_given_perception": None, "steps": None}
        found["splits"] = _each(found.get("splits"), new)
        found["generalization"] = _each(found.get("generalization"), gaps)
    return found


def _each(parts: Any, values: Mapping[str, Any]) -> Any:
    if not isinstance(parts, Mapping):
        return parts
    return {
        name: {**part, **values} if isinstance(part, Mapping) else part
        for name, part in parts.items()
    }
