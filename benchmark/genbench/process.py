"""Settings of a process of our own that tensors on a CPU run better with."""

from __future__ import annotations

import ctypes
import os
import sys

# <malloc.h>
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_MOST = 2**31 - 1
_TOP_PAD_BYTES = 256 * 2**20


def let_idle_threads_sleep() -> None:
    """Tell OpenMP (before torch is imported) that waiting threads sleep, not spin.

    Spinning threads take the core that another process needs: with one of two cores busy, a run
    of the demo checkpoint took 73 s with spinning and 18 s without. What the user set is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def use_one_thread() -> None:
    """Let this process compute with one thread, whether torch is imported already or not."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def keep_large_blocks() -> bool:
    """Ask glibc to keep freed memory; true where that was done, false on another C library.

    By default each large tensor is a fresh mapping whose pages the kernel must clear again.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    values = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _MOST), (_TOP_PAD, _TOP_PAD_BYTES))
    done = [mallopt(name, value) == 1 for name, value in values]
    return all(done)
