"""Every checkpoint of training runs on the same instances: one table and one report."""

from genbench.sweep.plan import Scoring, SweepPlan, plan_sweep
from genbench.sweep.play import Fault, play_sweep
from genbench.sweep.rows import SweepRow, sweep_rows

__all__ = [
    "Fault",
    "Scoring",
    "SweepPlan",
    "SweepRow",
    "plan_sweep",
    "play_sweep",
    "sweep_rows",
]
