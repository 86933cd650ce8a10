"""A tiny parent with a real tokenizer, and trainings in a process of their own."""

import multiprocessing
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def parent(tmp_path_factory):
    """A random model of 13 thousand parameters, without a training record."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from genbench_tasks.general_points.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("parent")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def in_a_process():
    """Run `killed_training.train` in a fresh process; its exit code comes back."""
    here = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        path = [here, os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))  # for the fork server
        patch.syspath_prepend(here)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["killed_training"])
        import killed_training

        def run(*arguments, **named):
            process = context.Process(target=killed_training.train, args=arguments, kwargs=named)
            process.start()
            process.join(200)
            return process.exitcode

        yield run
