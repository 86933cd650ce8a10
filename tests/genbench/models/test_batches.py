"""The plan of batches: the lowest turn first, in canonical order, whatever came when."""

from hypothesis import given, settings
from hypothesis import strategies as st

from genbench.models.interface import BatchedModel, Request, Response
from genbench.task import Message


class Recording(BatchedModel):
    """Answers at once, and keeps what it was asked together."""

    def __init__(self, batch_size):
        super().__init__(batch_size)
        self.batches = []

    def generate(self, batch):
        self.batches.append([(one.turn, one.order) for one in batch])
        return [Response("") for _ in batch]


def request(turn, order, limit=8, stop=()):
    messages = (Message("user", ""),)
    return Request(f"{order}#0", turn, order, messages, limit, stop)


def plan_by_sorting(waiting, size):
    """The next batch and what is left, the whole queue being sorted anew."""
    waiting = sorted(waiting, key=lambda one: (one.turn, one.order))
    first, count = waiting[0], 0
    while (
        count < min(size, len(waiting))
        and waiting[count].turn == first.turn
        and waiting[count].max_new_tokens == first.max_new_tokens
        and waiting[count].stop == first.stop
    ):
        count += 1
    return waiting[:count], waiting[count:]


@given(
    orders=st.permutations(range(12)),
    turns=st.lists(st.integers(1, 3), min_size=12, max_size=12),
    limits=st.lists(st.sampled_from([8, 8, 8, 16]), min_size=12, max_size=12),
    size=st.integers(1, 7),
)
@settings(max_examples=60, deadline=None)
def test_batches_are_those_of_a_sorted_queue(orders, turns, limits, size):
    """Every episode asks once more for each of its turns, as soon as it is answered."""
    model = Recording(size)
    first = [request(0, order, limits[order]) for order in orders]
    model.submit(first)
    waiting, expected = list(first), []
    while waiting:
        batch, waiting = plan_by_sorting(waiting, size)
        expected.append([(one.turn, one.order) for one in batch])
        received = [one for one, _ in model.receive()]
        assert received == batch
        following = [
            request(one.turn + 1, one.order, one.max_new_tokens)
            for one in received
            if one.turn + 1 < turns[one.order]
        ]
        model.submit(following)
        waiting += following
    assert model.batches == expected
