"""What every process that scores imports; done once for all of them."""

import torch  # noqa: F401
import transformers.generation.utils
import transformers.models.llama.modeling_llama  # noqa: F401

import genbench.analysis
import genbench.models.hf  # noqa: F401
