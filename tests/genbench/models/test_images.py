"""The default backend on checkpoints that read images, of three architectures."""

import hashlib
import io
import json
from dataclasses import replace
from random import Random

import PIL.Image
import pytest
import torch
from asking import answers, change_json, load, requests, user
from picture_task import COLOURS, SIZES, picture
from tiny_models import processor_of

from genbench.errors import ModelError
from genbench.task import Image, Message

SEVERAL = 24


def shown(*parts):
    """A question with images: numbers stand for pictures of that seed, of several sizes."""
    stream = Random(repr(parts))
    return Message(
        "user",
        tuple(
            picture(part, stream.choice(sorted(COLOURS)), stream.choice(SIZES))
            if isinstance(part, int)
            else part
            for part in parts
        ),
    )


def prompts(number):
    """Conversations with no, one and several images, in one turn and over several."""
    found = []
    for index in range(number):
        first = shown(index, "What is it? ")
        again = shown(index, "Compare: ", 100 + index, " and ", 200 + index)
        found.append(
            [
                (first,),
                (Message("system", "Be brief."), again),
                (again, Message("assistant", "A red one."), Message("user", "No. Once more.")),
                (first, Message("assistant", f"It is {index}."), shown("And this?", 300 + index)),
                user(f"How many, {index}?"),
            ][index % 5]
        )
    return found


def plain_answers(folder, asked, max_new_tokens=16):
    """(text, prompt tokens, generated tokens, logprob) by transformers' own means: one prompt at a
    time, as its documentation has it."""
    from transformers import AutoModelForImageTextToText

    processor = processor_of(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for messages in asked:
        chat = [
            {
                "role": message.role,
                "content": [
                    {"type": "text", "text": part}
                    if isinstance(part, str)
                    else {"type": "image", "image": as_pil(part)}
                    for part in (
                        (message.content,) if isinstance(message.content, str) else message.content
                    )
                ],
            }
            for message in messages
        ]
        inputs = processor.apply_chat_template(
            chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        size = inputs["input_ids"].shape[1]
        with torch.inference_mode():
            whole = model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=max_new_tokens,
                output_logits=True,
                return_dict_in_generate=True,
                pad_token_id=processor.tokenizer.eos_token_id,
            )
        new = whole.sequences[0, size:]
        logprobs = torch.log_softmax(torch.cat(whole.logits), dim=-1).gather(1, new[:, None])
        text = processor.tokenizer.decode(new, skip_special_tokens=True)
        found.append((text, size, len(new), float(logprobs.sum())))
    return found


def as_pil(image):
    return PIL.Image.open(io.BytesIO(image.data)).convert("RGB")


# -- answers ---------------------------------------------------------------------------------------


def test_a_greedy_answer_is_that_of_transformers_to_the_prompt_alone(vlm):
    asked = prompts(SEVERAL)
    expected = plain_answers(vlm, asked)
    found = answers(load(vlm, batch_size=7), requests(asked))
    for one, (text, prompt, generated, logprob) in zip(found, expected, strict=True):
        assert one.text == text
        assert (one.prompt_tokens, one.generated_tokens) == (prompt, generated)
        assert one.logprob == pytest.approx(logprob, abs=1e-3)
    assert len({one.text for one in found}) > SEVERAL // 2
    assert {one.finish_reason for one in found} == {"stop", "length"}


def test_an_answer_depends_on_what_the_image_shows(vlm):
    asked = [(Message("user", (picture(seed), "What is it?")),) for seed in range(8)]
    found = answers(load(vlm), requests(asked))
    assert len({one.text for one in found}) > 5
    assert len({one.prompt_tokens for one in found}) == 1


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of transformers, to itself
def test_so_is_that_of_llama_3_2_vision(tiny_mllama):
    """Its processor takes no batch in which some have images, and adds a BOS token by itself."""
    asked = prompts(SEVERAL)
    expected = plain_answers(tiny_mllama, asked)
    model = load(tiny_mllama, batch_size=7)
    found = answers(model, requests(asked))
    for one, (text, prompt, generated, _) in zip(found, expected, strict=True):
        assert one.text == text
        assert (one.prompt_tokens, one.generated_tokens) == (prompt, generated)
    assert len({one.text for one in found}) > SEVERAL // 2
    assert {one["tokens"] for one in model.sampling()["images"]["sizes"]} == {1}
    for request, one in zip(requests(asked), found, strict=True):
        assert model._prompts.length(model._prompts.prompt(request)) == one.prompt_tokens


def test_the_length_of_a_prompt_is_known_before_its_pixels_are(vlm):
    model = load(vlm)
    asked = requests(prompts(SEVERAL))
    for request, one in zip(asked, answers(model, asked), strict=True):
        assert model._prompts.length(model._prompts.prompt(request)) == one.prompt_tokens


@pytest.mark.parametrize("stop", [(), ("e", "1")])
def test_a_greedy_answer_does_not_depend_on_the_batch(vlm, stop):
    asked = requests(prompts(SEVERAL), stop=stop)
    expected = answers(load(vlm, batch_size=1), asked)
    for size in (4, SEVERAL):
        found = answers(load(vlm, batch_size=size), asked)
        for one, other in zip(found, expected, strict=True):
            assert one.text == other.text
            assert one.finish_reason == other.finish_reason
            assert one.prompt_tokens == other.prompt_tokens
            assert one.generated_tokens == other.generated_tokens
            assert one.logprob == pytest.approx(other.logprob, abs=1e-3)


def test_a_sampled_answer_follows_its_seed_alone(vlm):
    def asked(messages, seeds):
        made = requests([messages] * len(seeds), temperature=1.0)
        return [replace(one, seed=seed) for one, seed in zip(made, seeds, strict=True)]

    question = prompts(2)[1]
    found = answers(load(vlm, batch_size=6), asked(question, range(6)))
    assert len({one.text for one in found}) > 3
    again = answers(load(vlm, batch_size=1), asked(question, [4]))
    assert again[0].text == found[4].text


def test_half_precision_is_run_in_half_precision(vlm):
    model = load(vlm, dtype="bfloat16")
    found = answers(model, requests(prompts(5)))
    assert model._model.dtype == torch.bfloat16
    assert all(one.generated_tokens for one in found)


# -- prompts ---------------------------------------------------------------------------------------


def rendered(folder, messages, **options):
    return load(folder, **options).rendered(requests([messages])[0])


def test_the_first_image_stays_in_the_history(vlm):
    first = shown(1, "What is it?")
    later = (first, Message("assistant", "Red."), Message("user", "No."))
    once, twice = rendered(vlm, (first,)), rendered(vlm, later)
    assert twice["images"] == once["images"]
    assert twice["text"].index("What is it?") < twice["text"].index("Red.")
    token = load(vlm)._prompts._renderer.image_token
    assert once["text"].count(token) == twice["text"].count(token) == 1


def test_the_prompt_is_shown_with_the_tokens_of_its_images(vlm):
    asked = (shown(1, "this and", 2),)
    found = rendered(vlm, asked)
    expected = plain_answers(vlm, [asked], max_new_tokens=1)[0][1]
    assert len(found["ids"]) == expected
    text_tokens = len(load(vlm).tokenizer(found["text"], add_special_tokens=False)["input_ids"])
    of_images = sum(image["tokens"] for image in found["images"])
    # In the text one token stands for each image.
    assert text_tokens - 2 + of_images == expected
    assert [image["sha256"] for image in found["images"]] == [
        hashlib.sha256(part.data).hexdigest() for part in asked[0].images
    ]


@pytest.mark.parametrize("written", ["<image>", "<|image_pad|>", "<|video_pad|>", "<video>"])
def test_an_image_token_in_an_answer_stands_for_no_image(vlm, written):
    """A model, or a prompt, may spell the token out; the tokenizer would read it as one."""
    model = load(vlm)
    tokens = {model.tokenizer.convert_tokens_to_ids(name) for name in ("<image>", "<|image_pad|>")}

    def ids(*chat):
        return model.rendered(requests([chat])[0])["ids"]

    def question(text):
        return Message("user", (picture(1), text))

    chat = (question(f"Not {written}?"), Message("assistant", written), Message("user", "No."))
    assert answers(model, requests([chat]))[0].generated_tokens
    expected = [number for number in ids(question("Not?")) if number in tokens]
    assert [number for number in ids(*chat) if number in tokens] == expected


HOSTILE = [
    "{'type': 'text', 'text': 'x'}", "{{ 7 * 7 }}", "{% raise %}", "", " ", "\0",
    "<fake_token_around_image><global-img>", "<|vision_start|><|vision_end|>", "<s><s>", "é" * 50,
]  # fmt: skip


@pytest.mark.parametrize("written", HOSTILE)
def test_no_answer_stops_the_conversation(vlm, written):
    """Whatever a model has said goes into the history of its next attempt."""
    chat = (shown(1, "What?"), Message("assistant", written), Message("user", f"No: {written}."))
    assert answers(load(vlm), requests([chat]))[0].finish_reason in ("stop", "length")


def test_without_a_template_the_image_token_stands_where_the_image_does(vlm):
    found = rendered(vlm, (shown("Before ", 1, " after"),), chat_template="off")
    token = load(vlm)._prompts._renderer.image_token
    assert found["text"] == f"Before {token} after\n\n"
    assert found["chat_template"] is False


def template(folder, text):
    """Set the chat template of a checkpoint."""
    (folder / "chat_template.json").unlink(missing_ok=True)
    (folder / "chat_template.jinja").write_text(text)


SYSTEM_AS_TEXT = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] | trim }}{% else %}"
    "{% for part in m['content'] %}{% if part['type'] == 'image' %}<image>{% else %}"
    "{{ part['text'] }}{% endif %}{% endfor %}{% endif %}|{% endfor %}"
)


def test_a_system_message_that_a_template_takes_as_text_alone_is_not_garbled(tiny_llava, copy_of):
    folder = copy_of(tiny_llava)
    template(folder, SYSTEM_AS_TEXT.replace("{% for part", "{% if m['content'] is string %}"
             "{{ m['content'] }}{% else %}{% for part").replace("{% endfor %}{% endif %}|",
             "{% endfor %}{% endif %}{% endif %}|"))  # fmt: skip
    chat = (Message("system", "Be brief."), shown(1, "What?"))
    assert rendered(folder, chat)["text"] == "Be brief.|<image>What?|"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{% for m in messages %}{{ m['role'] }}{% endfor %}", "writes 0 image tokens"),
        ("{% for m in messages %}{{ m['content'] }}{% endfor %}", "writes 0 image tokens"),
        ("{{ raise_exception('no images, please') }}", "refuses messages .*no images, please"),
        ("{{ messages[0]['content'] + 'x' }}", "chat template refuses messages"),
        ("<image>{% for m in messages %}.{% endfor %}", "leaves out the text of a message"),
        ("<image><image>{{ messages[0]['content'][1]['text'] }}", "writes 2 image tokens"),
    ],
)
def test_a_template_that_loses_images_or_text_is_refused(tiny_llava, copy_of, text, message):
    folder = copy_of(tiny_llava)
    template(folder, text)
    model = load(folder)
    with pytest.raises(ModelError, match=message):
        model.submit(requests([(shown(1, "What is it?"),)]))


def test_a_template_of_text_alone_serves_a_task_of_text_alone(tiny_llava, copy_of):
    folder = copy_of(tiny_llava)
    template(folder, "{% for m in messages %}{{ '[' + m['content'] + ']' }}{% endfor %}")
    assert rendered(folder, user("How many?"))["text"] == "[How many?]"
    assert answers(load(folder), requests([user("How many?")]))[0].generated_tokens


@pytest.mark.parametrize("bos", ["", "{{ bos_token }}", "{{ bos_token }}{{ bos_token }}"])
def test_bos_comes_once(tiny_llava, copy_of, bos):
    """The processor adds it to a template that does not write it, as in transformers."""
    folder = copy_of(tiny_llava)
    original = (folder / "chat_template.jinja").read_text()
    template(folder, original.replace("{{ bos_token }}", bos))
    asked = (shown(1, "What is it?"),)
    if bos.count("bos") == 2:
        with pytest.raises(ModelError, match="two BOS tokens"):
            rendered(folder, asked)
        return
    ids = rendered(folder, asked)["ids"]
    assert ids.count(load(folder).tokenizer.bos_token_id) == 1
    assert len(ids) == plain_answers(folder, [asked], max_new_tokens=1)[0][1]


def test_padding_that_the_model_does_not_know_is_not_used(tiny_llava, copy_of):
    from transformers import AutoTokenizer

    folder = copy_of(tiny_llava)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})  # an id beyond the embeddings
    tokenizer.save_pretrained(folder)
    asked = requests(prompts(9))
    expected = [one.text for one in answers(load(tiny_llava), asked)]
    assert [one.text for one in answers(load(folder), asked)] == expected


# -- text alone ------------------------------------------------------------------------------------


def test_a_checkpoint_without_a_processor_answers_text(tiny_llava, copy_of):
    folder = copy_of(tiny_llava)
    (folder / "processor_config.json").unlink()
    asked = requests([user("How many?"), user("Which?")])
    expected = [one.text for one in answers(load(tiny_llava), asked)]
    assert [one.text for one in answers(load(folder), asked)] == expected
    with pytest.raises(ModelError, match="has no image processor"):
        load(folder).submit(requests([(shown(1, "What?"),)]))


# -- memory and context ----------------------------------------------------------------------------


def test_a_batch_that_does_not_fit_is_halved_and_every_answer_stays(vlm):
    asked = requests(prompts(13))
    expected = [one.text for one in answers(load(vlm, batch_size=13), asked)]
    model = load(vlm, batch_size=13)
    generate, tried = model._model.generate, []

    def limited(ids, **settings):
        tried.append(len(ids))
        if len(ids) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return generate(ids, **settings)

    model._model.generate = limited
    assert [one.text for one in answers(model, asked)] == expected
    assert model.events()["halved_batches"] == [size for size in tried if size > 3]
    assert sum(size for size in tried if size <= 3) == 13


def test_pixels_that_do_not_fit_halve_the_batch_too(vlm, monkeypatch):
    model = load(vlm, batch_size=8)
    asked = requests(prompts(8)[:4])
    expected = [one.text for one in answers(load(vlm, batch_size=8), asked)]
    encoded = model._prompts._encoded

    def limited(texts, images, **settings):
        if len(texts) > 2 and any(images):
            raise MemoryError("Unable to allocate 3 GiB")
        return encoded(texts, images, **settings)

    monkeypatch.setattr(model._prompts, "_encoded", limited)
    assert [one.text for one in answers(model, asked)] == expected
    assert model.events()["halved_batches"] == [4]


def test_one_prompt_that_does_not_fit_says_that_images_may_be_smaller(tiny_qwen_vl):
    model = load(tiny_qwen_vl)

    def full(ids, **settings):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    model._model.generate = full
    with pytest.raises(ModelError, match=r"one prompt alone does not fit.*smaller images"):
        answers(model, requests([(shown(1, "What?"),)]))


def test_images_too_many_for_the_context_are_refused_before_the_first_batch(vlm):
    many = Message("user", (*(picture(seed) for seed in range(1500)), "Which?"))
    model = load(vlm)
    with pytest.raises(ModelError, match=r"2048 tokens\) is too short: .* \(with those of its im"):
        model.submit(requests([(shown(1, "One."),), (many,)]))


def test_a_later_turn_gets_what_room_its_images_leave(vlm):
    model = load(vlm)
    question = (shown(1, "x"),)
    size = len(model.rendered(requests([question])[0])["ids"])
    long = (*question, Message("assistant", "y" * (2048 - 5 - size - 40)), Message("user", "z"))
    more = len(model.rendered(requests([long])[0])["ids"])
    long = (*long[:2], Message("user", "z" * (1 + 2048 - 5 - more)))
    full = (*long[:2], Message("user", "z" * 60))
    neighbour = (shown(2, "a neighbour"),)
    expected = answers(load(vlm), requests([neighbour], turn=1))[0]
    found = answers(model, requests([long, neighbour, full], turn=1))
    assert found[0].prompt_tokens == 2043
    assert found[0].generated_tokens == 5 or found[0].finish_reason == "stop"
    assert found[1].text == expected.text
    assert (found[2].text, found[2].finish_reason, found[2].generated_tokens) == ("", "length", 0)


def test_images_that_the_model_cannot_take_are_an_error_in_one_line(tiny_llava):
    model = load(tiny_llava, arguments={"image_size": "48"})
    with pytest.raises(ModelError, match=r"^the model refuses its images [^\n]*48[^\n]*$"):
        answers(model, requests([(shown(1, "What?"),)]))


# -- what is recorded ------------------------------------------------------------------------------

# By hand. LLaVA: 32 / 8 squared, without the class token. Idefics3: the longest side becomes 64,
# then 32 x 32 tiles and the whole; a tile is 4 image tokens and two that frame it, a row of tiles
# ends with a line break, another one follows, and the whole is framed by three. Qwen2.5-VL: the
# sides to multiples of 16, at most 48 * 48 pixels in all; one token for 16 x 16.
EXPECTED = {
    "tiny-llava": {
        (48, 40): (32, 32, 1, 16),
        (64, 64): (32, 32, 1, 16),
        (90, 33): (32, 32, 1, 16),
    },
    "tiny-idefics": {
        (48, 40): (32, 32, 5, 34),
        (64, 64): (32, 32, 5, 34),
        (90, 33): (32, 32, 3, 21),
    },
    "tiny-qwen-vl": {
        (48, 40): (48, 32, 1, 6),
        (64, 64): (48, 48, 1, 9),
        (90, 33): (64, 16, 1, 4),
    },
}


def sizes_of(model):
    return {
        (one["width"], one["height"]): (
            *(one["processed_width"], one["processed_height"]),
            *(one["tiles"], one["tokens"]),
        )
        for one in model.sampling()["images"]["sizes"]
    }


def test_what_an_image_becomes_is_recorded(vlm):
    model = load(vlm)
    assert sizes_of(model) == {}
    asked = [(Message("user", (picture(1, "red", size), "What?")),) for size in SIZES]
    model.submit(requests(asked))
    assert sizes_of(model) == EXPECTED[vlm.name]
    assert json.loads(json.dumps(model.sampling())) == model.sampling()
    model.start(None)
    assert sizes_of(model) == {}  # of the next run nothing is known yet


def test_the_settings_of_the_processor_are_recorded(vlm):
    found = load(vlm).sampling()["images"]["processor"]
    settings = found["image_processor"]
    assert found["backend"] == "pil"
    assert settings["do_resize"] is True
    assert len(settings["image_mean"]) == 3
    expected = {
        "tiny-llava": {"shortest_edge": 32},
        "tiny-idefics": {"longest_edge": 64},
        "tiny-qwen-vl": {"shortest_edge": 256, "longest_edge": 48 * 48},
    }
    assert settings["size"] == expected[vlm.name]
    assert (found.get("patch_size") or settings.get("patch_size", 8)) == 8
    assert list(load(vlm).sampling()["images"]["files"]) in (
        [["processor_config.json"], ["preprocessor_config.json"]]
    )


def test_a_checkpoint_of_text_records_no_images(tiny_llama):
    assert "images" not in load(tiny_llama).sampling()


@pytest.mark.parametrize(
    ("name", "arguments", "size", "expected"),
    [
        ("tiny_qwen_vl", {"max_pixels": "1024"}, (64, 64), (32, 32, 1, 4)),
        ("tiny_qwen_vl", {"min_pixels": "2304"}, (16, 16), (48, 48, 1, 9)),
        ("tiny_qwen_vl", {"min_pixels": "1024", "max_pixels": "1024"}, (90, 33), (48, 16, 1, 3)),
        ("tiny_idefics", {"image_size": "32"}, (64, 64), (32, 32, 1, 7)),
        ("tiny_idefics", {"image_size": "96"}, (64, 64), (32, 32, 10, 65)),
        ("tiny_llava", {"image_size": "16"}, (64, 64), (16, 16, 1, 4)),
    ],
)
def test_the_resolution_can_be_set_and_is_recorded(request, name, arguments, size, expected):
    model = load(request.getfixturevalue(name), arguments=arguments)
    asked = requests([(Message("user", (picture(1, "red", size), "What?")),)])
    model.submit(asked)
    assert sizes_of(model) == {size: expected}
    of_default = load(request.getfixturevalue(name)).sampling()["images"]["processor"]
    assert model.sampling()["images"]["processor"] != of_default
    if name != "tiny_llava":  # whose tower takes one size alone
        assert answers(load(request.getfixturevalue(name), arguments=arguments), asked)


def test_an_image_of_another_kind_is_processed_as_its_own_media_type(tiny_llava):
    file = io.BytesIO()
    as_pil(picture(3)).save(file, "WEBP", lossless=True)
    webp = Image(file.getvalue(), "image/webp")
    asked = [(Message("user", (one, "What?")),) for one in (picture(3), webp)]
    found = answers(load(tiny_llava), requests(asked))
    assert found[0] == found[1]


def test_the_older_layout_of_processor_files_is_the_same_processor(tiny_llava, copy_of):
    folder = copy_of(tiny_llava)
    content = json.loads((folder / "processor_config.json").read_text())
    inner = content.pop("image_processor")
    change_json(folder / "processor_config.json", image_processor=None)
    (folder / "preprocessor_config.json").write_text(json.dumps(inner))
    asked = requests(prompts(5))
    expected = [one.text for one in answers(load(tiny_llava), asked)]
    assert [one.text for one in answers(load(folder), asked)] == expected
