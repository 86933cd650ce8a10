"""Reports over any set of runs: figures, tables and a page with every episode."""

from genbench.report.build import Report, build_report

__all__ = ["Report", "build_report"]
