"""Card pictures: the same pixels everywhere, every card another one, every shift what it says."""

import io
import os
import subprocess
import sys
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genbench.task import TaskError, seeded
from genbench_tasks.general_points.cards import RANKS
from genbench_tasks.general_points.pictures import (
    RENDERER,
    camera,
    decks,
    draw,
    glyphs,
    pixel_hash,
    placed_cards,
    png,
    sprite_of,
    table,
)
from genbench_tasks.general_points.pictures.look import (
    DECK_STYLES,
    GRADED,
    LAYOUTS,
    LEVELS,
    NAMED,
    SUIT_COLOURS,
    checked_look,
    dealt_suits,
)
from genbench_tasks.general_points.pictures.raster import UNIT

HAND = ["K", "7", "10", "A"]


def picture(pixels=96, seed=5, **look):
    changes = {name.replace("_", "-"): value for name, value in look.items()}
    return {
        "renderer": RENDERER,
        "pixels": pixels,
        "seed": seed,
        "look": checked_look(changes, where="test"),
    }


def drawn(cards=HAND, pixels=96, seed=5, **look):
    found = picture(pixels, seed, **look)
    return draw(cards, dealt_suits(cards, found["look"]["suit-colour"], seed), found)


# SHA-256 of decoded pixels. A change here is a change of what models are shown: raise
# look.RENDERER with it, so that the fingerprints of tasks change.
GOLDEN = {
    "plain": (
        {},
        "7548f373f5031acdd7d8818ed2ff2ab2e635cfe46220beb1fc712a94ad8dfeaa",
    ),
    "large": (
        {"pixels": 448, "cards": ["J", "Q", "K", "10"]},
        "30b0c20925fb134cd131f1f9c421e0aa321703d48bafc71b308f80265f997847",
    ),
    "red": (
        {"suit_colour": "red", "cards": ["Q", "Q", "2", "9"]},
        "a5ee634fd1e1b13d5f1d44eafad1b65279536bd3d7bab22a81a61d9e800a28cf",
    ),
    "numerals": (
        {"cards": ["11", "12", "13", "14"]},
        "0625fc25cdddd7410ff1e0448b2f5df362d26e6b0470aaeb7668bd3b05d00181",
    ),
    "five cards": (
        {"cards": ["3", "4", "5", "6", "8"], "deck_style": "minimal"},
        "cf2b2527e455195370453cf89f97dab08800a10f97f9493c907fb87e6271aa78",
    ),
    "vintage": (
        {"deck_style": "vintage", "font": "serif", "background": "wood"},
        "18eea1df5dc680a22fa2591708c8922a003de8c092bd827830be2168553929a3",
    ),
    "night": (
        {"deck_style": "night", "font": "italic", "layout": "fan"},
        "65217b2d5c1aba5ad8fede2e18fd7d793582b6d6291cb52f7ee4339e3a8739cd",
    ),
    "jumbo": (
        {"deck_style": "jumbo", "font": "mono", "layout": "scatter"},
        "565fbceecb9ff8ba52f2b4b64efd1e94605d68e645aa1893131bf91ec1bb21d0",
    ),
    "bare": (
        {"deck_style": "bare", "layout": "row", "background": "checker"},
        "5d42e35573fce513ec5d3a1ecd490bfabeab29975b8a673eede34bde41464ff1",
    ),
    "clutter": (
        {"background": "clutter", "rotation": 4, "size": 2, "font": "light"},
        "4f996392b1a95cff85e7ccaceb9ed5a0066083cfa0699fc3cf8fbe1e3d7946ce",
    ),
    "camera": (
        {"occlusion": 3, "blur": 2, "noise": 3, "pixels": 131},
        "520e706105cb57a48f335f2f8b825089f936c687db8847942c42bfdbd234f935",
    ),
    "jpeg": (
        {"jpeg": 4, "suit_colour": "all", "pixels": 224},
        "29c82f8d4be5a550d60ee6846f4adb0d75218a68db057b11abc9bd116f0eabfe",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_pictures_have_the_pixels_that_they_had(name):
    settings, expected = GOLDEN[name]
    assert pixel_hash(drawn(**settings)) == expected


def test_another_process_draws_the_same_pixels():
    code = (
        "from genbench_tasks.general_points.pictures import draw, pixel_hash\n"
        f"print(pixel_hash(draw({HAND}, ['spades'] * 4, {picture(noise=2, layout='scatter')})))"
    )
    here = pixel_hash(draw(HAND, ["spades"] * 4, picture(noise=2, layout="scatter")))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "99"},
    )  # fmt: skip
    assert done.stdout.strip() == here


def test_a_png_holds_exactly_the_pixels_of_the_picture():
    found = picture(pixels=128, noise=1)
    suits = dealt_suits(HAND, "black", 5)
    decoded = Image.open(io.BytesIO(png(HAND, suits, found)))
    assert decoded.mode == "RGB"
    assert (np.asarray(decoded) == draw(HAND, suits, found)).all()


def test_a_picture_of_another_renderer_is_refused():
    with pytest.raises(TaskError, match="renderer 99"):
        draw(HAND, ["spades"] * 4, {**picture(), "renderer": 99})


def test_letters_other_than_the_known_ones_are_refused(monkeypatch):
    font = glyphs.FONTS["sans"]
    monkeypatch.setitem(glyphs.FONTS, "sans", glyphs.Font(font.file, font.width, "0" * 64))
    glyphs._letters.cache_clear()
    with pytest.raises(TaskError, match=r"install the matplotlib of constraints\.txt"):
        glyphs.label("10", "sans", 100)
    monkeypatch.setitem(glyphs.FONTS, "sans", glyphs.Font("missing.ttf", 1, ""))
    with pytest.raises(TaskError, match="reinstall matplotlib"):
        glyphs.label("10", "sans", 100)


def test_another_jpeg_library_is_refused(monkeypatch):
    monkeypatch.setattr(camera, "_JPEG_SHA256", "0" * 64)
    camera._check_library.cache_clear()
    with pytest.raises(TaskError, match="JPEG library"):
        drawn(jpeg=1)
    camera._check_library.cache_clear()


# -- cards ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "suits_differ"), [(30, 1), (69, 8)])
@pytest.mark.parametrize("deck", DECK_STYLES)
def test_no_two_cards_of_a_deck_look_alike(deck, width, suits_differ):
    """At the width of cards in pictures of 96 and of 224 pixels."""
    sprites = {
        (rank, suit): decks.sprite(rank, suit, "all", deck, "sans", width * UNIT, 0).colours
        for rank in (*RANKS, "11", "12", "13", "14")
        for suit in SUIT_COLOURS["all"][0]
    }
    for (one, first), (other, second) in combinations(sprites.items(), 2):
        distance = np.abs(first.astype(np.int16) - second).max(axis=2)
        assert (distance > 60).sum() >= (suits_differ if one[0] == other[0] else 8), (one, other)


@pytest.mark.parametrize("rank", RANKS)
def test_a_number_card_has_as_many_pips_as_its_number(rank):
    """Counted as separate patches of ink on the deck without indices."""
    if rank in ("J", "Q", "K"):
        pytest.skip("a court card has a figure")
    sprite = decks.sprite(rank, "diamonds", "all", "bare", "sans", 200 * UNIT, 0)
    ink = (sprite.colours[:, :, 0] > 150) & (sprite.colours[:, :, 1] < 100)
    assert patches(ink) == (1 if rank == "A" else int(rank))


def patches(mask):
    """The number of connected patches, by flooding."""
    left = mask.copy()
    count = 0
    while left.any():
        count += 1
        todo = [tuple(np.argwhere(left)[0])]
        left[todo[0]] = False
        while todo:
            y, x = todo.pop()
            for place in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if 0 <= place[0] < left.shape[0] and 0 <= place[1] < left.shape[1] and left[place]:
                    left[place] = False
                    todo.append(place)
    return count


def test_the_suit_colours_print_what_they_say():
    def inks(suit_colour):
        suits = SUIT_COLOURS[suit_colour][0]
        return {suit: decks.ink_of(suit, suit_colour, decks.DECKS["classic"])[0] for suit in suits}

    black, red = (22, 22, 28), (206, 22, 38)
    assert inks("black") == {"spades": black, "clubs": black}
    assert inks("red") == {"hearts": red, "diamonds": red}
    assert inks("red-spades") == {"spades": red, "clubs": red}
    assert inks("black-hearts") == {"hearts": black, "diamonds": black}


def test_pictures_of_black_suits_hold_no_red_and_those_of_red_suits_no_black_ink():
    """Of number cards: a court's face has red lips in every deck."""
    black = drawn(["2", "5", "9", "A"]).reshape(-1, 3).astype(int)
    red = drawn(["2", "5", "9", "A"], suit_colour="red").reshape(-1, 3).astype(int)
    assert (black[:, 0] - black[:, 1]).max() <= 10
    assert red.max(axis=1).min() > 90


# -- suits ----------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(RANKS), min_size=1, max_size=6), st.integers(0, 2**40))
def test_cards_of_one_rank_have_different_suits_while_there_are_any(cards, seed):
    for colour, (pool, _) in SUIT_COLOURS.items():
        suits = dealt_suits(cards, colour, seed)
        for rank in set(cards):
            of_rank = [suit for card, suit in zip(cards, suits, strict=True) if card == rank]
            assert set(of_rank) <= set(pool)
            assert len(set(of_rank)) == min(len(of_rank), len(pool))


@given(st.lists(st.sampled_from(RANKS), min_size=4, max_size=4), st.integers(0, 2**40))
def test_twins_in_black_and_red_correspond(cards, seed):
    twin = {"spades": "hearts", "clubs": "diamonds"}
    black, red = (dealt_suits(cards, colour, seed) for colour in ("black", "red"))
    assert [twin[suit] for suit in black] == red


# -- shifts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [(n, v) for n in NAMED for v in NAMED[n][1:]])
def test_a_named_change_changes_the_picture(name, value):
    assert (drawn(**{name: value}) != drawn()).any()


@pytest.mark.parametrize("name", GRADED)
def test_each_level_is_further_from_the_plain_picture_than_the_one_before(name):
    """In mean squared error over some hands; chips and turned cards differ more and more, too."""
    hands = [seeded("hand", number).choices(RANKS, k=4) for number in range(8)]

    def error(level):
        pairs = [
            (drawn(hand, 224, n, **{name: level}).astype(float), drawn(hand, 224, n))
            for n, hand in enumerate(hands)
        ]
        return np.mean([((one - other) ** 2).mean() for one, other in pairs])

    errors = [error(level) for level in range(LEVELS + 1)]
    assert errors[0] == 0
    assert all(low < high for low, high in pairwise(errors)), errors


def test_one_change_does_not_move_what_another_one_draws():
    """The streams are apart: the noise is the same with and without a turn of the cards."""
    plain, turned = (drawn(rotation=level, pixels=128) for level in (0, 3))
    noisy, both = (drawn(rotation=level, pixels=128, noise=2) for level in (0, 3))
    corner = slice(0, 6), slice(0, 6)  # cloth in both
    assert (plain[corner] == turned[corner]).all()
    assert (noisy[corner] == both[corner]).all()
    assert (noisy[corner] != plain[corner]).any()


def index_places(found, count=4):
    """Where the upper left labels lie: (x, y, radius) in pixels."""
    circle = decks.DECKS[found["look"]["deck-style"]].index_circle
    return [
        [value / UNIT for value in table._on_canvas(circle, place)]
        for place in placed_cards(count, found)
    ]


@given(
    st.sampled_from(LAYOUTS), st.integers(0, LEVELS), st.integers(0, LEVELS),
    st.sampled_from([deck for deck in DECK_STYLES if deck != "bare"]), st.integers(0, 10**9),
    st.integers(3, 6),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_every_index_lies_within_the_picture(layout, rotation, size, deck, seed, count):
    rotation = 0 if layout == "fan" else rotation
    found = picture(400, seed, layout=layout, rotation=rotation, size=size, deck_style=deck)
    for x, y, radius in index_places(found, count):
        assert radius / 2 < x < 400 - radius / 2
        assert radius / 2 < y < 400 - radius / 2


@given(
    st.lists(st.sampled_from(RANKS), min_size=4, max_size=4), st.sampled_from(LAYOUTS),
    st.integers(0, 10**9), st.sampled_from([deck for deck in DECK_STYLES if deck != "bare"]),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_chips_and_cards_leave_the_upper_left_index_of_every_card_free(cards, layout, seed, deck):
    turned = {"rotation": 0 if layout == "fan" else 5}
    covered = drawn(cards, 240, seed, occlusion=5, layout=layout, deck_style=deck, **turned)
    found = picture(240, seed, layout=layout, deck_style=deck, **turned)
    places, indices = placed_cards(4, found), index_places(found)
    suits = dealt_suits(cards, "black", seed)
    for card, suit, place, (x, y, radius) in zip(cards, suits, places, indices, strict=True):
        alone = table.cloth("green", 240, seeded("none"))
        table.lay(alone, sprite_of(card, suit, found["look"], place), place)
        reach = int(radius * 0.6)
        around = slice(int(y) - reach, int(y) + reach), slice(int(x) - reach, int(x) + reach)
        # But for the cloth beside the card, which a neighbour in a fan may cover.
        white = (alone[around] != (53, 101, 77)).any(axis=2)
        assert (covered[around][white] == alone[around][white]).mean() > 0.97, card


def test_a_level_of_occlusion_has_the_chips_of_the_one_before():
    low, high = (drawn(pixels=240, occlusion=level) for level in (2, 4))
    plain = drawn(pixels=240)
    chips = (low != plain).any(axis=2)
    assert ((high != plain).any(axis=2) | ~chips).mean() > 0.999


def test_a_look_with_a_fault_is_refused_with_the_closest_name():
    for look, message in (
        ({"fnt": "sans"}, "did you mean 'font'"),
        ({"font": "serf"}, "did you mean 'serif'"),
        ({"noise": 6}, "a level from 0 to 5, not 6"),
        ({"noise": True}, "a level from 0 to 5, not True"),
        ({"blur": "2"}, "not '2'"),
        ({"font": 3}, "there is no font '3'"),
        ({"deck-style": "bare", "occlusion": 1}, "leaves a corner index to read"),
        ({"layout": "fan", "rotation": 1}, "a fan turns its cards itself"),
        (["noise"], "a mapping of changes"),
    ):
        with pytest.raises(TaskError, match=message):
            checked_look(look, where="a test")


def test_blur_keeps_the_mean_and_a_flat_picture():
    flat = np.full((50, 50, 3), 93, dtype=np.uint8)
    assert (camera.blurred(flat, 5) == 93).all()
    found = drawn(pixels=200)
    spread = found.astype(float).mean() - camera.blurred(found, 5).astype(float).mean()
    assert abs(spread) < 1


def test_the_blur_has_the_stated_standard_deviation():
    """Of a single bright line, whose profile is that of the filter."""
    side = 301
    line = np.zeros((side, side, 3), dtype=np.uint8)
    line[:, side // 2 - 4 : side // 2 + 5] = 255
    for level in (3, 5):
        profile = camera.blurred(line, level)[side // 2, :, 0].astype(float)
        offsets = np.arange(side) - side // 2
        variance = (profile * offsets**2).sum() / profile.sum() - (
            9**2 - 1
        ) / 12  # without the line's own
        assert variance**0.5 == pytest.approx(camera.BLURS[level] * side / 10_000, rel=0.05)


def test_the_noise_has_the_stated_standard_deviation():
    grey = np.full((200, 200, 3), 127, dtype=np.uint8)
    for level in (1, 2, 3):
        found = camera.noisy(grey, level, seeded("noise")).astype(float)
        assert found.std() == pytest.approx(camera.NOISES[level], rel=0.03)
        assert found.mean() == pytest.approx(127, abs=1.0)
