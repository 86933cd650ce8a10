"""Training from scratch: what it trains on, what it records, and that a kill costs nothing."""

import json

import pytest
import torch
from safetensors.torch import load_file

from genbench.errors import TaskError, UsageError
from genbench.task import Message
from genbench.training.base import train_base
from genbench.training.encoding import IGNORED, Encoder
from genbench.training.recipes import load_recipe
from genbench_tasks.general_points.hands import held_out_numbers
from genbench_tasks.general_points.mixture import Mixture
from genbench_tasks.general_points.tokenizer import build_tokenizer

SMALL = [
    "schedule.steps=6",
    "schedule.batch_size=4",
    "schedule.save_every=2",
    "schedule.warmup_steps=2",
    "schedule.decay_steps=2",
    "model.config.hidden_size=32",
    "model.config.intermediate_size=32",
    "model.config.num_hidden_layers=1",
    "model.config.head_dim=8",
]


def record(folder):
    return json.loads((folder / "genbench_training.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    said = []
    folder = train_base(
        load_recipe("gp-base", SMALL), tmp_path_factory.mktemp("base") / "a", say=said.append
    )
    return folder, said


def test_the_checkpoint_loads_and_the_record_proves_itself(trained):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from genbench.models.files import fingerprints, weight_files

    folder, said = trained
    AutoModelForCausalLM.from_pretrained(folder)
    assert AutoTokenizer.from_pretrained(folder).chat_template
    found = record(folder)
    weights = weight_files(folder, allow_pickle=False)
    assert found["weights_fingerprint"] == fingerprints(folder, weights)[0]
    assert found["method"] == "base"
    assert found["step"] == 6
    assert found["tokens"]["trained"] == found["tokens"]["prompt"] + found["tokens"]["response"]
    assert found["flops"] == 6 * found["parameters"] * found["tokens"]["trained"]
    trained_on = {tuple(map(int, n.split("."))) for n in found["problems"]["number_multisets"]}
    assert trained_on
    assert not trained_on & held_out_numbers()
    assert "6 steps of 4 examples" in said[0]
    assert not (folder / "trainer").exists()


def test_a_training_that_was_killed_ends_with_the_same_weights_and_record(
    trained, tmp_path, monkeypatch
):
    class KilledError(Exception):
        pass

    real = Mixture.batches

    def dies(self, size, start=0):
        for number, batch in enumerate(real(self, size, start)):
            if number == 5:
                raise KilledError
            yield batch

    recipe = load_recipe("gp-base", SMALL)
    monkeypatch.setattr(Mixture, "batches", dies)
    with pytest.raises(KilledError):
        train_base(recipe, tmp_path / "b")
    monkeypatch.setattr(Mixture, "batches", real)
    assert not (tmp_path / "b" / "genbench_training.json").exists()
    # A second kill, in the middle of writing the next state: it is newer, and torn.
    whole = [path.name for path in (tmp_path / "b" / "trainer").glob("checkpoint-*")]
    assert whole == ["checkpoint-4"]
    torn = tmp_path / "b" / "trainer" / "checkpoint-6"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    folder = train_base(recipe, tmp_path / "b")
    first, second = (load_file(path / "model.safetensors") for path in (trained[0], folder))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert record(folder) == record(trained[0])


def test_a_finished_training_is_not_done_again(trained):
    folder, _ = trained
    before = (folder / "model.safetensors").stat().st_mtime_ns
    said = []
    (folder / "trainer" / "checkpoint-6").mkdir(parents=True)  # killed before it was deleted
    train_base(load_recipe("gp-base", SMALL), folder, say=said.append)
    assert "finished" in said[0]
    assert not (folder / "trainer").exists()
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_folder_of_another_training_is_refused(trained, tmp_path):
    with pytest.raises(UsageError, match="another recipe"):
        train_base(load_recipe("gp-base", [*SMALL, "seed=1"]), trained[0])
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        train_base(load_recipe("gp-base", SMALL), tmp_path)


def test_the_loss_is_on_the_response_and_its_end_alone():
    tokenizer = build_tokenizer()
    encoder = Encoder(tokenizer)
    batch = encoder.batch(
        [([Message("user", "Cards: 1")], "2+2=4"), ([Message("user", "Cards: 1, 2, 3")], "1")]
    )
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    kept = [label for label in labels if label != IGNORED]
    assert tokenizer.decode(kept) == "2+2=4" + tokenizer.eos_token
    end = int(batch["attention_mask"][0].sum())
    assert ids[end - len(kept) : end] == kept
    assert batch["prompt_tokens"][0] == end - len(kept)


def test_batch_i_of_the_mixture_depends_on_the_seed_and_i_alone():
    from itertools import islice

    whole = list(islice(Mixture(seed=5).batches(8), 4))
    assert next(Mixture(seed=5).batches(8, start=3)) == whole[3]
    assert next(Mixture(seed=6).batches(8)) != whole[0]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("schedule.steps=0", "schedule.steps"),
        ("schedule.stepz=3", "schedule.stepz"),
        ("schedule", "key=value"),
        ("name.x=1", "not a group"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_place(assignment, message):
    with pytest.raises((UsageError, TaskError), match=message):
        load_recipe("gp-base", [assignment])
