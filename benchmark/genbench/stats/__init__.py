"""Estimates, tests and power for success rates on clustered, paired instances."""

from genbench.stats.multiplicity import holm
from genbench.stats.paired import Difference, contrast, paired_difference, unpaired_difference
from genbench.stats.power import (
    design_effect,
    mcnemar_power,
    minimum_detectable_difference,
    required_n,
)
from genbench.stats.proportions import Estimate, proportion
from genbench.stats.samples import pass_at_k, pass_hat_k

__all__ = [
    "Difference",
    "Estimate",
    "contrast",
    "design_effect",
    "holm",
    "mcnemar_power",
    "minimum_detectable_difference",
    "paired_difference",
    "pass_at_k",
    "pass_hat_k",
    "proportion",
    "required_n",
    "unpaired_difference",
]
