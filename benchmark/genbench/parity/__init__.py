"""Whether backends agree: the same checkpoint on the same episodes, answer by answer.

Every backend plays the task by itself, in a process of its own, greedily (`playing`); then what
each was asked and said is held against the others' (`comparing`), as `results` has it.
"""

from __future__ import annotations

from genbench.parity.check import Asked, check_parity
from genbench.parity.results import ParityReport

__all__ = ["Asked", "ParityReport", "check_parity"]
