"""Training problems of navigation with pictures, and the parts of the model that reads them."""

import io
from itertools import islice

import numpy as np
import PIL.Image
import pytest

import genbench
from genbench.errors import UsageError
from genbench.training.data import make_data
from genbench.training.image_encoding import ImageEncoder
from genbench.training.recipes import load_recipe
from genbench_tasks.navigation.cities import part_of
from genbench_tasks.navigation.tokenizer import build_tokenizer
from genbench_tasks.navigation.vision_training import (
    QUESTION,
    SIDE,
    PicturedWalks,
    build_processor,
    build_vision_tokenizer,
)


@pytest.fixture(scope="module")
def walks():
    return PicturedWalks(0, routes=4, revision=0.3, pixels=96, seeing=0.5)


def test_every_problem_shows_its_state_in_the_looks_of_training(walks):
    for index in range(20):
        messages, state = walks.problem(index)
        assert part_of(state.data["city"]) == "train"
        assert state.data["picture"]["skin"] is None
        (image,) = messages[0].images
        assert image == walks.environment.image(state.data)
        response = walks.example(index)[1]
        verdict = walks.environment.verify(state, response)
        assert verdict.correct
        assert verdict.checks["perception"] is True


def test_a_sight_asks_for_what_the_verifier_takes_for_perceived(walks):
    for index in range(20):
        (question,), answer = walks.sight(index)
        state = walks.problem(index)[1]
        assert question.text == QUESTION
        assert walks.example(index)[1].startswith(f'{{"current observation": "{answer}"')
        assert question.images == walks.environment.messages(state)[0].images


def test_a_batch_is_of_seeing_or_of_walking_and_depends_on_its_number_alone(walks):
    batches = list(islice(walks.batches(3), 12))
    kinds = [{messages[0].text == QUESTION for messages, _ in batch} for batch in batches]
    assert all(len(kind) == 1 for kind in kinds)
    assert {True, False} == set().union(*kinds)
    other = PicturedWalks(0, routes=4, revision=0.3, pixels=96, seeing=0.5)
    assert list(islice(other.batches(3, start=5), 2)) == batches[5:7]
    assert other.record(12)["cities"] == walks.record(12)["cities"]


def test_the_record_proves_that_no_tested_city_was_shown(walks):
    task = genbench.load_task("virl-vl-ood-visual", limit=20)
    splits = {name: split.instances() for name, split in task.splits.items()}
    found = task.environment.training_overlap(splits, {"problems": walks.record(30)})
    assert found == {"id": 0, "ood": 0}


def test_the_vision_tokenizer_keeps_the_text_models_tokens():
    text, vision = build_tokenizer().get_vocab(), build_vision_tokenizer().get_vocab()
    assert {token: vision[token] for token in text} == text
    assert len(vision) > len(text)


def test_a_batch_has_49_tokens_a_picture_and_fits_the_model(walks):
    recipe = load_recipe("virl-vl-base")
    processor = build_processor(build_vision_tokenizer())
    examples = [walks.example(index) for index in range(6)]
    batch = ImageEncoder(processor).batch(examples)
    pictures = (batch["input_ids"] == processor.image_token_id).sum(dim=1)
    assert set(pictures.tolist()) == {49}
    assert batch["pixel_values"].shape[-2:] == (SIDE, SIDE)
    config = recipe.model.config
    longest = config["text_config"]["max_position_embeddings"]
    assert batch["input_ids"].shape[1] < longest
    patches = config["vision_config"]["image_size"] // config["vision_config"]["patch_size"]
    assert (patches // config["scale_factor"]) ** 2 == 49
    assert config["vision_config"]["image_size"] == SIDE


def test_the_recipes_pictures_are_not_resized_before_the_model():
    recipe = load_recipe("virl-vl-base")
    data = make_data(recipe.data.factory, recipe.data.settings | {"routes": 2}, recipe.seed)
    (image,) = data.sight(0)[0][0].images
    assert np.asarray(PIL.Image.open(io.BytesIO(image.data))).shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"seeing": 1.5}, "seeing is a share from 0 to 1"),
        ({"pixels": 30}, "pixels is 30"),
        ({"skin": "any"}, "takes no 'skin'"),
        ({"families": ["square"]}, "no family 'square'"),
    ],
)
def test_a_wrong_setting_of_a_recipe_is_named(wrong, told):
    with pytest.raises(UsageError, match=told):
        make_data("genbench_tasks.navigation.vision_training:PicturedWalks", wrong, 0)
