"""From requests to what a transformers model takes: padded token ids, and pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import ModelError
from genbench.models import files
from genbench.models.images import Images, digest
from genbench.models.interface import Request
from genbench.models.processor import resolution, settings
from genbench.models.rendering import ImageRenderer, Renderer
from genbench.task import Image
from genbench.thinking import OPEN

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Prompt:
    """A request's text and its token ids, in which one token stands for each of its images."""

    request: Request
    text: str
    ids: Sequence[int]
    images: tuple[Image, ...] = ()

    @property
    def opened(self) -> bool:
        """Whether it ends with an open thinking block."""
        return self.text.rstrip().endswith(OPEN)


@dataclass(frozen=True)
class Inputs:
    """A batch on the CPU, padded on the left: tensors by the names of the model's arguments, and
    the number of tokens of each row."""

    tensors: Mapping[str, torch.Tensor]
    lengths: tuple[int, ...]


class TextPrompts:
    """Prompts of text alone, by a tokenizer."""

    def __init__(self, renderer: Renderer | ImageRenderer) -> None:
        self._renderer = renderer
        self.uses_template = renderer.uses_template

    def start(self) -> None:
        """Forget what was seen of an earlier run."""

    def look(self, request: Request) -> None:
        """Called once for every request, in any order. Raises GenbenchError where it has an image
        that cannot be shown."""

    def prompt(self, request: Request) -> Prompt:
        """Raises ModelError where the chat template refuses the messages, or writes BOS twice."""
        return self.prompt_of(request, self._renderer.text(request.messages))

    def prompt_of(self, request: Request, text: str) -> Prompt:
        """As `prompt`, where the text is known."""
        images = tuple(image for message in request.messages for image in message.images)
        return Prompt(request, text, self._renderer.ids(text), images)

    def length(self, prompt: Prompt) -> int:
        """The number of tokens that a prompt becomes."""
        return len(prompt.ids)

    def inputs(self, prompts: Sequence[Prompt], pad: int) -> Inputs:
        """A batch. Raises ModelError where it cannot be made."""
        import torch

        every = [list(prompt.ids) for prompt in prompts]
        longest = max(map(len, every))
        tensors = {
            "input_ids": torch.tensor([[pad] * (longest - len(ids)) + ids for ids in every]),
            "attention_mask": torch.tensor(
                [[0] * (longest - len(ids)) + [1] * len(ids) for ids in every]
            ),
        }
        return Inputs(tensors, tuple(map(len, every)))

    def rendered(self, request: Request) -> dict[str, Any]:
        """A prompt as `run.json` shows it."""
        prompt = self.prompt(request)
        return {"text": prompt.text, "ids": list(prompt.ids), "chat_template": self.uses_template}

    def recorded(self) -> dict[str, Any]:
        """What of the making of prompts decides a result."""
        return {"chat_template": self.uses_template}


class ImagePrompts(TextPrompts):
    """Prompts with images, by the checkpoint's processor. Only the processor knows how many
    tokens an image becomes; that depends on the image's size alone."""

    def __init__(
        self,
        processor: Any,
        renderer: ImageRenderer,
        folder: Path,
        images: Images,
        before: Callable[[Any], Any] = lambda pixels: pixels,
    ) -> None:
        """`before` is what is done to decoded images before the processor sees them."""
        super().__init__(renderer)
        self._processor = processor
        self._image_renderer = renderer
        self._files = files.processor_files(folder)
        self._images = images
        self._before = before
        self._measured: dict[tuple[int, int], dict[str, Any]] = {}
        self._seen: set[tuple[int, int]] = set()

    def resolution(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """The settings of the processor that model arguments change, as its own names."""
        return resolution(self._processor.image_processor, arguments)

    def start(self) -> None:
        self._seen.clear()

    def look(self, request: Request) -> None:
        for message in request.messages:
            for image in message.images:
                size = self._images.size(image, request.episode)
                self._measure(size)
                self._seen.add(size)

    def length(self, prompt: Prompt) -> int:
        """From the sizes of its images; their pixels are not needed for it."""
        sizes = [self._images.size(image, prompt.request.episode) for image in prompt.images]
        return len(prompt.ids) + sum(int(self._measure(size)["tokens"]) - 1 for size in sizes)

    def inputs(self, prompts: Sequence[Prompt], pad: int) -> Inputs:
        """Prompts that all have images, or all have none: some processors take no mixture."""
        tensors = self._encoded(
            [prompt.text for prompt in prompts],
            [self.pixels(prompt) for prompt in prompts],
            special_tokens=self._image_renderer.adds_special_tokens(prompts[0].text),
        )
        mask = tensors["attention_mask"]
        # The padding token may be one that the model has no embedding for.
        tensors["input_ids"] = tensors["input_ids"].masked_fill(mask == 0, pad)
        return Inputs(tensors, tuple(mask.sum(dim=1).tolist()))

    def _encoded(
        self, texts: list[str], images: list[list[Any]], *, special_tokens: bool
    ) -> dict[str, Any]:
        try:
            return dict(
                self._processor(
                    text=texts,
                    images=images if any(images) else None,
                    padding=True,
                    add_special_tokens=special_tokens,
                    return_tensors="pt",
                )
            )
        except (ValueError, TypeError, KeyError, IndexError, StopIteration) as error:
            sizes = sorted({f"{one.width} x {one.height}" for row in images for one in row})
            raise ModelError(
                f"the checkpoint's {type(self._processor).__name__} refuses a prompt with images "
                f"of {', '.join(sizes) or 'no size'}: {files.brief(error)}"
            ) from None

    def _measure(self, size: tuple[int, int]) -> dict[str, Any]:
        """What an image of that size becomes."""
        if size not in self._measured:
            import PIL.Image

            blank = PIL.Image.new("RGB", size, (127, 127, 127))
            # Some processors put a BOS token before a text that has none.
            tokenizer = self._processor.tokenizer
            text = f"{tokenizer.bos_token or ''}{self._image_renderer.image_token}"
            others = len(tokenizer(text, add_special_tokens=False)["input_ids"]) - 1
            found = self._encoded([text], [[self._before(blank)]], special_tokens=False)
            self._measured[size] = {
                "width": size[0],
                "height": size[1],
                **_processed(found, self._processor),
                "tokens": int(found["input_ids"].shape[1]) - others,
            }
        return self._measured[size]

    def pixels(self, prompt: Prompt) -> list[Any]:
        """Its images, decoded and ready for the processor. Raises TaskError."""
        return [
            self._before(self._images.pixels(image, prompt.request.episode))
            for image in prompt.images
        ]

    def rendered(self, request: Request) -> dict[str, Any]:
        ids = self.inputs([self.prompt(request)], pad=0).tensors["input_ids"][0].tolist()
        return {**super().rendered(request), "ids": ids, **self.shown(request)}

    def shown(self, request: Request) -> dict[str, Any]:
        """The images of a prompt, and what they become."""
        images = [image for message in request.messages for image in message.images]
        sizes = [self._images.size(image, request.episode) for image in images]
        return {
            "images": [
                {**self._measure(size), "sha256": digest(image).hex()}
                for image, size in zip(images, sizes, strict=True)
            ]
        }

    def recorded(self) -> dict[str, Any]:
        return {
            **super().recorded(),
            "images": {
                "processor": settings(self._processor),
                "files": self._files,
                "sizes": [self._measured[size] for size in sorted(self._seen)],
            },
        }


def _processed(found: Mapping[str, Any], processor: Any) -> dict[str, Any]:
    """The pixels that one image became: their shape, and width and height where that says them.

    `tiles` is the number of pictures of that size that it was cut into.
    """
    pixels = found["pixel_values"]
    shape = {"pixel_values": list(pixels.shape)}
    if "image_grid_thw" in found:  # rows of patches
        patch = int(processor.image_processor.patch_size)
        _, rows, columns = found["image_grid_thw"][0].tolist()
        return {"processed_width": columns * patch, "processed_height": rows * patch, "tiles": 1}
    if pixels.dim() < 4:
        return shape
    return {
        "processed_width": int(pixels.shape[-1]),
        "processed_height": int(pixels.shape[-2]),
        "tiles": math.prod(pixels.shape[:-3]),
    }
