"""A parent without a chat template: refused, or given one that its checkpoints then carry."""

import shutil

import pytest
from transformers import AutoTokenizer

from genbench.errors import UsageError
from genbench.models.rendering import Renderer
from genbench.task import Message
from genbench.training.parent import load_tokenizer
from genbench.training.plan import Job
from genbench.training.recipes import load_recipe
from genbench.training.tuning import tune

FEW = ["schedule.steps=2", "schedule.checkpoints=[]", "schedule.batch_size=2", "monitoring=null"]
CHAT = [Message("user", "Cards: 1 2"), Message("assistant", "24"), Message("user", "No.")]


def train(recipe, base, output, *more):
    return tune(
        load_recipe(recipe, [*FEW, *more], str(base)), output, Job("cpu", 1, lambda _: None)
    )


@pytest.fixture
def bare(parent, tmp_path):
    """The tiny parent without its template."""
    folder = shutil.copytree(parent, tmp_path / "bare")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = None
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    assert AutoTokenizer.from_pretrained(folder).chat_template is None
    return folder


def test_without_a_template_nothing_is_trained(bare, tmp_path):
    with pytest.raises(UsageError, match=r"no chat template.*--set model\.chat_template=plain"):
        train("gp-sft-quick", bare, tmp_path / "a")


def test_a_template_of_its_own_is_not_replaced(parent, tmp_path):
    with pytest.raises(UsageError, match="a chat template of its own"):
        train("gp-sft-quick", parent, tmp_path / "a", "model.chat_template=plain")


def test_a_file_that_is_not_there_is_named(bare, tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.jinja cannot be read"):
        train("gp-sft-quick", bare, tmp_path / "a", "model.chat_template=nowhere.jinja")


def test_under_the_plain_template_prompts_are_what_a_run_without_one_asks(bare, tmp_path):
    train("gp-sft-quick", bare, tmp_path / "a", "model.chat_template=plain")
    before = Renderer(AutoTokenizer.from_pretrained(bare), "auto")
    after = Renderer(AutoTokenizer.from_pretrained(tmp_path / "a" / "step-2"), "auto")
    assert (before.uses_template, after.uses_template) == (False, True)
    assert after.ids(after.text(CHAT[:1])) == before.ids(before.text(CHAT[:1]))
    assert after.text(CHAT) == before.text(CHAT).replace("24", "24<|end|>")


def test_a_beginning_that_the_tokenizer_writes_itself_is_kept(tiny_bos_without_template):
    recipe = load_recipe("gp-sft-quick", ["model.chat_template=plain"], "x")
    tokenizer = load_tokenizer(recipe, tiny_bos_without_template)
    after = Renderer(tokenizer, "on")
    before = Renderer(tokenizer, "off")
    ids = after.ids(after.text(CHAT[:1]))
    assert ids == before.ids(before.text(CHAT[:1]))
    assert ids[0] == tokenizer.bos_token_id


@pytest.fixture
def tiny_bos_without_template(tmp_path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(byte_alphabet())}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<s>", "</s>"])
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", core.token_to_id("<s>"))]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")
    tokenizer.save_pretrained(tmp_path / "bos")
    return tmp_path / "bos"


def byte_alphabet():
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def test_reinforcement_over_turns_goes_by_the_plain_template(bare, tmp_path):
    folder = train(
        "gp-rl-quick", bare, tmp_path / "a", "model.chat_template=plain", "rl.turns=2",
        "rl.num_generations=2", "rl.max_completion_length=12", "schedule.micro_batch=4",
        "schedule.resume_every=1",
    )  # fmt: skip
    assert (folder / "step-2" / "genbench_training.json").is_file()
