"""lm-eval's `hf-multimodal` behind genbench's interface: prompts with images.

lm-eval loads the processor as transformers does, renders the chat and processes the images itself.
What it must be kept from: an answer that spells an image token out, a BOS token that both the
template and the processor write, text and images in one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.errors import ModelError
from genbench.models.images import Images
from genbench.models.interface import Identity, LoadOptions, Request
from genbench.models.lmeval_model import Asked, LMEvalModel
from genbench.models.processor import missing_packages
from genbench.models.prompts import ImagePrompts
from genbench.models.rendering import ImageRenderer, parts_of, refuse_doubled_bos
from genbench.task import Task

# What lm-eval takes for an image in the text of a message.
_MARK = "<image>"


class LMEvalImageModel(LMEvalModel):
    """An image-text-to-text model that lm-eval runs."""

    batch = 16

    def __init__(self, kind: str, identity: Identity, options: LoadOptions) -> None:
        with missing_packages(identity.name):
            super().__init__(kind, identity, options)

    def _use_template(self, identity: Identity, options: LoadOptions) -> bool:
        processor = self._lm.processor
        processor.chat_template = processor.chat_template or processor.tokenizer.chat_template
        self._renderer = ImageRenderer(processor, options.chat_template)
        self._images = Images()
        folder = Path(str(identity.location))
        self._prompts = ImagePrompts(
            processor, self._renderer, folder, self._images, self._as_resized
        )
        return self._renderer.uses_template

    def _as_resized(self, pixels: Any) -> Any:
        """As lm-eval changes an image before the processor sees it."""
        from lm_eval.models.utils import resize_image

        return resize_image(
            pixels, self._lm.image_width, self._lm.image_height, self._lm.image_max_side
        )

    # -- requests -------------------------------------------------------------------------------

    def start(self, task: Task) -> None:
        self._prompts.start()

    def _looked_at(self, request: Request) -> tuple[Sequence[int], int]:
        self._prompts.look(request)
        prompt = self._prompts.prompt_of(request, self._prompt(request))
        return prompt.ids, self._prompts.length(prompt)

    def _prompt(self, request: Request) -> str:
        if not self._chat:
            return self._renderer.text(request.messages)
        spelled = self._renderer.spelled
        text = self._by_template(
            [
                {
                    "role": message.role,
                    "content": "".join(
                        spelled(part).replace(_MARK, "< image>") if isinstance(part, str) else _MARK
                        for part in parts_of(message)
                    ),
                }
                for message in request.messages
            ]
        )
        fault = self._renderer.fault(text, request.messages)
        if fault is not None:
            raise ModelError(f"the checkpoint's chat template, as lm-eval uses it, {fault}")
        return text

    def _asked(self, request: Request) -> Asked:
        text = self._prompt(request)
        pixels = tuple(
            self._images.pixels(image, request.episode)
            for message in request.messages
            for image in message.images
        )
        if not pixels:
            return Asked(request, text, self._ids(text))
        ids = self._image_ids(text, pixels)
        tokenizer = self._lm.tokenizer
        bos = tokenizer.bos_token
        if bos is not None and ids[:2] == [tokenizer.bos_token_id] * 2 and text.startswith(bos):
            # lm-eval lets the processor add the BOS token that the template has written.
            text = text.removeprefix(bos)
            ids = self._image_ids(text, pixels)
        refuse_doubled_bos(ids, tokenizer)
        return Asked(request, text, ids, pixels)

    def _image_ids(self, text: str, pixels: Sequence[Any]) -> list[int]:
        resized = [self._as_resized(one) for one in pixels]
        ids, _ = self._lm.tok_multimodal_encode(text, resized)
        return [int(token) for token in ids[0]]

    # -- what is recorded -----------------------------------------------------------------------

    def rendered(self, request: Request) -> Mapping[str, Any]:
        # The text as the template wrote it, with its BOS token.
        text = self._prompt(request)
        return {**super().rendered(request), "text": text, **self._prompts.shown(request)}

    def sampling(self) -> Mapping[str, Any]:
        return {**super().sampling(), **self._prompts.recorded()}
