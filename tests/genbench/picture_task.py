"""A task that shows pictures: name the colours. Its prompts hold one or several images."""

import io
from functools import cache
from random import Random

import PIL.Image
import PIL.ImageDraw

from genbench.task import (
    Agent,
    Environment,
    Image,
    Instance,
    Message,
    Protocol,
    SplitSpec,
    Task,
    TaskPack,
    TaskSpec,
    Verdict,
)

COLOURS = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 210)}
SIZES = ((48, 40), (64, 64), (90, 33))


@cache
def picture(seed, colour="red", size=(48, 40)):
    """A colour with some rectangles on it, as a PNG."""
    stream = Random(seed)
    drawn = PIL.Image.new("RGB", size, COLOURS[colour])
    pen = PIL.ImageDraw.Draw(drawn)
    for _ in range(3):
        left, top = stream.randrange(size[0] - 8), stream.randrange(size[1] - 8)
        box = (left, top, left + stream.randint(4, 30), top + stream.randint(4, 20))
        pen.rectangle(box, fill=tuple(stream.randrange(256) for _ in range(3)))
    return png(drawn)


def png(drawn):
    file = io.BytesIO()
    drawn.save(file, "PNG")
    return Image(file.getvalue())


class Colours(Environment):
    """`images` (of the settings) pictures a prompt, of several sizes where `sizes` is true."""

    outcomes = ("correct", "wrong", "truncated")

    def instances(self, split):
        number = self.settings.get("n", 6)
        found = []
        for index in range(number):
            stream = Random(f"colours {index}")
            colours = [
                stream.choice(sorted(COLOURS)) for _ in range(self.settings.get("images", 1))
            ]
            data = {"colours": colours, "seed": index, "frame": split.rule or ""}
            found.append(Instance(f"{split.name}/{index}", f"p{index}", f"c{index}", data))
        return found

    def messages(self, instance):
        stream = Random(f"sizes {instance.data['seed']}")
        parts = []
        for place, colour in enumerate(instance.data["colours"]):
            size = stream.choice(SIZES) if self.settings.get("sizes") else SIZES[0]
            seed = f"{instance.data['seed']} {place} {instance.data['frame']}"
            parts += [picture(seed, colour, size), f"Picture {place + 1}. "]
        return [Message("user", (*parts, "Which colours?"))]

    def verify(self, instance, response, *, truncated=False):
        correct = all(colour in response for colour in instance.data["colours"])
        outcome = "correct" if correct else "truncated" if truncated else "wrong"
        return Verdict(correct, outcome, float(correct), "they are others.")

    def solutions(self, instance, *, seed=0):
        yield " ".join(instance.data["colours"])

    def agent(self, kind, training):
        return _Oracle()


class _Oracle(Agent):
    def respond(self, instance, messages, seed):
        return " ".join(instance.data["colours"])


SPLITS = (
    SplitSpec("id", "id", rule="plain"),
    SplitSpec("ood", "ood", shift="visual", rule="framed"),
)
YAML = """
name: colours
version: "1.0"
summary: "Name the colours of pictures."
environment: colours
cluster: picture
verify_iters: 2
max_new_tokens: 12
protocols:
  paired:
    paired: true
    splits:
      id: {role: id, rule: plain}
      ood: {role: ood, shift: visual, rule: framed}
"""
PACK = TaskPack("test", (), {"colours": "picture_task:Colours"})


def picture_task(**settings):
    """The task, ready to be played."""
    protocol = Protocol("paired", True, SPLITS)
    spec = TaskSpec(
        name="colours",
        version="1.0",
        summary="Name the colours of pictures.",
        environment="colours",
        cluster="picture",
        protocols={"paired": protocol},
        settings=settings,
        verify_iters=2,
        max_new_tokens=12,
        source="colours",
    )
    return Task(spec, Colours(prompt="default", feedback="outcome", settings=settings), protocol)
