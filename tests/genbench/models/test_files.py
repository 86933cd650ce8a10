"""What is known of a checkpoint without loading it."""

import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from asking import change_json, identify

from genbench.errors import ModelError, UsageError
from genbench.models import files

# -- fingerprints ----------------------------------------------------------------------------------


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def both(folder, backend="hf"):
    found = identify(folder, backend)
    return found.weights_fingerprint, found.files_fingerprint


def test_one_bit_of_the_weights_changes_their_fingerprint(tiny_llama, copy_of):
    folder = copy_of(tiny_llama)
    weights, others = both(folder)
    assert (weights, others) == both(tiny_llama)
    for place in (-1, -5000):
        flip(folder / "model.safetensors", place)
        changed, same = both(folder)
        assert changed != weights
        assert same == others
        weights = changed


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    ],
)
def test_a_change_of_what_decides_an_answer_changes_the_other_fingerprint(
    tiny_llama, copy_of, name
):
    folder = copy_of(tiny_llama)
    weights, others = both(folder)
    (folder / name).write_text((folder / name).read_text() + " ")
    assert both(folder)[0] == weights
    assert both(folder)[1] != others


def test_a_new_template_beside_the_weights_changes_the_fingerprint(tiny_gpt2, copy_of):
    folder = copy_of(tiny_gpt2)
    before = both(folder)
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    assert both(folder)[1] != before[1]


def test_a_name_a_place_and_a_training_record_change_no_fingerprint(tiny_llama, copy_of):
    folder = copy_of(tiny_llama, "elsewhere")
    (folder / files.TRAINING_RECORD).write_text('{"recipe": "mine"}')
    (folder / "README.md").write_text("a model")
    os.utime(folder / "model.safetensors", (0, 0))
    assert both(folder) == both(tiny_llama)
    assert identify(folder).training == {"recipe": "mine"}
    assert identify(tiny_llama).training is None


def test_a_file_under_another_name_is_another_file(tmp_path):
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    before = files.fingerprints(tmp_path, [])
    (tmp_path / "chat_template.jinja").rename(tmp_path / "unused.jinja")
    assert files.fingerprints(tmp_path, [])[1] != before[1]


def test_the_content_of_two_files_cannot_be_exchanged(tmp_path, tiny_llama):
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    before = files.fingerprints(tmp_path, [first, second])
    first.write_bytes(b"two")
    second.write_bytes(b"one")
    assert files.fingerprints(tmp_path, [second, first]) != before


def test_both_backends_give_a_checkpoint_the_same_fingerprints(checkpoint):
    assert both(checkpoint) == both(checkpoint, "lm-eval:hf")


def test_the_parameters_are_counted_from_the_headers(checkpoint):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    assert identify(checkpoint).parameters == model.num_parameters()


def test_a_checkpoint_in_shards_is_the_same_model(tiny_llama, tmp_path):
    from asking import answers, load, requests, short_prompts
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path / "sharded"
    AutoModelForCausalLM.from_pretrained(tiny_llama).save_pretrained(folder, max_shard_size="200KB")
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(folder)
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 1
    assert identify(folder).parameters == identify(tiny_llama).parameters
    asked = requests(short_prompts(6))
    assert answers(load(folder), asked) == answers(load(tiny_llama), asked)
    shards[1].unlink()
    with pytest.raises(ModelError, match=shards[1].name):
        load(folder)


# -- refusals --------------------------------------------------------------------------------------


def header(content):
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(raw)) + raw


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01\x02",
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 1000) + b"{}",
        header(b"not json"),
        header(b"[" * 50_000),
        header([1]),
        header({"w": 1}),
        header({"w": {"dtype": "F32"}}),
        header({"w": TENSOR | {"shape": 2}}) + bytes(8),
        header({"w": TENSOR | {"data_offsets": [0]}}) + bytes(8),
        header({"w": TENSOR}) + bytes(7),
        header({"w": TENSOR}) + bytes(9),
        header({}),
        header({"__metadata__": {"format": "pt"}}),
    ],
    ids=lambda content: f"{len(content)} bytes",
)
def test_a_damaged_weight_file_is_refused_before_it_is_loaded(tiny_llama, copy_of, content):
    folder = copy_of(tiny_llama)
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"readable safetensors|without any weights") as error:
        identify(folder)
    assert "\n" not in str(error.value)


def remove(name):
    return lambda folder: (folder / name).unlink()


def write(name, content):
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("config.json"), "no config.json: it is not a Hugging Face checkpoint"),
        (write("config.json", "{"), "config.json cannot be read as JSON"),
        (write("config.json", "[" * 100_000), "config.json cannot be read as JSON"),
        (write("config.json", "[]"), "holds no JSON object"),
        (write("generation_config.json", "{"), "generation_config.json cannot be read as JSON"),
        (write("genbench_training.json", "{"), "genbench_training.json cannot be read as JSON"),
        (remove("tokenizer.json"), "no tokenizer .*save the tokenizer beside the weights"),
        (remove("model.safetensors"), r"no weight file \(\*.safetensors\)"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tiny_llama, copy_of, damage, message):
    folder = copy_of(tiny_llama)
    damage(folder)
    with pytest.raises(ModelError, match=message):
        identify(folder)


@pytest.mark.parametrize("kind", ["T5ForConditionalGeneration", "BertModel", "LlamaModel"])
def test_what_is_no_causal_language_model_is_refused(tiny_llama, copy_of, kind):
    folder = copy_of(tiny_llama)
    change_json(folder / "config.json", architectures=[kind])
    with pytest.raises(ModelError, match=f"not a causal language model, nor .* names {kind}"):
        identify(folder)


def test_an_adapter_is_told_from_a_folder_without_a_model(tiny_llama, copy_of, tmp_path):
    folder = copy_of(tiny_llama)
    (folder / "config.json").rename(folder / "adapter_config.json")
    with pytest.raises(ModelError, match="adapter without its base model; merge it"):
        identify(folder)
    with pytest.raises(ModelError, match=r"has no config\.json"):
        identify(tmp_path)


def test_code_of_the_checkpoint_runs_only_when_it_is_trusted(tiny_llama, copy_of):
    folder = copy_of(tiny_llama)
    change_json(folder / "config.json", auto_map={"AutoModelForCausalLM": "own.Model"})
    for trust in ({}, {"trust_remote_code": "false"}):
        for backend in ("hf", "lm-eval:hf"):
            with pytest.raises(ModelError, match="trust_remote_code=true"):
                identify(folder, backend, arguments=trust)
    assert identify(folder, arguments={"trust_remote_code": "true"}).parameters


def test_padding_beyond_the_vocabulary_is_refused(tiny_llama, copy_of):
    folder = copy_of(tiny_llama)
    change_json(folder / "config.json", pad_token_id=493)
    with pytest.raises(ModelError, match=r"padding token 493, .* vocabulary of 493 tokens"):
        identify(folder)


def test_an_unknown_model_argument_gets_the_closest_one(tiny_llama):
    with pytest.raises(UsageError, match="no argument 'alow_pickle'; did you mean 'allow_pickle'"):
        identify(tiny_llama, arguments={"alow_pickle": "true"})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./none", r"^there is no directory \./none$"),
        ("~/none/at/all", "there is no directory ~/none/at/all"),
        ("a/b/c", "there is no directory a/b/c"),
        (__file__, "is a file; a checkpoint is given by its directory"),
        ("no such model", "no such directory, and no valid hub id"),
        ("", "the model's name is empty"),
    ],
)
def test_a_name_that_is_nothing_is_refused(name, message):
    with pytest.raises(ModelError, match=message):
        identify(name)


# -- the hub ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environment",
    [{"HF_HUB_OFFLINE": "1"}, {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9"}],
)
def test_a_hub_id_without_a_network_is_refused_at_once(environment, tmp_path):
    started = time.monotonic()
    found = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("genbench")), "run", "--task", "gp-ood-rule"),
            *("--model", "nobody/nothing-here", "--output", str(tmp_path)),
        ],
        env={**os.environ, **environment, "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 2
    assert time.monotonic() - started < 20
    assert "there is no model 'nobody/nothing-here': no such directory, and the hub" in found.stderr
    assert found.stderr.count("\n") == 1
    assert "Traceback" not in found.stderr


def test_nothing_heavy_is_imported_to_refuse_a_checkpoint(tmp_path):
    code = (
        "import sys; sys.argv = ['genbench', 'run', '--model', sys.argv[1], '--task', "
        "'gp-ood-rule']\n"
        "from genbench.cli.entry import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert stop.code == 2\n"
        "heavy = {'torch', 'transformers', 'lm_eval'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert found.returncode == 0, found.stderr
    assert "has no config.json" in found.stderr
