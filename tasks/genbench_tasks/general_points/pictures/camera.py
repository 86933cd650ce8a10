"""What a camera does to a picture: blur, noise, JPEG. Whole numbers but for the JPEG library."""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from genbench.task import TaskError

Canvas = NDArray[np.uint8]

#: by level: the standard deviation of the blur in 10,000ths of the picture's side, that of the
#: noise in grey levels, the quality of the JPEG
BLURS = (0, 15, 30, 50, 70, 95)
NOISES = (0, 15, 30, 50, 75, 105)
QUALITIES = (100, 40, 20, 10, 5, 2)
_GRAINS = 300  # noise has grains of a pixel up to this many pixels a side, larger ones beyond
_FRACTION = 2048
_JPEG_SHA256 = "8e0ae01dae0b976b58a6733d551aa23991f14d948a9aa3e6b904b55fcfed8842"


def blurred(canvas: Canvas, level: int) -> Canvas:
    """Close to a Gaussian: three box filters, one after the other."""
    whole, rest = _box(BLURS[level] * canvas.shape[0])
    found = canvas.astype(np.int32) * 16
    for _ in range(3):
        for _ in range(2):
            found = _boxed(found, whole, rest).swapaxes(0, 1)
    return np.clip((found + 8) // 16, 0, 255).astype(np.uint8)


def _box(deviation: int) -> tuple[int, int]:
    """The box filter that has, applied three times, that standard deviation (in 10,000ths of a
    pixel): pixels to each side that count in full, and what the next ones count in 2048ths."""
    variance, unit = deviation**2, 3 * 10**8  # of one filter, as a fraction
    whole = 0
    while (whole + 1) * (whole + 2) * unit <= 3 * variance:
        whole += 1
    squares = whole * (whole + 1) * (2 * whole + 1) // 3
    over = variance * (2 * whole + 1) - squares * unit
    return whole, _FRACTION * over // (2 * ((whole + 1) ** 2 * unit - variance))


def _boxed(values: NDArray[np.int32], whole: int, rest: int) -> NDArray[np.int32]:
    """The filter along the columns; the outermost pixels go on for ever."""
    pad, size = whole + 1, values.shape[0]
    sums = np.cumsum(
        np.pad(values, [(pad + 1, pad), (0, 0), (0, 0)], mode="edge"), axis=0, dtype=np.int32
    )

    def over(reach: int) -> NDArray[np.int32]:
        return (
            sums[pad + reach + 1 : pad + reach + 1 + size] - sums[pad - reach : pad - reach + size]
        )

    total = _FRACTION * (2 * whole + 1) + 2 * rest
    found: NDArray[np.int32] = (
        over(whole) * (_FRACTION - rest) + over(whole + 1) * rest + total // 2
    ) // total
    return found


def noisy(canvas: Canvas, level: int, random: Random) -> Canvas:
    """Noise of its own in each channel, close to normal: the sum of four uniform bytes."""
    side = canvas.shape[0]
    grain = -(-side // _GRAINS)
    cells = -(-side // grain)
    raw = np.frombuffer(random.randbytes(4 * cells * cells * 3), dtype=np.uint8)
    sums = raw.reshape(4, cells, cells, 3).astype(np.int64).sum(axis=0) - 510
    # A uniform byte has the variance (256^2 - 1) / 12: the sum's deviation is 147.8.
    noise = sums * (NOISES[level] * 10) // 1478
    grown = np.repeat(np.repeat(noise, grain, axis=0), grain, axis=1)[:side, :side]
    found: Canvas = np.clip(canvas.astype(np.int64) + grown, 0, 255).astype(np.uint8)
    return found


def compressed(canvas: Canvas, level: int) -> Canvas:
    """Through JPEG and back. Raises TaskError where the JPEG library makes other pixels."""
    _check_library()
    return _through_jpeg(canvas, QUALITIES[level])


def _through_jpeg(canvas: Canvas, quality: int) -> Canvas:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "JPEG", quality=quality, subsampling=2)
    found: Canvas = np.array(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB"))
    return found


@lru_cache(maxsize=1)
def _check_library() -> None:
    y, x = np.mgrid[0:48, 0:48]
    probe = np.stack([x * y % 256, x * 5 % 256, (x * x + 3 * y) % 256], axis=2).astype(np.uint8)
    found = hashlib.sha256()
    for quality in QUALITIES[1:]:
        found.update(_through_jpeg(probe, quality).tobytes())
    if found.hexdigest() != _JPEG_SHA256:
        from PIL import __version__

        raise TaskError(
            f"the JPEG library of Pillow {__version__} makes other pixels than the one that the "
            "shift 'jpeg' is defined with; install the Pillow of constraints.txt"
        )
