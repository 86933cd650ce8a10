"""What every training of a reproduction imports; done once for all of its processes."""

import genbench.preload
import genbench.training.rl
import genbench.training.sft
import genbench.training.trl_training  # noqa: F401
