"""The reward tables of an environment, chosen by its setting `reward`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genbench.task import TaskError, closest

#: outcome -> reward; what a table does not name has that of `other`
Rewards = Mapping[str, float]


def chosen_rewards(settings: Mapping[str, Any], tables: Mapping[str, Rewards]) -> Rewards:
    """The table that the settings name, `outcome` by default. Raises TaskError."""
    name = settings.get("reward", "outcome")
    if name not in tables:
        raise TaskError(f"no reward table '{name}'; {closest(str(name), tables)}")
    return tables[name]
