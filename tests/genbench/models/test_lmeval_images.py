"""lm-eval's hf-multimodal as the independent reference for prompts with images."""

import gc
from importlib.util import find_spec

import pytest
from asking import answers, identify, requests, user
from asking import load as loaded
from picture_task import SIZES, picture, picture_task
from test_images import SEVERAL, prompts, shown

import genbench
from genbench.errors import ModelError
from genbench.task import Message

BACKEND = "lm-eval:hf-multimodal"
# lm-eval processes images as transformers does by default.
BY = "pil" if find_spec("torchvision") is None else "torchvision"


def load(folder, backend="hf", **options):
    """As `asking.load`; both backends process images by the same library."""
    if backend == "hf":
        options["arguments"] = {"image_backend": BY}
    return loaded(folder, backend, **options)


# lm-eval cannot load the processor of the third without torchvision.
@pytest.fixture(
    scope="session", params=["llava", "idefics", *(["qwen_vl"] if BY == "torchvision" else [])]
)
def vlm(request):
    return request.getfixturevalue(f"tiny_{request.param}")


@pytest.fixture(autouse=True)
def quick_collections():
    """lm-eval collects garbage after every batch: what is there before is not looked through."""
    gc.freeze()
    yield
    gc.unfreeze()


def same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert one.text == other.text
        assert one.finish_reason == other.finish_reason
        assert one.prompt_tokens == other.prompt_tokens
        assert one.generated_tokens == other.generated_tokens


@pytest.mark.parametrize(("template", "stop"), [("auto", ()), ("off", ()), ("auto", ("/", "."))])
def test_hf_and_lm_eval_give_the_same_greedy_answers(vlm, template, stop):
    """Text and images are mixed, in one call and in one conversation. lm-eval would find a stop
    string in a special token, too: these are in none."""
    asked = requests(prompts(SEVERAL), stop=stop)
    ours = answers(load(vlm, batch_size=7, chat_template=template), asked)
    theirs = answers(load(vlm, BACKEND, batch_size=12, chat_template=template), asked)
    same(ours, theirs)
    assert len({one.text for one in ours}) > SEVERAL // 2
    assert {one.finish_reason for one in ours} == {"stop", "length"}


def test_prompts_that_differ_in_their_images_alone_are_kept_apart(vlm):
    asked = requests([(Message("user", (picture(seed), "What?")),) for seed in range(12)])
    ours, theirs = answers(load(vlm), asked), answers(load(vlm, BACKEND, batch_size=12), asked)
    same(ours, theirs)
    assert len({one.prompt_tokens for one in ours}) == 1
    assert len({one.generated_tokens for one in ours}) > 1


def test_both_are_given_the_same_prompt(vlm):
    for template in ("auto", "off"):
        ours = load(vlm, chat_template=template)
        theirs = load(vlm, BACKEND, chat_template=template)
        for request in requests(prompts(5)):
            assert theirs.rendered(request) == ours.rendered(request)


def test_both_record_the_same_of_images(vlm):
    asked = requests([(Message("user", (picture(1, "red", size), "What?")),) for size in SIZES])
    ours, theirs = load(vlm), load(vlm, BACKEND)
    ours.submit(asked)
    theirs.submit(asked)
    assert len(ours.sampling()["images"]["sizes"]) == len(SIZES)
    assert ours.sampling() == theirs.sampling()


def test_bos_comes_once_where_the_template_writes_it_and_where_it_does_not(tiny_llava, copy_of):
    folder = copy_of(tiny_llava)
    template = (folder / "chat_template.jinja").read_text()
    asked = requests([(shown(1, "What is it?"),), user("How many?")])
    for text in (template, template.replace("{{ bos_token }}", "")):
        (folder / "chat_template.jinja").write_text(text)
        ours, theirs = load(folder), load(folder, BACKEND)
        for request in asked:
            ids = theirs.rendered(request)["ids"]
            assert ids == ours.rendered(request)["ids"]
            assert ids.count(ours.tokenizer.bos_token_id) == 1
        same(answers(ours, asked), answers(theirs, asked))
    (folder / "chat_template.jinja").write_text("{{ bos_token }}" + template)
    with pytest.raises(ModelError, match="two BOS tokens"):
        answers(load(folder, BACKEND), asked[:1])


def test_an_image_token_in_an_answer_stands_for_no_image(vlm):
    model = load(vlm)
    token = model._prompts._renderer.image_token
    chat = (shown(1, f"Not {token}?"), Message("assistant", token), Message("user", "No."))
    asked = requests([chat])
    same(answers(model, asked), answers(load(vlm, BACKEND), asked))


def test_a_template_that_loses_images_is_refused(tiny_llava, copy_of):
    folder = copy_of(tiny_llava)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}x{% endfor %}")
    model = load(folder, BACKEND)
    with pytest.raises(ModelError, match="as lm-eval uses it, writes 0 image tokens"):
        model.submit(requests([(shown(1, "What?"),)]))


def test_its_own_resizing_is_done_and_recorded(tiny_idefics):
    model = load(tiny_idefics, BACKEND, arguments={"image_max_side": "24"})
    asked = requests([(Message("user", (picture(1), "What?")),)])
    found = answers(model, asked)[0]
    (size,) = model.sampling()["images"]["sizes"]
    assert (size["width"], size["height"]) == (48, 40)
    assert len(model.rendered(asked[0])["ids"]) == found.prompt_tokens


def test_images_too_many_for_the_context_are_refused_before_the_first_batch(vlm):
    many = Message("user", (*(picture(seed) for seed in range(500)), "Which?"))
    with pytest.raises(ModelError, match=r"context of this checkpoint \(2048 tokens\)"):
        load(vlm, BACKEND).submit(requests([(many,)]))


def test_missing_weights_are_not_drawn_at_random(tiny_llava, copy_of):
    from asking import change_weights

    folder = copy_of(tiny_llava)
    change_weights(folder, lambda old: {k: w for k, w in old.items() if "vision_tower" not in k})
    for backend in ("hf", BACKEND):
        with pytest.raises(ModelError, match=r"lacks weights .*vision_tower"):
            load(folder, backend)


def test_a_checkpoint_has_the_same_identity_by_both(vlm):
    ours, theirs = identify(vlm), identify(vlm, BACKEND)
    assert ours.weights_fingerprint == theirs.weights_fingerprint
    assert ours.files_fingerprint == theirs.files_fingerprint
    assert theirs.cannot_see is None


def test_a_run_through_lm_eval_has_the_verdicts_of_a_run_through_hf(vlm, tmp_path):
    found = {}
    for backend in ("hf", BACKEND):
        output = tmp_path / backend.replace(":", "-")
        task = picture_task(n=5, images=2, sizes=True)
        arguments = {"image_backend": BY} if backend == "hf" else {}
        genbench.run(str(vlm), task, output=output, backend=backend, model_args=arguments)
        (results,) = output.rglob("results.json")
        found[backend] = list(genbench.load_run(results.parent).episodes)
    assert found["hf"] == found[BACKEND]
    assert sum(len(episode.turns) for episode in found["hf"]) == 20
