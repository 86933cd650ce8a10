"""A run in a process of its own, to be killed; heavy imports are done before the fork."""

import torch
import transformers.generation.utils
import transformers.models.llama.modeling_llama  # noqa: F401

import genbench
import genbench.analysis
import genbench.models.hf
from genbench.evaluation import prepare
from genbench.models.interface import LoadOptions
from genbench.models.loader import Loader
from genbench.sharding.playing import execute_shard
from genbench.sharding.shard import Shard


def play(arguments):
    torch.set_num_threads(1)
    genbench.run(**arguments)


def play_shard(arguments):
    """As `play`, of the share `shard` ("1/3")."""
    torch.set_num_threads(1)
    given = dict(arguments)
    options = LoadOptions(batch_size=given.pop("batch_size"))
    task = genbench.load_task(given.pop("task"), limit=given.pop("limit"))
    shard = Shard.parse(given.pop("shard"))
    evaluation, backend = prepare(given.pop("model"), task, options=options, shard=shard, **given)
    execute_shard(evaluation, Loader(backend, evaluation.identity).load, options)
