"""A board's rows from published runs: values, ranks and what they rest on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from genbench.leaderboard.definition import Board
from genbench.leaderboard.eligibility import is_reference, refusals
from genbench.leaderboard.formats import plain
from genbench.leaderboard.published import Published
from genbench.leaderboard.ranking import (
    ALPHA,
    Comparison,
    Ranking,
    difference,
    rank,
    scores_of,
)
from genbench.leaderboard.values import Value, value_at
from genbench.results import DifferenceResult, Rate
from genbench.settings import IMPORTED
from genbench.store import RunFolder


@dataclass(frozen=True)
class Row:
    """A run on a board. A reference has no rank; `not_separated` are the ranked rows that no test
    tells from this one, `tied` says that one of them has its rank."""

    published: Published
    name: str
    value: Rate
    cells: tuple[Value, ...]
    reference: bool
    rank: int | None = None
    not_separated: tuple[str, ...] = ()
    tied: bool = False

    @property
    def rank_text(self) -> str:
        if self.rank is None:
            return "ref"
        return f"{self.rank}=" if self.tied else str(self.rank)

    @property
    def imported(self) -> bool:
        """Whether the responses were made elsewhere, by settings that only their maker knows."""
        return self.published.results.model.backend == IMPORTED

    @property
    def regenerated_text(self) -> str:
        """`40 of 1044 episodes`; empty where none was played again."""
        record = self.published.record
        return f"{record.regenerated} of {record.episodes} episodes" if record.regenerated else ""

    @property
    def contamination_text(self) -> str:
        """`proven, 0 seen`; a reference was not trained."""
        seen = self.published.results.contamination
        if self.reference:
            return "-"
        if seen.overlap is None:
            return seen.status
        return f"{seen.status}, {max(seen.overlap.values(), default=0)} seen"


@dataclass(frozen=True)
class Section:
    """The rows of one task, ranked ones first, and how they were made.

    `comparisons` number the names in `compared`.
    """

    task: str
    version: str
    rows: tuple[Row, ...]
    compared: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A board with its rows, a section a task."""

    board: Board
    sections: tuple[Section, ...]


def table_of(board: Board, published: Sequence[Published]) -> Table:
    """The board's table; runs that it does not take are left out."""
    taken = [run for run in published if not refusals(board, run.results, run.record.tier)]
    return Table(
        board,
        tuple(
            _section(board, task, [run for run in taken if run.results.task.name == task])
            for task in board.tasks
        ),
    )


def _section(board: Board, task: str, runs: Sequence[Published]) -> Section:
    names = Counter(plain(run.results.model.name) for run in runs)
    rows = [_row(board, run, names) for run in runs]
    sign = -1 if board.rank_by.direction == "higher" else 1
    rows.sort(key=lambda row: (sign * row.value.value, row.published.place))
    ranked = [row for row in rows if not row.reference]
    references = [row for row in rows if row.reference]
    ranking = _ranking(board, ranked)
    placed = [_placed(row, number, ranked, ranking) for number, row in enumerate(ranked)]
    # By rank first: a row on few instances may rank before a better one, being told from fewer.
    placed.sort(key=lambda row: row.rank or 0)
    return Section(
        task=task,
        version=", ".join(sorted({run.results.task.version for run in runs})),
        rows=(*placed, *references),
        compared=tuple(row.name for row in ranked),
        comparisons=ranking.comparisons,
        notes=_notes(board, placed, references, ranking),
    )


def _row(board: Board, run: Published, names: Counter[str]) -> Row:
    name = plain(run.results.model.name)
    if names[name] > 1:  # one checkpoint under settings that the board leaves open
        name = f"{name} ({run.results.settings_hash[:8]})"
    value = value_at(run.results, board.rank_by.metric)
    assert isinstance(value, Rate)  # load_board checked the path
    return Row(
        published=run,
        name=name,
        value=value,
        cells=tuple(value_at(run.results, column.metric) for column in board.columns),
        reference=is_reference(board, run.results),
    )


def _ranking(board: Board, rows: Sequence[Row]) -> Ranking:
    metric = board.ranked
    if len(rows) < 2:
        return Ranking((1,) * len(rows), ())
    scores = [scores_of(RunFolder(row.published.folder).episodes(), metric) for row in rows]
    return rank(
        scores,
        board.rank_by.direction,
        lambda a, b, draws: difference(a, b, is_gap=metric.is_gap, draws=draws),
    )


def _placed(row: Row, number: int, rows: Sequence[Row], ranking: Ranking) -> Row:
    others = ranking.not_separated(number)
    return replace(
        row,
        rank=ranking.ranks[number],
        not_separated=tuple(rows[other].name for other in others),
        tied=any(ranking.ranks[other] == ranking.ranks[number] for other in others),
    )


def _notes(
    board: Board, ranked: Sequence[Row], references: Sequence[Row], ranking: Ranking
) -> tuple[str, ...]:
    """The method, in sentences."""
    rows = [*ranked, *references]
    if not rows:
        return ("No published run is on this board yet.",)
    better = "higher is better" if board.rank_by.direction == "higher" else "lower is better"
    notes = [
        f"Ranked by {board.rank_by.metric} ({better}). {_rank_note(ranking, len(ranked))}",
        _interval_note(rows),
        "Tier: rescored, every verdict and number follows from the stored responses; regenerated, "
        "so many episodes drawn at random were played again on the weights as well and gave the "
        "same text.",
        "Contamination: proven, a training record bound to the weights lists every problem, and so "
        "many of this test are among them; declared, a record that does not prove itself; unknown, "
        "no record.",
    ]
    versions = sorted({row.published.results.genbench_version for row in rows})
    if len(versions) > 1:
        notes.append(
            f"The rows were first scored by genbench {' and '.join(versions)}; the check "
            "of the boards scores all of them again with one version."
        )
    if any(row.imported for row in rows):
        notes.append(
            "Imported: the responses were made elsewhere and scored here. No weights are bound to "
            "them, and how they were sampled is not recorded."
        )
    if references:
        notes.append(
            "Rows marked ref are scripted agents: they calibrate the board and are not ranked."
        )
    return tuple(notes)


def _rank_note(ranking: Ranking, rows: int) -> str:
    if not ranking.comparisons:
        return "With fewer than two ranked rows nothing was compared."
    methods = sorted({pair.method.partition(",")[0] for pair in ranking.comparisons})
    pairs = len(ranking.comparisons)
    compared = "the 2 ranked rows were" if rows == 2 else f"all {pairs} pairs of {rows} rows were"
    return (
        f"A row's rank is one plus the number of rows that are significantly better: {compared} "
        f"compared, on the same instances where both have them ({', '.join(methods)}; two-sided; "
        f"Holm over {pairs} {'pair' if pairs == 1 else 'pairs'}, alpha {ALPHA:g}). Rows of one "
        "rank that no test tells apart are ties (=); the page and the JSON name, for each row, all "
        "rows that no test tells from it."
    )


def _interval_note(rows: Sequence[Row]) -> str:
    rates, differences = set(), set()
    for value in [value for row in rows for value in (row.value, *row.cells)]:
        if isinstance(value, DifferenceResult):
            differences.add(value.method)
        elif isinstance(value, Rate):
            rates.add(value.method)
    methods = [
        f"{kind}: {' or '.join(sorted(found))}"
        for kind, found in (("rates", rates), ("differences", differences))
        if found
    ]
    clusters = sorted({row.published.results.task.cluster for row in rows})
    return (
        f"Brackets are 95% intervals ({'; '.join(methods)}). Instances of one cluster count as "
        f"dependent (cluster: {'; '.join(clusters)})."
    )
