"""What a prompt's image costs before the model sees it, beside its processor alone.

    python benchmarks/images.py --model CHECKPOINT [--side 448] [--number 64] [--batch 8]

Pictures of coloured shapes, as PNG. Each is looked at when it is submitted (its size and check
sums), and decoded and made into pixels with its batch. The ratio is that of a batch as the `hf`
backend makes it to the checkpoint's processor called by hand on decoded images. CPU seconds.
"""

from __future__ import annotations

import argparse
import io
import resource
import time
from random import Random
from typing import Any

import PIL.Image
import PIL.ImageDraw

from genbench.models.hf import HFBackend
from genbench.models.interface import LoadOptions, Request
from genbench.task import Image, Message


def pictures(number: int, side: int) -> list[Image]:
    """Different pictures, as files."""
    found = []
    for seed in range(number):
        stream = Random(seed)
        drawn = PIL.Image.new("RGB", (side, side), (30, 120, 60))
        pen = PIL.ImageDraw.Draw(drawn)
        for _ in range(60):
            left, top = stream.randrange(side), stream.randrange(side)
            box = (left, top, left + side // 8, top + side // 8)
            pen.ellipse(box, fill=tuple(stream.randrange(256) for _ in range(3)))
        file = io.BytesIO()
        drawn.save(file, "PNG")
        found.append(Image(file.getvalue()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--side", type=int, default=448)
    parser.add_argument("--number", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    arguments = parser.parse_args()
    options = LoadOptions(device="cpu")
    backend = HFBackend()
    model: Any = backend.load(backend.identify(arguments.model, options), options)
    images = pictures(arguments.number, arguments.side)
    asked = [
        Request(str(i), 0, i, (Message("user", (image, "What is it?")),), 1)
        for i, image in enumerate(images)
    ]
    size = sum(len(image.data) for image in images) / len(images) / 1024
    print(f"{len(images)} pictures of {arguments.side} x {arguments.side}, {size:.0f} KiB each")

    def timed(what: str, work: Any) -> float:
        started = time.process_time()
        work()
        seconds = time.process_time() - started
        print(f"{what:34} {1000 * seconds / len(images):7.2f} ms, {len(images) / seconds:6.0f} / s")
        return seconds

    prompts = model._prompts
    timed("looked at, with the prompt", lambda: model.submit(asked))
    made = [prompts.prompt(request) for request in asked]
    batches = [made[i : i + arguments.batch] for i in range(0, len(made), arguments.batch)]

    def together() -> None:
        for batch in batches:
            prompts.inputs(batch, 0)

    ours = timed("decoded and made into pixels", together)
    decoded = [PIL.Image.open(io.BytesIO(image.data)).convert("RGB") for image in images]
    processor = prompts._processor

    def alone() -> None:
        for start in range(0, len(decoded), arguments.batch):
            rows = decoded[start : start + arguments.batch]
            texts = [prompt.text for prompt in made[start : start + arguments.batch]]
            pixels = [[row] for row in rows]
            processor(text=texts, images=pixels, padding=True, return_tensors="pt")

    theirs = timed("the processor, on decoded images", alone)
    print(f"ratio {ours / theirs:.2f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")


if __name__ == "__main__":
    main()
