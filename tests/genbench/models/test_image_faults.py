"""Checkpoints and images that cannot be used: one sentence, exit code 2, and no model loaded."""

import io
import json
import struct
import zlib
from contextlib import suppress
from importlib.util import find_spec

import PIL.Image
import pytest
from asking import answers, change_json, identify, load, requests, user
from hypothesis import given
from hypothesis import strategies as st
from picture_task import picture, png

from genbench.errors import ModelError, TaskError, UsageError
from genbench.models.images import Images
from genbench.models.rendering import ImageRenderer
from genbench.task import Image, Message

# -- what a checkpoint is, by its files ------------------------------------------------------------


def test_the_kind_of_a_checkpoint_is_known_from_its_files(vlm, tiny_llama, copy_of):
    assert identify(vlm).cannot_see is None
    assert "LlamaForCausalLM, a model of text" in identify(tiny_llama).cannot_see
    blind = copy_of(vlm)
    for name in ("processor_config.json", "preprocessor_config.json"):
        (blind / name).unlink(missing_ok=True)
    assert "has no image processor" in identify(blind).cannot_see


def test_a_checkpoint_without_a_template_is_told_of_plain_text(vlm, copy_of):
    folder = copy_of(vlm)
    for name in ("chat_template.jinja", "chat_template.json"):
        (folder / name).unlink(missing_ok=True)
    assert "--chat-template off" in identify(folder).cannot_see
    assert identify(folder, chat_template="off").cannot_see is None
    found = answers(load(folder, chat_template="off"), requests([question(picture(1))]))
    assert found[0].generated_tokens


def test_the_parameters_are_those_of_both_towers(vlm):
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(vlm)
    assert identify(vlm).parameters == model.num_parameters()


def processor_file(folder):
    (found,) = (
        folder / name
        for name in ("processor_config.json", "preprocessor_config.json")
        if (folder / name).is_file()
    )
    return found


def test_a_change_of_the_processor_changes_the_fingerprint_of_the_files(vlm, copy_of):
    folder = copy_of(vlm)
    before = identify(folder)
    path = processor_file(folder)
    path.write_text(path.read_text().replace("0.", "0.0", 1))
    after = identify(folder)
    assert after.files_fingerprint != before.files_fingerprint
    assert after.weights_fingerprint == before.weights_fingerprint


def truncated_processor(folder):
    path = processor_file(folder)
    path.write_text(path.read_text()[:100])


def unnamed_processor(folder):
    path = processor_file(folder)
    content = json.loads(path.read_text())
    inner = content.get("image_processor", content)
    del inner["image_processor_type"]
    path.write_text(json.dumps(content))


def list_processor(folder):
    path = processor_file(folder)
    if path.name == "processor_config.json":
        change_json(path, image_processor=["CLIPImageProcessor"])
    else:
        path.write_text("[]")


def broken_template(folder):
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    (folder / "chat_template.json").write_text('{"chat_template": ')


def unknown_processor(folder):
    change_json(processor_file(folder), processor_class="NonesuchProcessor")


def unknown_image_processor(folder):
    path = processor_file(folder)
    path.write_text(path.read_text().replace('ImageProcessor"', 'ImageProcessorOfMine"'))


def wrong_size(folder):
    path = processor_file(folder)
    content = json.loads(path.read_text())
    content.get("image_processor", content)["size"] = {"edge": "wide"}
    path.write_text(json.dumps(content))


def encoder_decoder(folder):
    change_json(folder / "config.json", is_encoder_decoder=True)


FAULTS = [
    (encoder_decoder, "an encoder-decoder model, which answers no chat"),
    (truncated_processor, "cannot be read as JSON"),
    (unnamed_processor, "does not say which image processor it is of (image_processor_type)"),
    (list_processor, "no JSON object"),
    (broken_template, "cannot be read as JSON"),
    (unknown_processor, "NonesuchProcessor, which this transformers does not have"),
    (unknown_image_processor, "cannot be loaded"),
    (wrong_size, "size"),
]


@pytest.fixture
def never_loaded(monkeypatch):
    """No weights may be read."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    def load(*arguments, **settings):
        raise AssertionError("weights were read")

    for kind in (AutoModelForCausalLM, AutoModelForImageTextToText):
        monkeypatch.setattr(kind, "from_pretrained", load)


@pytest.mark.parametrize(("damage", "message"), FAULTS)
def test_a_broken_processor_gives_one_sentence_before_weights_are_read(
    vlm, copy_of, tmp_path, command, colours, never_loaded, damage, message
):
    folder = copy_of(vlm)
    damage(folder)
    found = command("run", "--model", folder, "--task", colours, "--output", tmp_path / "runs")
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert found.stderr.startswith("genbench: ")
    assert message in found.stderr
    assert not list((tmp_path / "runs").rglob("run.json"))


def no_processor(folder):
    processor_file(folder).unlink()


def no_template(folder):
    for name in ("chat_template.jinja", "chat_template.json"):
        (folder / name).unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("name", "damage", "backend", "message"),
    [
        ("tiny_llama", None, "hf", "is LlamaForCausalLM, a model of text"),
        ("tiny_llama", None, "lm-eval:hf", "is LlamaForCausalLM, a model of text"),
        ("tiny_llama", None, "lm-eval:hf-multimodal", "LlamaForCausalLM, a model of text"),
        ("tiny_llava", no_processor, "hf", "has no image processor"),
        ("tiny_llava", no_processor, "lm-eval:hf-multimodal", "has no image processor"),
        ("tiny_llava", no_template, "hf", "has no chat template, which says where images stand"),
        ("tiny_llava", no_template, "lm-eval:hf-multimodal", "has no chat template"),
        ("tiny_llava", None, "lm-eval:hf", "use lm-eval:hf-multimodal, or --backend hf"),
    ],
)
def test_a_model_that_cannot_be_shown_images_is_refused_before_it_is_loaded(
    request, copy_of, tmp_path, command, colours, never_loaded, name, damage, backend, message
):
    folder = copy_of(request.getfixturevalue(name))
    if damage is not None:
        damage(folder)
    found = command(
        *("run", "--model", folder, "--backend", backend, "--task", colours),
        *("--output", tmp_path / "runs"),
    )
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert message in found.stderr
    assert not (tmp_path / "runs").exists()


def test_an_agent_is_shown_images(tmp_path, command, colours):
    found = command("run", "--model", "agent:oracle", "--task", colours, "--output", tmp_path / "r")
    assert found.returncode == 0


# -- resolution ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("tiny_qwen_vl", {"max_pixels": "many"}, "max_pixels: a whole number .*, not 'many'"),
        ("tiny_qwen_vl", {"max_pixels": "0"}, "max_pixels: a whole number"),
        ("tiny_qwen_vl", {"max_pixels": "-5"}, "max_pixels: a whole number"),
        ("tiny_qwen_vl", {"max_pixels": "9" * 400}, "max_pixels: a whole number"),
        ("tiny_qwen_vl", {"max_pixels": "٣٢"}, "max_pixels: a whole number"),
        ("tiny_qwen_vl", {"max_pixel": "9"}, "no argument 'max_pixel'; did you mean 'max_pixels'"),
        ("tiny_llama", {"max_pixels": "1024"}, "max_pixels: no image can be shown: it is Llama"),
        ("tiny_llava", {"image_backend": "gpu"}, "image_backend: pil or torchvision, not 'gpu'"),
    ],
)
def test_a_wrong_resolution_is_refused_with_the_checkpoint(request, name, arguments, message):
    with pytest.raises(UsageError, match=message):
        identify(request.getfixturevalue(name), arguments=arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("tiny_llava", {"max_pixels": "1024"}, r"CLIPImageProcessor.* no such .*it has image_size"),
        ("tiny_idefics", {"min_pixels": "1024"}, r"\"longest_edge\": 64.*it has image_size"),
        ("tiny_qwen_vl", {"image_size": "64"}, "no such setting.*has max_pixels and min_pixels"),
        ("tiny_qwen_vl", {"min_pixels": "4096"}, r"min_pixels \(4096\) is more than .* \(2304\)"),
        ("tiny_qwen_vl", {"max_pixels": "16"}, r"min_pixels \(256\) is more than max_pixels"),
    ],
)
def test_a_resolution_that_the_processor_has_not_is_refused_before_weights_are_read(
    request, never_loaded, name, arguments, message
):
    with pytest.raises(UsageError, match=message):
        load(request.getfixturevalue(name), arguments=arguments)


# -- packages --------------------------------------------------------------------------------------


@pytest.mark.skipif(find_spec("num2words") is not None, reason="num2words is installed")
def test_a_package_that_the_processor_needs_is_named(tiny_idefics, copy_of, never_loaded):
    folder = copy_of(tiny_idefics)
    change_json(folder / "processor_config.json", processor_class="SmolVLMProcessor")
    with pytest.raises(ModelError, match="not installed: pip install num2words"):
        load(folder)


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is installed")
def test_torchvision_is_named_where_it_is_needed(tiny_qwen_vl, never_loaded):
    with pytest.raises(UsageError, match="image_backend=torchvision: pip install torchvision"):
        identify(tiny_qwen_vl, arguments={"image_backend": "torchvision"})


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is installed")
def test_lm_eval_says_that_it_needs_torchvision_for_a_video_processor(tiny_qwen_vl):
    with pytest.raises(ModelError, match="not installed: pip install torchvision"):
        load(tiny_qwen_vl, "lm-eval:hf-multimodal")


# -- images ----------------------------------------------------------------------------------------


def question(image):
    return (Message("user", (image, "What is it?")),)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge(width, height):
    """A PNG that says it is so large, in a few bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def flipped(data):
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 0xFF
    return bytes(damaged)


def jpeg():
    file = io.BytesIO()
    PIL.Image.open(io.BytesIO(picture(1).data)).save(file, "JPEG")
    return file.getvalue()


WRONG = {
    "nothing": Image(b""),
    "text": Image(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "cut short": Image(picture(1).data[:-30]),
    "half": Image(picture(1).data[: len(picture(1).data) // 2]),
    "a bit flipped": Image(flipped(picture(1).data)),
    "no header": Image(picture(1).data[40:]),
    "a bomb": Image(huge(30_000, 30_000)),
    "a large one": Image(huge(10_000, 10_000)),
    "another format": Image(jpeg(), "image/png"),
    "another media type": Image(picture(1).data, "image/svg+xml"),
    "sixteen bits": png(PIL.Image.new("I;16", (40, 40))),
}


@pytest.mark.parametrize("image", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("backend", ["hf", "lm-eval:hf-multimodal"])
def test_an_image_that_cannot_be_shown_is_refused_before_the_first_batch(
    tiny_llava, image, backend
):
    model = load(tiny_llava, backend)
    with pytest.raises(TaskError, match=r"^an image of e1 \(\d+ bytes, image/[^\n]*$"):
        model.submit(requests([question(picture(1)), question(image)]))


def test_a_picture_too_thin_for_the_processor_is_named(tiny_qwen_vl):
    thin = png(PIL.Image.new("RGB", (401, 2)))
    model = load(tiny_qwen_vl)
    with pytest.raises(ModelError, match=r"Qwen.*refuses .* of 401 x 2: .*aspect ratio"):
        model.submit(requests([question(thin)]))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK"])
def test_images_of_all_the_usual_modes_are_shown_in_colour(mode):
    drawn = PIL.Image.new("RGB", (20, 10), (255, 255, 255))
    drawn.paste((0, 0, 0), (0, 0, 10, 10))
    file, kind = io.BytesIO(), "JPEG" if mode == "CMYK" else "PNG"
    drawn.convert(mode).save(file, kind)
    image = Image(file.getvalue(), f"image/{kind.lower()}")
    found = Images().pixels(image, "e0")
    assert (found.mode, found.size) == ("RGB", (20, 10))
    assert max(found.getpixel((2, 5))) < 20
    assert min(found.getpixel((18, 5))) > 235


def test_transparency_is_shown_on_white():
    drawn = PIL.Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    drawn.paste((200, 0, 0, 255), (0, 0, 10, 10))
    found = Images().pixels(png(drawn), "e0")
    assert found.getpixel((2, 5)) == (200, 0, 0)
    assert found.getpixel((18, 5)) == (255, 255, 255)


def test_an_image_is_decoded_once_while_there_is_room(monkeypatch):
    opened = []
    original = PIL.Image.open
    monkeypatch.setattr(
        PIL.Image, "open", lambda *given, **how: opened.append(1) or original(*given, **how)
    )
    images = Images(memory=3 * 48 * 40 * 2)  # two pictures
    first = images.pixels(picture(1), "e0")
    for seed in (2, 1, 3, 1):
        images.pixels(picture(seed), "e0")
    assert len(opened) == 3 + 3  # the size is looked at apart, once
    assert images.pixels(Image(picture(1).data), "e9") is first
    images.pixels(picture(2), "e0")  # it made room for the third
    assert len(opened) == 4 + 3
    assert images.size(picture(1), "e0") == images.size(picture(1), "e0") == (48, 40)
    assert len(opened) == 4 + 3


def test_an_image_that_is_drawn_when_it_is_read_is_drawn_once_for_its_size_and_its_pixels():
    drawn = []
    image = Image(lambda: drawn.append(1) or picture(1).data)
    images = Images()
    assert images.pixels(image, "e0").size == (48, 40)
    assert len(drawn) == 1
    assert images.size(image, "e0") == (48, 40)
    assert len(drawn) == 2


def test_an_image_that_cannot_be_drawn_is_the_task_s_fault(tiny_llava):
    def draw():
        raise KeyError("no such card")

    with pytest.raises(TaskError, match=r"an image of e0 cannot be drawn: .*no such card"):
        load(tiny_llava).submit(requests([question(Image(draw))]))


def test_an_image_larger_than_the_room_is_shown():
    images = Images(memory=1)
    assert images.pixels(picture(1), "e0").size == (48, 40)
    assert images.pixels(picture(2), "e0").size == (48, 40)
    assert len(images._decoded) == 1


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(picture(1).data.__add__)))
def test_any_bytes_are_an_image_or_a_task_error(data):
    for media_type in ("image/png", "image/jpeg", "image/webp"):
        image = Image(data, media_type)
        for read in (Images().size, Images().pixels):
            with suppress(TaskError):
                assert read(image, "e0")


class _Source:
    """As much of a processor as the spelling of texts asks for."""

    chat_template = "{{ messages }}"
    image_token = "<image>"
    video_token = "<|video|>"
    audio_token = None
    bos_token = None


@given(st.text(alphabet="<|image video>", max_size=80))
def test_no_text_holds_an_image_token_however_it_is_made(text):
    found = ImageRenderer(_Source(), "auto").spelled(text)
    assert "<image>" not in found
    assert "<|video|>" not in found
    assert found.replace(" ", "") == text.replace(" ", "")
    assert ImageRenderer(_Source(), "auto").spelled(found) == found


def test_a_conversation_of_text_needs_no_images(vlm):
    assert answers(load(vlm), requests([user("How many?")]))[0].generated_tokens
