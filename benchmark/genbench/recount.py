"""Whether the results of a run are those of its episodes, as far as counting can tell.

Cheap enough for every reading of a run: rates of success, outcomes and gaps. That the verdicts
follow from the responses, and all other numbers from the verdicts, is for `genbench verify`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from genbench.errors import StoreError
from genbench.labels import clean
from genbench.records import EpisodeRecord
from genbench.results import Results, SplitResult
from genbench.store import EPISODES, RESULTS
from genbench.task import CORRECT

_ROUNDED = 1e-8  # results have ten digits; a gap is a difference of two of them


class Recount:
    """Counts of a run's episodes, gathered one by one as they are read."""

    def __init__(self) -> None:
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._attempts: Counter[tuple[str, int]] = Counter()
        self._episodes: Counter[str] = Counter()
        self._steps: Counter[str] = Counter()
        self._walks: set[str] = set()  # splits with an episode of many steps

    def add(self, episode: EpisodeRecord) -> None:
        """Count an episode in."""
        split, turns = episode.split, episode.turns
        self._episodes[split] += 1
        for turn in turns:
            if turn.attempt == 1:
                self._steps[split] += 1
                self._outcomes[split, turn.verdict.outcome] += 1
        if turns[-1].step > 0:
            self._walks.add(split)
        if episode.solved:
            self._attempts[split, max(turn.attempt for turn in turns)] += 1

    def check(self, results: Results, folder: Path) -> None:
        """Raise StoreError, naming the first, where a number of `results` is another one here."""
        for place, stored, counted in (*self._splits(results, folder), *_gaps(results)):
            if abs(stored - counted) > _ROUNDED:
                raise StoreError(
                    f"{folder / RESULTS} does not fit its episodes: {clean(place)} is "
                    f"{stored:.10g}, and {counted:.10g} by their count; `genbench verify "
                    f"{folder}` says what was changed"
                )

    def _splits(self, results: Results, folder: Path) -> Iterator[tuple[str, float, float]]:
        for name, split in results.splits.items():
            episodes = self._episodes[name]
            if not episodes:
                raise StoreError(f"{folder / EPISODES} has no episode of the split '{clean(name)}'")
            yield f"splits.{name}.n", split.n, episodes / max(1, split.samples)
            yield f"splits.{name}.success_rate.n", split.success_rate.n, split.n
            rates = {"success_rate": (1, split.success_rate)}
            for key, rate in split.success_at.items():
                rates[f"success_at.{key}"] = (int(key) if key.isdecimal() else 0, rate)
            for place, (attempts, rate) in rates.items():
                solved = sum(
                    count
                    for (of, needed), count in self._attempts.items()
                    if of == name and needed <= attempts
                )
                yield f"splits.{name}.{place}.value", rate.value, solved / episodes
            if split.steps is not None:
                accuracy = split.steps.accuracy
                asked = self._steps[name]
                if name in self._walks:
                    # A step at which nothing is right (a walker off its route) is in no rate, and
                    # which these are only the task knows.
                    yield f"splits.{name}.steps.accuracy.n", accuracy.n, min(accuracy.n, asked)
                    asked = accuracy.n
                right = self._outcomes[name, CORRECT] / asked
                yield f"splits.{name}.steps.accuracy.value", accuracy.value, right
            yield from self._split_outcomes(name, split)

    def _split_outcomes(self, name: str, split: SplitResult) -> Iterator[tuple[str, float, float]]:
        counted = {code: count for (of, code), count in self._outcomes.items() if of == name}
        for code in dict.fromkeys((*split.outcomes, *counted)):
            yield (
                f"splits.{name}.outcomes.{code}",
                split.outcomes.get(code, 0),
                counted.get(code, 0),
            )
        for code, rate in (split.outcome_rates or {}).items():
            share = counted.get(code, 0) / self._steps[name]
            yield f"splits.{name}.outcome_rates.{code}.value", rate.value, share


def _gaps(results: Results) -> Iterator[tuple[str, float, float]]:
    """Gaps against the rates, which are checked before."""
    inside = results.splits["id"]
    last = str(results.settings["verify_iters"])
    for name, found in results.generalization.items():
        out = results.splits[name]
        if found.paired and not found.gap.n == inside.n == out.n:
            continue  # of their common pairs alone
        rates = {
            "gap": (found.gap, inside.success_rate, out.success_rate),
            "gap_at_viter": (
                found.gap_at_viter,
                inside.success_at.get(last),
                out.success_at.get(last),
            ),
        }
        for place, (gap, of_id, of_ood) in rates.items():
            if of_id is not None and of_ood is not None:
                yield f"generalization.{name}.{place}.value", gap.value, of_id.value - of_ood.value
