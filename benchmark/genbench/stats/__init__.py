"""Estimates, tests and power for success rates on clustered, paired instances."""

from genbench.stats.forgetting import Forgetting, forgetting
from genbench.stats.multiplicity import holm
from genbench.stats.paired import Difference, contrast, paired_difference, unpaired_difference
from genbench.stats.power import (
    design_effect,
    mcnemar_power,
    minimum_detectable_difference,
    required_n,
)
from genbench.stats.proportions import Estimate, proportion, standard_errors
from genbench.stats.retention import retention
from genbench.stats.samples import pass_at_k, pass_hat_k
from genbench.stats.scaling import (
    MatchedCompute,
    MatchedPoint,
    Slope,
    matched_compute,
    matched_compute_scores,
    mean_over_compute,
    slope_of_scores,
    slope_per_decade,
)
from genbench.stats.seeds import required_seeds, seed_change, seed_difference, seed_interval
from genbench.stats.unpaired_power import fisher_power, minimum_detectable_fall

__all__ = [
    "Difference",
    "Estimate",
    "Forgetting",
    "MatchedCompute",
    "MatchedPoint",
    "Slope",
    "contrast",
    "design_effect",
    "fisher_power",
    "forgetting",
    "holm",
    "matched_compute",
    "matched_compute_scores",
    "mcnemar_power",
    "mean_over_compute",
    "minimum_detectable_difference",
    "minimum_detectable_fall",
    "paired_difference",
    "pass_at_k",
    "pass_hat_k",
    "proportion",
    "required_n",
    "required_seeds",
    "retention",
    "seed_change",
    "seed_difference",
    "seed_interval",
    "slope_of_scores",
    "slope_per_decade",
    "standard_errors",
    "unpaired_difference",
]
