"""Publishing a run: replay it, see that a board takes it, copy it to `results/` whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench import __version__
from genbench.errors import GenbenchError, StoreError, UsageError
from genbench.evaluation import read_results
from genbench.leaderboard.definition import Board
from genbench.leaderboard.eligibility import refusals
from genbench.leaderboard.naming import public
from genbench.leaderboard.published import (
    FILES,
    PAGES,
    STAGING,
    VERIFICATION,
    Published,
    Record,
    contestant,
    file_sha256,
    place_of,
    published_folders,
    read_header,
)
from genbench.results import Results
from genbench.store import (
    EPISODES,
    RESULTS,
    RUN,
    RunFolder,
    json_bytes,
    read_json,
    write_atomically,
)
from genbench.verification import verify_run


class RefusedError(GenbenchError):
    """A run is not published: it does not reproduce, or no board takes it."""

    exit_code = 1


@dataclass(frozen=True)
class Added:
    """A run that was published: the boards that take it, and why others of its task do not."""

    published: Published
    boards: tuple[str, ...]
    refused: Mapping[str, Sequence[str]]
    replaced: tuple[str, ...]


def add(
    run: Path,
    root: Path,
    boards: Sequence[Board],
    *,
    regenerate: int = 0,
    seed: int = 0,
    model: str | None = None,
    model_args: Mapping[str, str] | None = None,
    device: str = "auto",
    name: str | None = None,
    replace: bool = False,
) -> Added:
    """Replay a finished run and publish it below `root`, for the boards that take it.

    `name` is what the checkpoint is called there, where the run's own name for it is a path. A
    result of the same weights under the same settings gives way only where `replace` is true.
    Raises RefusedError where the run does not reproduce or no board takes it, UsageError and
    StoreError where it cannot be published.
    """
    if root.resolve() in run.resolve().parents:
        raise UsageError(f"{run} is published already")
    results, header = _finished(run)
    _check_task(results, header)
    results, header = public(results, header, name)
    if place_of(results).split("/")[0] == PAGES:
        raise UsageError(
            f"{root / PAGES} is kept for pages of reproductions: call the checkpoint otherwise "
            "(--name)"
        )
    # What costs nothing to see is said before episodes are played again.
    taken, refused = _taken_by(boards, results, "regenerated" if regenerate else "rescored")
    older = _older(results, root)
    if older and not replace:
        raise UsageError(
            f"{older[0]} already holds a result of these weights under these settings; --replace "
            "puts this one in its place"
        )
    digests = {file: file_sha256(run / file) for file in FILES}
    found = verify_run(
        run,
        regenerate=regenerate,
        seed=seed,
        model=model,
        model_args=model_args,
        device=device,
    )
    if not found.passed:
        raise RefusedError(
            f"{run} does not reproduce and is not published: {found.differences[0]}"
            + _more(len(found.differences) - 1)
        )
    place = place_of(results)
    with _staging(root) as staged:
        _write(run, staged, results, header, digests)
        again = verify_run(staged)
        if not again.passed:
            raise RefusedError(f"{run} does not reproduce as published: {again.differences[0]}")
        record = Record(
            tier="regenerated" if found.regenerated else "rescored",
            genbench_version=__version__,
            episodes=found.episodes,
            regenerated=found.regenerated,
            seed=seed if found.regenerated else None,
            files={file: file_sha256(staged / file) for file in FILES},
        )
        record = record.model_copy(update={"record_sha256": record.digest()})
        write_atomically(staged / VERIFICATION, [json_bytes(record.model_dump(mode="json"))])
        _put(staged, root, place, older)
    return Added(
        Published(root / place, place, results, record),
        tuple(board.name for board in taken),
        refused,
        tuple(path.relative_to(root).as_posix() for path in older),
    )


def _more(count: int) -> str:
    return f" (and {count} more differences: genbench verify lists them)" if count > 0 else ""


def _finished(run: Path) -> tuple[Results, dict[str, Any]]:
    if not run.is_dir():
        raise UsageError(f"there is no run folder {run}")
    read_json(run / RUN)  # a folder that is no run is called so
    if not RunFolder(run).finished:
        raise StoreError(
            f"{run} is not finished; the command that began it goes on where it stopped"
        )
    return read_results(run), read_header(run)


def _check_task(results: Results, header: Mapping[str, Any]) -> None:
    source = header["task"].get("source")
    if source != results.task.name:
        raise UsageError(
            f"the task of this run is a file of one's own ({source}); a published run is of an "
            "installed task, so that all can replay it: ship the file in a task pack"
        )


def _taken_by(
    boards: Sequence[Board], results: Results, tier: str
) -> tuple[list[Board], dict[str, list[str]]]:
    """The boards that take the run, and why others of its task do not. Raises RefusedError."""
    refused = {board.name: refusals(board, results, tier) for board in boards}
    taken = [board for board in boards if not refused[board.name]]
    if not taken:
        listed = "; ".join(
            f"{name}: {reason}" for name, reasons in refused.items() for reason in reasons
        )
        raise RefusedError(f"no board takes this run. {listed}")
    of_task = {board.name for board in boards if results.task.name in board.tasks}
    return taken, {name: why for name, why in refused.items() if why and name in of_task}


def _older(results: Results, root: Path) -> list[Path]:
    """Published runs of the same weights on the same task under the same settings."""
    return [
        folder
        for folder in published_folders(root)
        if folder.parent.name == results.task.name
        and (folder / RESULTS).is_file()
        and contestant(read_results(folder)) == contestant(results)
    ]


# -- what is published ----------------------------------------------------------------------------


def _write(
    run: Path,
    staged: Path,
    results: Results,
    header: Mapping[str, Any],
    digests: Mapping[str, str],
) -> None:
    try:
        shutil.copyfile(run / EPISODES, staged / EPISODES)
    except OSError as error:
        raise StoreError(f"{run} cannot be published in {staged.parent}: {error}") from None
    write_atomically(staged / RUN, [json_bytes(header)])
    write_atomically(staged / RESULTS, [json_bytes(results.model_dump(mode="json"))])
    now = {file: file_sha256(run / file) for file in FILES}
    if now != digests or file_sha256(staged / EPISODES) != digests[EPISODES]:
        raise StoreError(f"{run} was changed while it was being published; add it again")


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    """A folder beside the published ones that is gone at the end, unless it was moved away."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=STAGING, dir=root))
        staged.chmod(0o755)
    except OSError as error:
        raise StoreError(f"the folder {root} cannot be written: {error.strerror}") from None
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _put(staged: Path, root: Path, place: str, older: Sequence[Path]) -> None:
    """Move the staged folder to its place; what it replaces comes back where that fails."""
    target = root / place
    with _staging(root) as away:
        moved: list[tuple[Path, Path]] = []
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            for number, folder in enumerate(older):
                os.replace(folder, away / str(number))
                moved.append((away / str(number), folder))
            os.replace(staged, target)
        except OSError as error:
            for there, folder in moved:
                os.replace(there, folder)
            raise StoreError(f"{target} cannot be published: {error.strerror}") from None
    for folder in older:
        for parent in (folder.parent, folder.parent.parent):
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
