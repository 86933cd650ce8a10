"""A small vision-language model from scratch: what it starts from, trains on, records and keeps."""

import io
import json
import sys
from random import Random

import pytest
import torch
from PIL import Image as Pillow

from genbench.errors import TaskError, UsageError
from genbench.task import Image, Message
from genbench.training.base import train_base
from genbench.training.encoding import IGNORED
from genbench.training.image_encoding import ImageEncoder
from genbench.training.recipes import load_recipe
from genbench.training.scratch import build, language_parent

COLOURS = {"red": (200, 0, 0), "green": (0, 150, 0), "blue": (0, 0, 200)}
RECIPE = """
name: tiny-vl
method: base
summary: "A test."
hardware: "any"
seed: 0
model:
  model_type: idefics3
  processor: test_image_base:processor
  tokenizer: genbench_tasks.general_points.tokenizer:build_tokenizer
  language_model: {parent}
  config:
    scale_factor: 2
    text_config:
      model_type: llama
      hidden_size: 16
      intermediate_size: 16
      num_hidden_layers: 1
      num_attention_heads: 2
      num_key_value_heads: 2
      tie_word_embeddings: true
    vision_config:
      hidden_size: 16
      intermediate_size: 16
      num_hidden_layers: 1
      num_attention_heads: 2
      image_size: 32
      patch_size: 8
data: {{factory: "test_image_base:Pictures"}}
schedule:
  {{steps: 6, batch_size: 4, learning_rate: 1e-3, warmup_steps: 2, decay_steps: 2, save_every: 2}}
"""


def processor(tokenizer):
    from transformers import Idefics3ImageProcessorPil, Idefics3Processor

    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<image>", "<fake_token_around_image>", "<global-img>"]}
    )
    size = {"longest_edge": 32}
    return Idefics3Processor(
        Idefics3ImageProcessorPil(do_image_splitting=False, size=size, max_image_size=size),
        tokenizer,
        image_seq_len=4,
        chat_template=(
            "{% for m in messages %}<|{{ m['role'] }}|>{% for part in m['content'] %}"
            "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
            "{% endfor %}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
        ),
    )


class Pictures:
    """One or two squares of one colour each, to be named."""

    def __init__(self, seed):
        self.seed = seed

    def batches(self, size):
        number = 0
        while True:
            stream = Random(f"{self.seed} {number}")
            yield [self.example(stream, 1 + row % 2) for row in range(size)]
            number += 1

    def example(self, stream, pictures):
        names = [stream.choice(sorted(COLOURS)) for _ in range(pictures)]
        parts = [Image(square(name)) for name in names]
        return [Message("user", ("Name them.", *parts))], " ".join(names)

    def record(self):
        return {"environment": "colours"}


def square(name):
    buffer = io.BytesIO()
    Pillow.new("RGB", (40, 40), COLOURS[name]).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture(autouse=True, scope="module")
def here():
    from pathlib import Path

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        sys.modules.setdefault("test_image_base", sys.modules[__name__])
        yield


@pytest.fixture(scope="module")
def recipe_file(parent, tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tiny-vl.yaml"
    path.write_text(RECIPE.format(parent=parent))
    return path


@pytest.fixture(scope="module")
def trained(recipe_file, tmp_path_factory):
    return train_base(load_recipe(str(recipe_file)), tmp_path_factory.mktemp("vl") / "a")


def test_the_checkpoint_is_one_of_transformers_and_says_what_it_came_from(trained, parent):
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

    from genbench.models.files import fingerprints, weight_files

    model = AutoModelForImageTextToText.from_pretrained(trained)
    loaded = AutoProcessor.from_pretrained(trained)
    record = json.loads((trained / "genbench_training.json").read_text())
    assert record["parameters"] == model.num_parameters()
    assert record["flops"] == 6 * record["parameters"] * record["tokens"]["trained"]
    weights, _ = fingerprints(parent, weight_files(parent, allow_pickle=False))
    assert record["parent"] == {"name": str(parent), "weights_fingerprint": weights}
    assert record["ancestors"][0]["weights_fingerprint"] == weights
    assert record["parent_flops"] is None  # the parent has no record
    before = AutoModelForCausalLM.from_pretrained(parent)
    assert model.get_input_embeddings().weight.shape[0] == len(loaded.tokenizer)
    assert len(loaded.tokenizer) > before.get_input_embeddings().weight.shape[0]


def test_tokens_are_counted_with_those_of_the_pictures(trained):
    from transformers import AutoProcessor

    loaded = AutoProcessor.from_pretrained(trained)
    prompt = response = 0
    for number, batch in enumerate(Pictures(0).batches(4)):
        if number == 6:
            break
        for messages, answer in batch:
            count = len(messages[0].images)
            text = "<|user|>Name them.<|end|><|assistant|>"
            prompt += len(loaded.tokenizer(text)["input_ids"]) + count * (4 + 3)
            response += len(loaded.tokenizer(answer)["input_ids"]) + 1
    record = json.loads((trained / "genbench_training.json").read_text())
    assert record["tokens"]["prompt"] == prompt
    assert record["tokens"]["response"] == response


def test_the_language_part_starts_as_its_parent(recipe_file, parent):
    from transformers import AutoModelForCausalLM

    recipe = load_recipe(str(recipe_file))
    fresh = build(recipe, language_parent(recipe))
    before = AutoModelForCausalLM.from_pretrained(parent)
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    known = before.get_input_embeddings().weight.shape[0]
    after = fresh.model(input_ids=ids).logits[..., :known]
    torch.testing.assert_close(after, before(input_ids=ids).logits)
    loose = build(load_recipe(str(recipe_file), ["model.language_model=null"]), None)
    assert not torch.allclose(loose.model(input_ids=ids).logits[..., :known], after)


def test_the_loss_is_on_the_response_alone(recipe_file):
    recipe = load_recipe(str(recipe_file))
    fresh = build(recipe, None)
    example = Pictures(0).example(Random(1), 2)
    batch = ImageEncoder(fresh.processing).batch([example, Pictures(0).example(Random(2), 1)])
    labels = [label for label in batch["labels"][0].tolist() if label != IGNORED]
    assert fresh.tokenizer.decode(labels) == example[1] + fresh.tokenizer.eos_token
    assert batch["pixel_values"].shape[:2] == (2, 2)


def test_a_killed_training_ends_with_the_same_weights(recipe_file, trained, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    class KilledError(Exception):
        pass

    real = Pictures.batches

    def dies(self, size):
        for number, batch in enumerate(real(self, size)):
            if number == 3:
                raise KilledError
            yield batch

    module = sys.modules["test_image_base"].Pictures
    monkeypatch.setattr(module, "batches", dies)
    with pytest.raises(KilledError):
        train_base(load_recipe(str(recipe_file)), tmp_path / "b")
    monkeypatch.setattr(module, "batches", real)
    folder = train_base(load_recipe(str(recipe_file)), tmp_path / "b")
    first, second = (load_file(path / "model.safetensors") for path in (trained, folder))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.config.text_config.hidden_size=32", "has embeddings of"),
        ("model.config.text_config.num_hidden_layers=2", "another architecture"),
        ("model.language_model=agent:oracle", "has no weights to start from"),
        ("model.processor=null", "has a `processor`"),
        ("model.processor=nowhere:at_all", "cannot be found"),
    ],
)
def test_a_wrong_start_is_refused(recipe_file, setting, message, tmp_path):
    with pytest.raises((UsageError, TaskError), match=message):
        train_base(load_recipe(str(recipe_file), [setting]), tmp_path / "c")
