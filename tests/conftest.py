"""Fixtures of the whole suite: tiny real checkpoints, and the command line within the process.

Nothing here reaches for the network, and torch keeps to one thread, in child processes too: both
are said to the libraries before they are imported.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")


def _leave_path():
    """pytest puts this folder on the path, where tests/genbench looks like the package itself: to
    this process, and to its children, which are given the path."""
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).parent]


_leave_path()
import genbench  # noqa: E402, F401  from here on the names are taken
import genbench_tasks  # noqa: E402, F401


def pytest_collection_finish():
    _leave_path()


def pytest_collection_modifyitems(config, items):
    """Without vLLM its own tests are not there, as if `-m "not vllm"` were given."""
    if find_spec("vllm") is not None:
        return
    apart = [item for item in items if "vllm" in item.keywords]
    if apart:
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if "vllm" not in item.keywords]


@pytest.fixture(scope="session")
def save_checkpoint(tmp_path_factory):
    """Writes a model with seeded random weights and its tokenizer to a folder of its own."""

    def save(name, architecture, config, tokenizer, likely=()):
        """`likely` tokens get larger output weights, so that they do occur."""
        import torch

        torch.manual_seed(0)
        model = architecture(config)
        with torch.no_grad():
            for token in likely:
                model.get_output_embeddings().weight[token] *= 1.5
        folder = tmp_path_factory.mktemp("checkpoints") / name
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def tiny_llama(save_checkpoint):
    """A Llama of 2 layers with the tokenizer and the chat template of the demo models.

    Its answers are noise, but greedy ones vary with the prompt and some of them end.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    from genbench_tasks.general_points.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return save_checkpoint(
        "tiny-llama", LlamaForCausalLM, config, tokenizer, likely=[tokenizer.eos_token_id]
    )


@pytest.fixture
def copy_of(tmp_path):
    """A copy of a checkpoint, to be changed."""

    def copy(folder, name=None):
        return shutil.copytree(folder, tmp_path / (name or f"copy-of-{folder.name}"))

    return copy


@dataclass(frozen=True)
class Finished:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(monkeypatch, capsys):
    """`genbench ...` within this process, where torch and transformers are imported already."""

    def run(*arguments):
        from genbench.cli.main import run_app

        monkeypatch.setattr(sys, "argv", ["genbench", *map(str, arguments)])
        capsys.readouterr()
        try:
            run_app()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        shown = capsys.readouterr()
        return Finished(code, shown.out, shown.err)

    return run
