"""Sampling: a request's own stream, the exact distribution, and the forced end of thinking."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from asking import answers, load, requests, short_prompts, user
from scipy.stats import chisquare

import genbench
from genbench.errors import ModelError
from genbench.models.sampling import RowSampler, ThinkingBudget


def sampled(prompts, **settings):
    """Requests that sample, each with a seed of its own."""
    asked = requests(prompts, **{"temperature": 1.0, **settings})
    return [replace(request, seed=1000 + request.order) for request in asked]


def test_a_request_is_answered_the_same_alone_and_in_any_batch(checkpoint):
    asked = sampled(short_prompts(21), top_p=0.9)
    alone = [one.text for one in answers(load(checkpoint, batch_size=1), asked)]
    for size in (5, 21):
        assert [one.text for one in answers(load(checkpoint, batch_size=size), asked)] == alone
    backwards = [replace(request, order=-request.order) for request in asked]
    found = answers(load(checkpoint, batch_size=4), backwards)
    assert [one.text for one in found] == alone
    greedy = answers(load(checkpoint), requests(short_prompts(21)))
    assert [one.text for one in greedy] != alone


def test_greedy_and_sampled_requests_may_share_a_batch(tiny_llama):
    greedy = requests(short_prompts(8))
    mixed = [
        request if request.order % 2 else replace(request, temperature=1.0, seed=3)
        for request in greedy
    ]
    model = load(tiny_llama, batch_size=8)
    expected = [one.text for one in answers(model, greedy)]
    found = [one.text for one in answers(model, mixed)]
    assert found[1::2] == expected[1::2]
    assert all(one != other for one, other in zip(found[::2], expected[::2], strict=True))


def test_other_seeds_give_other_answers(tiny_llama):
    model = load(tiny_llama)
    asked = requests([user("the same")] * 30, temperature=1.0)
    asked = [replace(request, seed=number) for number, request in enumerate(asked)]
    assert len({one.text for one in answers(model, asked)}) >= 28
    equal = [replace(request, seed=7) for request in asked]
    assert len({one.text for one in answers(model, equal)}) == 1


def test_a_low_temperature_is_greedy_in_the_limit(tiny_llama):
    model = load(tiny_llama)
    greedy = answers(model, requests(short_prompts(10)))
    cold = answers(model, sampled(short_prompts(10), temperature=1e-6))
    assert [one.text for one in cold] == [one.text for one in greedy]


def test_the_log_probability_is_that_at_temperature_one(tiny_llama):
    model = load(tiny_llama)
    ids = model.rendered(requests([user("K")])[0])["ids"]
    with torch.inference_mode():
        scores = model._model(torch.tensor([ids])).logits[0, -1]
    logprobs = torch.log_softmax(scores, dim=-1)
    asked = sampled([user("K")] * 20, temperature=3.0, max_new_tokens=1)
    found = {round(one.logprob, 3) for one in answers(model, asked)}
    assert len(found) > 3
    assert found <= {round(float(value), 3) for value in logprobs} | found.intersection(
        round(float(value) + nudge, 3) for value in logprobs for nudge in (-1e-3, 1e-3)
    )


def distribution(model, messages, temperature, top_p):
    """P(text) of a first token: the softmax at the temperature, cut to the smallest set of most
    probable tokens that holds top-p, by a loop over the sorted tokens."""
    ids = model.rendered(requests([messages])[0])["ids"]
    with torch.inference_mode():
        scores = model._model(torch.tensor([ids])).logits[0, -1].double()
    weights = torch.exp(scores / temperature)
    chances = (weights / weights.sum()).tolist()
    kept, mass = {}, 0.0
    for token in sorted(range(len(chances)), key=lambda token: -chances[token]):
        if mass >= top_p:
            break
        kept[token] = chances[token]
        mass += chances[token]
    texts = Counter()
    for token, chance in kept.items():
        texts[model.tokenizer.decode([token], skip_special_tokens=True)] += chance / mass
    return texts


def p_value(texts, expected):
    """Chi-square of the texts against their distribution; rare ones together."""
    counts = Counter(texts)
    assert set(counts) <= set(expected)
    total = len(texts)
    common = [text for text in expected if expected[text] * total >= 5]
    seen = [counts[text] for text in common]
    chances = [expected[text] for text in common]
    rest = 1 - sum(chances)
    if rest * total >= 5:
        seen.append(total - sum(seen))
        chances.append(rest)
    else:
        chances = [chance * sum(seen) / total / sum(chances) for chance in chances]
    assert len(seen) > 5
    return chisquare(seen, [chance * total for chance in chances]).pvalue


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.5, 0.8)])
def test_a_step_has_the_distribution_of_the_softmax(tiny_llama, temperature, top_p):
    model = load(tiny_llama, batch_size=512)
    messages = user("Which one?")
    asked = sampled([messages] * 3000, temperature=temperature, top_p=top_p, max_new_tokens=1)
    texts = [one.text for one in answers(model, asked)]
    expected = distribution(model, messages, temperature, top_p)
    assert p_value(texts, expected) > 0.001
    # The test would notice another temperature.
    hotter = distribution(model, messages, temperature * 1.3, top_p)
    if set(texts) <= set(hotter):
        assert p_value(texts, hotter) < 1e-6


def test_top_p_keeps_the_token_that_reaches_it():
    chances = torch.tensor([[0.5, 0.3, 0.15, 0.05]])
    for top_p, size in ((0.4, 1), (0.5, 1), (0.51, 2), (0.81, 3), (1.0, 4)):
        asked = sampled([user("x")] * 400, top_p=top_p)
        sampler = RowSampler(asked, 1)
        chosen = sampler(torch.zeros(400, 1, dtype=torch.long), chances.log().repeat(400, 1))
        assert set(chosen.argmax(dim=-1).tolist()) == set(range(size))


def test_a_row_draws_the_same_alone_among_others_and_a_few_at_a_time(monkeypatch):
    """Greedy rows and sampled ones of other temperatures and top-p, in one batch."""
    generator = torch.Generator().manual_seed(0)
    scores = [torch.randn(9, 50, generator=generator) for _ in range(4)]
    settings = [(0.0, 1.0), (1.0, 1.0), (0.5, 0.9)] * 3
    asked = [
        replace(request, temperature=temperature, top_p=top_p)
        for request, (temperature, top_p) in zip(sampled([user("x")] * 9), settings, strict=True)
    ]

    def drawn(rows):
        sampler = RowSampler([asked[row] for row in rows], 1)
        ids = torch.zeros(len(rows), 1, dtype=torch.long)
        return [sampler(ids, step[rows]).argmax(dim=-1).tolist() for step in scores]

    together = drawn(list(range(9)))
    alone = [drawn([row]) for row in range(9)]
    assert [[alone[row][step][0] for row in range(9)] for step in range(4)] == together
    monkeypatch.setattr("genbench.models.sampling._SCORES_AT_ONCE", 2 * 50)
    assert drawn(list(range(9))) == together


def test_samples_of_a_run_follow_its_seed_alone(tiny_llama, tmp_path):
    settings = {"limit": 3, "verify_iters": 2, "max_new_tokens": 6, "temperature": 1.0}

    def texts(name, **changes):
        genbench.run(
            str(tiny_llama), "gp-ood-rule", output=tmp_path / name, **{**settings, **changes}
        )
        (results,) = (tmp_path / name).rglob("results.json")
        return {
            (episode.key, attempt): turn.response.text
            for episode in genbench.load_run(results.parent).episodes
            for attempt, turn in enumerate(episode.turns)
        }

    first = texts("first", samples=3, batch_size=4)
    assert texts("other batches", samples=3, batch_size=64) == first
    fewer = texts("fewer samples", samples=2)
    assert fewer == {key: first[key] for key in fewer}
    other = texts("another seed", samples=3, seed=1)
    assert all(other[key] != first[key] for key in first if key in other)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_an_error(value):
    scores = torch.tensor([[0.0, 1.0], [0.5, value]])
    sampler = RowSampler(requests([user("x")] * 2), 1)
    with pytest.raises(ModelError, match="NaN scores"):
        sampler(torch.zeros(2, 1, dtype=torch.long), scores)


# -- thinking budget -------------------------------------------------------------------------------


class Letters:
    """Text as code points: a token a letter."""

    closing = tuple(map(ord, "</think>\n"))

    @staticmethod
    def decode(ids):
        return "".join(map(chr, ids))


def forced(so_far, *, opened):
    """What follows `so_far`, two tokens before the budget, where the model wants dots alone."""
    budget = ThinkingBudget(len(so_far) + 2, Letters.closing, Letters.decode)
    sampler = RowSampler(requests([user("x")]), 3, budget, [opened])
    row = [1, 1, 1, *map(ord, so_far)]
    scores = torch.zeros(1, 200)
    scores[0, ord(".")] = 5.0
    for _ in range(13):
        row.append(int(sampler(torch.tensor([row]), scores)[0].argmax()))
    return Letters.decode(row[3 + len(so_far) :])


@pytest.mark.parametrize(
    ("so_far", "opened"),
    [
        ("<think>one and two", False),
        ("one and two", True),
        ("<think>a</think><think>b", False),
        ("a</think> no <think>b", True),
    ],
)
def test_an_open_block_is_closed_at_the_budget(so_far, opened):
    assert forced(so_far, opened=opened) == "..</think>\n.."


@pytest.mark.parametrize(
    ("so_far", "opened"),
    [
        ("an answer", False),
        ("<think>ab</think>\nyes", False),
        # Closed with other line breaks than the forced tag has.
        ("<think>ab</think>\n\nyes", False),
        ("ab</think>\n\nyes", True),
        ("ab</think> yes", True),
    ],
)
def test_what_is_not_thinking_is_left_alone(so_far, opened):
    assert forced(so_far, opened=opened) == "." * 13


def test_the_budget_is_each_rows_own():
    budget = ThinkingBudget(9, Letters.closing, Letters.decode)
    sampler = RowSampler(requests([user("x")] * 2), 0, budget, [False, False])
    rows = [[*map(ord, "<think>ab")], [*map(ord, "an answer")]]
    scores = torch.zeros(2, 200)
    scores[:, ord(".")] = 5.0
    for _ in range(11):
        chosen = sampler(torch.tensor(rows), scores).argmax(dim=-1).tolist()
        rows = [[*row, token] for row, token in zip(rows, chosen, strict=True)]
    assert Letters.decode(rows[0]) == "<think>ab</think>\n.."
    assert Letters.decode(rows[1]) == "an answer" + "." * 11
