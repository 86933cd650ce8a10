"""What K samples an instance say: pass@k (any of k right) and pass^k (all of k right)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genbench.stats._clustering import FloatArray


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> FloatArray:
    """The unbiased estimate of P(at least one of k samples is right), 1 - C(n-c, k) / C(n, k).

    `n` samples were drawn for an instance and `c` of them were right; the three arrays broadcast.
    NaN where n < k: fewer samples than k do not determine it. Chen et al. (2021, arXiv:2107.03374,
    equation 1).
    """
    drawn, right, size = _counts(n, c, k)
    return 1.0 - _all_drawn_from(drawn, drawn - right, size)


def pass_hat_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> FloatArray:
    """The unbiased estimate of P(all of k samples are right), C(c, k) / C(n, k).

    Arguments and NaN as in `pass_at_k`. Yao et al. (2024, arXiv:2406.12045, section 3).
    """
    return _all_drawn_from(*_counts(n, c, k))


def _all_drawn_from(n: NDArray[np.int64], m: NDArray[np.int64], k: NDArray[np.int64]) -> FloatArray:
    """C(m, k) / C(n, k) as a product of ratios, each at most 1, so that nothing overflows."""
    share = np.where(n < k, np.nan, 1.0)
    for drawn in range(int(k.max(initial=0))):
        factor = np.maximum(m - drawn, 0) / np.maximum(n - drawn, 1)
        share = np.where(drawn < k, share * factor, share)
    return share


def _counts(
    n: ArrayLike, c: ArrayLike, k: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    arrays = np.broadcast_arrays(np.asarray(n), np.asarray(c), np.asarray(k))
    if not all(np.issubdtype(array.dtype, np.integer) for array in arrays):
        raise ValueError("n, c and k are counts of samples: pass integers.")
    drawn, right, size = (array.astype(np.int64) for array in arrays)
    if np.any((right < 0) | (right > drawn)):
        raise ValueError("c, the number of right samples, must lie between 0 and n.")
    if np.any(size < 1):
        raise ValueError("k must be at least 1.")
    return drawn, right, size
