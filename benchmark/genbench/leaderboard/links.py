"""Where the links of a board's page lead, relative to the folder of the page."""

from __future__ import annotations

from dataclasses import dataclass

from genbench.leaderboard.published import Published
from genbench.results import run_key
from genbench.store import EPISODES

REPORT_PAGE = "index.html"


@dataclass(frozen=True)
class Links:
    """`results` is the way to the published runs, `reports` that to the reports, one a task, and
    `index` that to the page of all boards: the last two None where there is none, as in the
    repository, where a row leads to the file of its responses."""

    results: str
    reports: str | None = None
    index: str | None = None

    def run(self, published: Published) -> str:
        """The folder of a run, with a slash at its end."""
        return f"{self.results}/{published.place}/"

    def episodes(self, published: Published) -> str:
        """The run's episodes: in the browser of its task's report, or the file itself."""
        report = self.report(published.results.task.name)
        if report is None:
            return self.run(published) + EPISODES
        return f"{report}#run={run_key(published.results)}"

    def report(self, task: str) -> str | None:
        """The report on all published runs of a task."""
        return None if self.reports is None else f"{self.reports}/{task}/{REPORT_PAGE}"
