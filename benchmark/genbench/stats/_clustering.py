"""Scores with their clusters: the one place that decides what counts as independent.

Every estimate and test of this package takes its variance, its effective sample size and its
count of clusters from here.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as scipy_stats

FloatArray: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = Sequence[Hashable] | NDArray[Any]

NO_SPREAD = 1e-12
"""A variance at or below this is rounding error around zero."""


@dataclass(frozen=True)
class ClusteredValues:
    """One value an instance, and the number (0, 1, ...) of the cluster it belongs to."""

    values: FloatArray
    codes: NDArray[np.int64]
    clusters: int

    @property
    def n(self) -> int:
        """Instances."""
        return int(self.values.size)

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def one_instance_a_cluster(self) -> bool:
        return self.clusters == self.n

    @property
    def all_equal(self) -> bool:
        return float(np.var(self.values)) <= NO_SPREAD

    def only(self, *allowed: int) -> bool:
        """Whether every value is one of `allowed`."""
        return bool(np.isin(self.values, allowed).all())

    def cluster_sums(self) -> FloatArray:
        """The sum of the values of each cluster, shape (clusters,)."""
        return np.asarray(np.bincount(self.codes, weights=self.values), dtype=np.float64)

    def independent_variance(self) -> float:
        """The variance of the mean if instances were independent, s^2 / n; needs two instances."""
        return float(np.var(self.values, ddof=1)) / self.n

    def variance_of_mean(self) -> float:
        """The cluster-robust variance of the mean; infinite where there is one cluster.

        Liang & Zeger (1986, Biometrika 73:13) as used for evaluations by Miller (2024,
        arXiv:2411.00640, section 2.2), times the small-sample correction G / (G - 1). With one
        instance a cluster it is s^2 / n, and it is never below that: a chance balance between
        clusters is no reason to claim more instances than there are.
        """
        if self.clusters == 1:
            return float("inf")
        centred = np.bincount(self.codes, weights=self.values - self.mean)
        robust = float(np.sum(centred**2)) / self.n**2 * self.clusters / (self.clusters - 1)
        return max(robust, self.independent_variance())

    def effective_size(self, spread: float) -> float:
        """How many independent instances of variance `spread` fix the mean as well as these.

        Kish's (1965) effective sample size, `spread` over the cluster-robust variance. Where all
        values are equal the design effect is undefined and the answer is its conservative end,
        the number of clusters.
        """
        return float(self.clusters) if self.all_equal else spread / self.variance_of_mean()

    def student_quantile(self, confidence: float) -> float:
        """The two-sided t quantile at G - 1 degrees of freedom; needs two clusters."""
        return float(scipy_stats.t.isf((1 - confidence) / 2, self.clusters - 1))


def clustered(
    values: ArrayLike, clusters: Labels | None, *, low: float, high: float, name: str
) -> ClusteredValues:
    """Check `values` (in [low, high], one an instance) and number their clusters.

    Without `clusters` every instance is a cluster of its own. `name` is what an error calls the
    values. Raises ValueError for no values, a value outside the range or NaN, more than one
    dimension, and labels that are missing (NaN) or not one an instance.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(
            f"{name} must be a non-empty list of one number an instance; got shape {array.shape}."
        )
    outside = ~((array >= low) & (array <= high))
    if outside.any():
        first = int(np.argmax(outside))
        raise ValueError(
            f"{name} must lie in [{low:g}, {high:g}]; instance {first} has {array[first]}. "
            "Leave out what was not scored, or score it 0, before estimating."
        )
    if clusters is None:
        return ClusteredValues(array, np.arange(array.size, dtype=np.int64), int(array.size))
    labels = list(clusters.tolist() if isinstance(clusters, np.ndarray) else clusters)
    if len(labels) != array.size:
        raise ValueError(
            f"{name} has {array.size} instances but {len(labels)} cluster labels; "
            "give one label an instance."
        )
    numbers: dict[Hashable, int] = {}
    for index, label in enumerate(labels):
        if label != label:
            raise ValueError(f"The cluster label of instance {index} of {name} is missing (NaN).")
        numbers.setdefault(label, len(numbers))
    codes = np.fromiter((numbers[label] for label in labels), dtype=np.int64, count=len(labels))
    return ClusteredValues(array, codes, len(numbers))


def check_confidence(confidence: float) -> None:
    """Raise ValueError unless `confidence` lies strictly between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1 (such as 0.95), not {confidence}.")
