"""What lm-eval runs of an exported task: a split as one of its tasks.

lm-eval loads this class by way of the exported code. The questions are drawn and the answers
judged by the task as it is installed, which must be the one that was exported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from lm_eval.api.task import ConfigurableTask

from genbench.errors import TaskError
from genbench.lmeval_pack.writing import MARK, STICKINESS
from genbench.registry import load_task
from genbench.task import Instance, Message, Task, canonical_json
from genbench.thinking import visible_text


class SplitTask(ConfigurableTask):  # type: ignore[misc]
    """A split of a genbench task. `config` is the content of its YAML file.

    Raises TaskError where the installed task is not the exported one.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        own = {key: value for key, value in config.items() if key != "class"}
        metadata = own["metadata"]
        asked, place = metadata["asked"], Path(str(metadata["config_source"])).parent
        self._genbench = _loaded(canonical_json(asked), place)
        self._split = self._genbench.splits[own["test_split"]]
        self._by_id = {instance.id: instance for instance in self._split.instances()}
        self._sticks = any(one["metric"] == STICKINESS for one in own["metric_list"])
        # Said, since lm-eval would search the evaluate library for metrics of these names.
        own["process_results"] = f"{__name__}.SplitTask.process_results"
        super().__init__(config=own)

    def download(self, *_: Any, **__: Any) -> None:
        """Draw the questions; nothing is fetched."""
        import datasets

        rows = [self._row(instance) for instance in self._split.instances()]
        self.dataset = {self._split.name: datasets.Dataset.from_list(rows)}

    def _row(self, instance: Instance) -> dict[str, str]:
        return {
            "instance_id": instance.id,
            "pair_id": instance.pair_id,
            "cluster": instance.cluster,
            "prompt": "\n\n".join(_text(one) for one in self._genbench.messages(instance)),
            "solution": next(iter(self._genbench.environment.solutions(instance)), ""),
            "data": canonical_json(instance.data),
        }

    # -- asking ---------------------------------------------------------------------------------

    def fewshot_context(
        self,
        doc: Mapping[str, Any],
        num_fewshot: int,
        system_instruction: str | None = None,
        apply_chat_template: bool = False,
        fewshot_as_multiturn: bool = False,
        chat_template: Any = None,
        gen_prefix: str | None = None,
    ) -> str:
        """The prompt, as genbench's own backends write it. There are no examples: lm-eval leaves
        the 0 of the YAML file as it is."""
        messages = list(self._genbench.messages(self._instance(doc)))
        if system_instruction:
            messages.insert(0, Message("system", system_instruction))
        if not apply_chat_template:
            return "".join(f"{_text(message)}\n\n" for message in messages)
        chat = [{"role": message.role, "content": _text(message)} for message in messages]
        return str(chat_template(chat, add_generation_prompt=True))

    def doc_to_image(self, doc: Mapping[str, Any], doc_to_image: Any = None) -> list[Any]:
        """The pictures of a question, decoded, in reading order."""
        from genbench.models.images import Images

        instance = self._instance(doc)
        images = Images()
        return [
            images.pixels(image, instance.id)
            for message in self._genbench.messages(instance)
            for image in message.images
        ]

    # -- judging --------------------------------------------------------------------------------

    def process_results(self, doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
        """The metrics of an answer, by genbench's verifier."""
        environment, instance = self._genbench.environment, self._instance(doc)
        text = visible_text(results[0], "strip")
        episode = environment.episode(instance, 1)
        verdict = episode.step(text)
        found = {
            "success": float(episode.solved),
            "strict_success": float(episode.solved and verdict.strict),
        }
        if self._sticks:
            under_training = environment.under_rule(instance, self._genbench.training_split)
            if under_training is not None:
                right = self._genbench.verify(under_training, text).correct
                found[STICKINESS] = float(right)
        return found

    def _instance(self, doc: Mapping[str, Any]) -> Instance:
        return self._by_id[doc["instance_id"]]


@lru_cache(maxsize=8)
def _loaded(asked_json: str, folder: Path) -> Task:
    """The task that was exported; one for all its splits. Raises TaskError."""
    import json

    asked = json.loads(asked_json)
    task = load_task(
        folder / asked["file"] if "file" in asked else asked["task"],
        settings=asked.get("settings"),
        **{name: asked[name] for name in ("protocol", "prompt", "feedback")},
    )
    if task.fingerprint != asked["fingerprint"]:
        raise TaskError(
            f"the pack in {folder} was written of another version of {asked['task']} than is "
            f"installed here ({task.spec.version}): its fingerprint is "
            f"{asked['fingerprint'][:16]}, and that of the task {task.fingerprint[:16]}; export it "
            "again"
        )
    return task


def _text(message: Message) -> str:
    """A message as lm-eval takes it: a mark where an image stands."""
    if isinstance(message.content, str):
        return message.content
    return "".join(
        # A text that writes the mark out must not be taken for an image.
        part.replace(MARK, "< image>") if isinstance(part, str) else MARK
        for part in message.content
    )
