"""What a board is: `leaderboards/<board>.yaml`, validated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from genbench.errors import GenbenchError, UsageError, closest
from genbench.leaderboard.formats import plain
from genbench.leaderboard.ranking import RankMetric, rank_metric
from genbench.leaderboard.values import check_path, steps
from genbench.registry import load_spec
from genbench.settings import RunSettings
from genbench.task import Protocol
from genbench.yamlfile import read_mapping

TASK_SETTINGS = "task_settings"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_TAKEN = ("readme",)  # the index of the folder, where a file system does not tell case
_COLUMNS = (
    "task", "task_version", "rank", "tied", "model", "backend", "weights_fingerprint", "n",
    "clusters", "tier", "regenerated", "contamination", "genbench_version", "run", "episodes",
)  # fmt: skip
_PARTS = ("", " low", " high", " p")  # of a column, in the CSV
_AT = re.compile(r"\.success_at\.(\d+)(?:\.value)?$")


class BoardError(GenbenchError):
    """A board's definition is wrong."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RankBy(_Strict):
    """What orders the rows; it must be a metric whose difference can be tested."""

    metric: str
    direction: Literal["higher", "lower"] = "higher"

    @field_validator("metric")
    @classmethod
    def _can_be_tested(cls, path: str) -> str:
        rank_metric(path)
        return path


class Column(_Strict):
    """A column: a label and a dotted path into results.json."""

    label: str = Field(min_length=1, max_length=40)
    metric: str
    format: Literal["auto", "percent"] = Field(
        default="auto", description="percent shows a plain share as a percentage"
    )


class Eligibility(_Strict):
    """What a run must hold to be a row."""

    settings: dict[str, Any] = Field(
        default_factory=dict, description="setting -> its value, or a list of those allowed"
    )
    tier: Literal["rescored", "regenerated"] = "rescored"
    contamination: tuple[Literal["proven", "declared", "unknown"], ...] = Field(
        default=("proven", "declared", "unknown"), min_length=1
    )
    max_overlap: int | None = Field(
        default=0, ge=0, description="problems of the test that were in training; null: any"
    )

    def allowed(self, setting: str) -> list[Any]:
        """The values of a setting that a row may have."""
        # A board that names no settings of the task takes the task as its file has it.
        found = {TASK_SETTINGS: {}, **self.settings}[setting]
        return found if isinstance(found, list) else [found]


class _BoardFile(_Strict):
    title: str = Field(min_length=1, max_length=120)
    description: str = ""
    tasks: tuple[str, ...] = Field(min_length=1)
    rank_by: RankBy
    columns: tuple[Column, ...] = Field(min_length=1)
    eligibility: Eligibility = Eligibility()
    references: tuple[str, ...] = Field(
        default=(), description="backends whose runs calibrate the board and are not ranked"
    )


class Board(_BoardFile):
    """A board and its name, that of its file."""

    name: str

    @property
    def ranked(self) -> RankMetric:
        return rank_metric(self.rank_by.metric)


def load_boards(folder: Path, names: Sequence[str] = ()) -> list[Board]:
    """The boards of a folder (all, or those named), by name.

    Raises UsageError for an unknown name, with the closest, and BoardError for a wrong file.
    """
    if not folder.is_dir():
        raise UsageError(
            f"there is no folder of boards {folder}; give it with --boards, or work in a clone of "
            "the repository"
        )
    for path in sorted(folder.glob("*.yml")):
        raise BoardError(f"the board {path}: a board's file ends in .yaml; rename it")
    paths = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    for name in names:
        if name not in paths:
            raise UsageError(f"there is no board '{name}' in {folder}; {closest(name, paths)}")
    if not paths:
        raise UsageError(f"the folder {folder} holds no board (*.yaml)")
    boards = {name: load_board(path) for name, path in paths.items()}
    _refuse_equal_titles(boards.values(), folder)
    return [board for name, board in boards.items() if not names or name in names]


def _refuse_equal_titles(boards: Iterable[Board], folder: Path) -> None:
    seen: dict[str, str] = {}
    for board in boards:
        other = seen.setdefault(plain(board.title).casefold(), board.name)
        if other != board.name:
            raise BoardError(
                f"the boards {folder / other}.yaml and {folder / board.name}.yaml have one title; "
                "an index could not tell them apart: rename one"
            )


def load_board(path: Path) -> Board:
    """A board from its file. Raises BoardError with every fault and its place."""
    where = f"the board {path}"
    if not _NAME.fullmatch(path.stem):
        raise BoardError(f"{where}: a board's name has a-z, 0-9 and - only")
    if path.stem in _TAKEN:
        raise BoardError(f"{where}: the name {path.stem} is the index's; choose another")
    raw = read_mapping(path, "the board", BoardError)
    try:
        board = Board(name=path.stem, **_BoardFile.model_validate(raw).model_dump())
    except ValidationError as error:
        raise BoardError(f"{where} is wrong: {'; '.join(_faults(error))}") from None
    faults = _repeated(board) + _settings_faults(board) + _metric_faults(board)
    if faults:
        raise BoardError(f"{where} is wrong: {'; '.join(faults)}")
    return board


def _faults(error: ValidationError) -> list[str]:
    found = []
    for fault in error.errors():
        place = ".".join(map(str, fault["loc"])) or "board"
        text = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            *above, key = fault["loc"]
            text = f"there is no such key; {closest(str(key), _keys_at(above))}"
        found.append(f"{place}: {text}")
    return found


def _keys_at(place: Sequence[int | str]) -> list[str]:
    kinds: Mapping[str, type[BaseModel]] = {
        "rank_by": RankBy,
        "columns": Column,
        "eligibility": Eligibility,
    }
    return list((kinds[str(place[0])] if place else _BoardFile).model_fields)


def _repeated(board: Board) -> list[str]:
    """Names that would stand for two things in a table."""
    faults = [
        f"tasks.{number}: {task} is listed twice"
        for number, task in enumerate(board.tasks)
        if task in board.tasks[:number]
    ]
    labels = dict.fromkeys(_COLUMNS, "every board")
    metrics: dict[tuple[str, ...], str] = {}
    for number, column in enumerate(board.columns):
        place, label = f"columns.{number}", plain(column.label)
        names = [(label + part).strip() for part in _PARTS]
        taken = next((name for name in names if name in labels), None)
        if taken is not None:
            faults.append(f"{place}.label: '{taken}' is the name of a column of {labels[taken]}")
        labels |= dict.fromkeys(names, place)
        other = metrics.setdefault(tuple(steps(column.metric)), place)
        if other != place:
            faults.append(f"{place}.metric: {other} shows '{column.metric}' already")
    return faults


def _settings_faults(board: Board) -> list[str]:
    faults = []
    for name in board.eligibility.settings:
        place = f"eligibility.settings.{name}"
        if name not in RunSettings.model_fields:
            faults.append(f"{place}: no such setting; {closest(name, RunSettings.model_fields)}")
        elif not board.eligibility.allowed(name):
            faults.append(f"{place}: an empty list allows no run")
    fixed = {
        name for name in board.eligibility.settings if len(board.eligibility.allowed(name)) == 1
    }
    if board.ranked.is_gap and not {"protocol", "limit"} <= fixed:
        faults.append(
            "rank_by.metric: gaps are compared pair by pair, so eligibility.settings must fix "
            "protocol and limit, each to one value"
        )
    return faults


def _metric_faults(board: Board) -> list[str]:
    """Paths that no run of the board's tasks has; tasks and protocols that do not exist."""
    faults: list[str] = []
    for position, task in enumerate(board.tasks):
        if task.endswith((".yaml", ".yml")):
            faults.append(f"tasks.{position}: a board's tasks are installed ones, not files")
            continue
        try:
            protocols = load_spec(task).protocols
        except UsageError as error:
            faults.append(f"tasks.{position}: {error}")
            continue
        settings = board.eligibility.settings
        allowed = board.eligibility.allowed("protocol") if "protocol" in settings else protocols
        for name in allowed:
            if name not in protocols:
                faults.append(
                    f"eligibility.settings.protocol: the task '{task}' has no protocol '{name}'; "
                    f"{closest(str(name), protocols)}"
                )
            else:
                faults += _path_faults(board, task, protocols[name])
    return list(dict.fromkeys(faults))


def _path_faults(board: Board, task: str, protocol: Protocol) -> list[str]:
    keys = {
        "splits": [split.name for split in protocol.splits],
        "generalization": [split.name for split in protocol.splits if split.role == "ood"],
    }
    places = {"rank_by.metric": board.rank_by.metric}
    places |= {
        f"columns.{number}.metric": column.metric for number, column in enumerate(board.columns)
    }
    faults = _too_many_attempts(board, places)
    for place, path in places.items():
        try:
            check_path(path, keys)
        except ValueError as error:
            faults.append(f"{place}: {error} (task {task}, protocol {protocol.name})")
    if board.ranked.is_gap and not protocol.paired:
        faults.append(
            f"rank_by.metric: the protocol {protocol.name} of {task} is not paired, so its gaps "
            "cannot be compared pair by pair"
        )
    return faults


def _too_many_attempts(board: Board, places: Mapping[str, str]) -> list[str]:
    if "verify_iters" not in board.eligibility.settings:
        return []
    most = max((n for n in board.eligibility.allowed("verify_iters") if type(n) is int), default=0)
    return [
        f"{place}: '{path}' needs {found[1]} attempts; eligibility.settings.verify_iters gives at "
        f"most {most}"
        for place, path in places.items()
        if (found := _AT.search(path)) and int(found[1]) > most
    ]
