"""The next batch's images, processed while the last one is answered."""

import threading

import pytest
from picture_task import picture_task as make

import genbench
from genbench.errors import TaskError
from genbench.models.ahead import Ahead
from genbench.models.hf import HFModel
from genbench.models.interface import BatchedModel, Request, Response
from genbench.models.prompts import ImagePrompts
from genbench.task import Image, Message

SETTINGS = {"device": "cpu", "dtype": "float32", "batch_size": 4}


class Recorder(BatchedModel):
    """Answers at once; `seen` has each batch, and what follows it, as (episode, turn)."""

    def __init__(self, batch_size):
        super().__init__(batch_size)
        self.seen = []

    def generate(self, batch):
        names = [
            [(one.episode, one.turn) for one in requests] for requests in (batch, self.following)
        ]
        self.seen.append(tuple(names))
        return [Response("")] * len(batch)


def asked(order, turn=0, **more):
    message = Message("user", "?")
    return Request(f"e{order}", turn, order, (message,), 8, **more)


def test_what_follows_a_batch_is_the_next_one_of_its_turn():
    model = Recorder(2)
    model.submit([asked(order) for order in (4, 0, 3, 1, 2)])
    for turn in (1, 2):
        while model._queue and model._queue[0][0] < turn:
            for request, _ in model.receive():
                model.submit([asked(request.order, turn)])
    while model._queue:
        model.receive()
    for (_, following), (batch, _) in zip(model.seen, model.seen[1:], strict=False):
        assert following in ([], batch)
    # Of a turn's batches all but the first are known before: there are 3 of 5 requests.
    assert sum(bool(following) for _, following in model.seen) == 3 * 2


def test_what_the_journal_holds_is_not_prepared():
    model = Recorder(2)
    model.submit([asked(order, known=Response("") if order > 1 else None) for order in range(6)])
    for _ in range(3):
        model.receive()
    assert model.seen == [([("e0", 0), ("e1", 0)], [])]


def test_one_thing_is_made_ahead_and_taken_once_by_its_key():
    ahead = Ahead()
    ahead.begin("a", lambda: threading.current_thread().name)
    ahead.settle()
    assert ahead.take("a").startswith("genbench-ahead")
    assert ahead.take("a") is None
    ahead.begin("b", lambda: 1)
    assert ahead.take("c") is None
    assert ahead.take("b") is None  # it was meant for another batch: forgotten


def test_a_fault_of_what_was_made_ahead_is_left_to_who_asks():
    ahead = Ahead()
    ahead.begin("a", lambda: 1 / 0)
    assert ahead.take("a") is None


def contents(output):
    return {
        path.name: path.read_bytes()
        for path in output.rglob("*.json*")
        if path.name in ("episodes.jsonl", "results.json")
    }


def test_a_run_is_the_same_with_and_without(vlm, tmp_path, monkeypatch):
    threads = []
    own = ImagePrompts.inputs

    def inputs(self, prompts, pad):
        threads.append(threading.current_thread().name.startswith("genbench-ahead"))
        return own(self, prompts, pad)

    monkeypatch.setattr(ImagePrompts, "inputs", inputs)
    task = make(n=8, images=2, sizes=True)
    genbench.run(str(vlm), task, output=tmp_path / "ahead", **SETTINGS)
    # Two splits of 8, two turns, batches of 4: of each turn's four, all but the first.
    assert threads.count(True) == 6
    monkeypatch.setattr(Ahead, "begin", lambda self, key, make: None)
    threads.clear()
    genbench.run(str(vlm), task, output=tmp_path / "plain", **SETTINGS)
    assert not any(threads)
    assert contents(tmp_path / "ahead") == contents(tmp_path / "plain")


def test_an_image_that_fails_in_the_next_batch_ends_the_run_in_a_sentence(
    tiny_idefics, tmp_path, monkeypatch
):
    """Looked at without fault, it cannot be drawn again when it is prepared."""
    drawn = {}
    own = Image.data.fget

    def data(self):
        drawn[id(self)] = drawn.get(id(self), 0) + 1
        if threading.current_thread().name.startswith("genbench-ahead") or failed:
            failed.append(self)
            raise OSError("the disk is gone")
        return own(self)

    failed = []
    monkeypatch.setattr(Image, "data", property(data))
    with pytest.raises(TaskError, match="cannot be drawn: the disk is gone"):
        genbench.run(str(tiny_idefics), make(n=8, images=1), output=tmp_path, **SETTINGS)
    assert failed


def test_stop_strings_leave_the_tokenizer_to_one_thread(tiny_idefics, tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(Ahead, "begin", lambda self, key, make: begun.append(key))
    for stop in ((), ("x",)):
        genbench.run(
            str(tiny_idefics), make(n=8, images=1), output=tmp_path / str(len(stop)), stop=stop,
            **SETTINGS,
        )  # fmt: skip
        assert bool(begun) != bool(stop)
        begun.clear()


def test_nothing_is_at_work_when_a_batch_is_answered(tiny_idefics, tmp_path, monkeypatch):
    own = HFModel.generate

    def generate(self, batch):
        found = own(self, batch)
        begun = self._ahead._begun
        assert begun is None or begun[1].done()
        return found

    monkeypatch.setattr(HFModel, "generate", generate)
    genbench.run(str(tiny_idefics), make(n=8, images=1), output=tmp_path, **SETTINGS)
