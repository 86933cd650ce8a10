"""A browser; tiny checkpoints that read images, and the task that shows them, as an installed pack
has it."""

import chromium
import picture_task
import pytest
import tiny_models

from genbench import registry


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A browser without a window, of a module's own."""
    found = chromium.start(tmp_path_factory.mktemp("profile"))
    yield found
    found.quit()


def _saved(save_checkpoint, name, made):
    architecture, config, processor = made
    tokenizer = processor.tokenizer
    folder = save_checkpoint(name, architecture, config, tokenizer, [tokenizer.eos_token_id])
    tiny_models.save_processor(folder, processor)
    return folder


@pytest.fixture(scope="session")
def tiny_llava(save_checkpoint):
    """A LLaVA with a CLIP tower."""
    return _saved(save_checkpoint, "tiny-llava", tiny_models.llava())


@pytest.fixture(scope="session")
def tiny_idefics(save_checkpoint):
    """An Idefics3, SmolVLM's architecture."""
    return _saved(save_checkpoint, "tiny-idefics", tiny_models.idefics())


@pytest.fixture(scope="session")
def tiny_qwen_vl(save_checkpoint):
    """A Qwen2.5-VL; no torchvision is needed."""
    return _saved(save_checkpoint, "tiny-qwen-vl", tiny_models.qwen_vl())


@pytest.fixture(scope="session")
def tiny_mllama(save_checkpoint):
    """A Llama 3.2 Vision whose cross-attention is not shut, as it is before training."""
    from safetensors.torch import load_file, save_file

    folder = _saved(save_checkpoint, "tiny-mllama", tiny_models.mllama())
    weights = load_file(folder / "model.safetensors")
    for name in weights:
        if name.endswith(("cross_attn_attn_gate", "cross_attn_mlp_gate")):
            weights[name] = weights[name] + 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session", params=["llava", "idefics", "qwen_vl"])
def vlm(request):
    """Each of the checkpoints that read images in turn."""
    return request.getfixturevalue(f"tiny_{request.param}")


@pytest.fixture
def colours(monkeypatch, tmp_path):
    """The file of a task that shows pictures, whose environment an installed pack has."""
    packs = registry.packs()
    monkeypatch.setattr(registry, "packs", lambda: (*packs, picture_task.PACK))
    path = tmp_path / "colours.yaml"
    path.write_text(picture_task.YAML)
    return path
