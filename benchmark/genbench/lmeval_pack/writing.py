"""Writing a task as a folder for `lm_eval --include_path`: a group of its splits.

The YAML files name the task and the class that lm-eval is to make of each split; questions and
judgements stay genbench's own (`genbench.lmeval_pack.split`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genbench import __version__
from genbench.errors import TaskError, UsageError
from genbench.store import write_atomically
from genbench.task import Split, Task

#: what lm-eval takes for an image in the text of a message
MARK = "<image>"
CODE = "genbench_pack.py"
#: of a task that is a file: lm-eval takes every `*.yaml` below the folder for one of its own
TASK_FILE = "task.yml"
METRICS = ("success", "strict_success")
STICKINESS = "stickiness"

_CODE = '''\
"""What lm-eval calls of this pack: genbench's own questions and verifier."""

try:
    from genbench.lmeval_pack.split import SplitTask  # noqa: F401
except ImportError as error:
    raise ImportError(
        "this task pack asks and judges through genbench (written by genbench {version}), which "
        f"cannot be imported here: {{error}}; install it where lm-eval runs"
    ) from error
'''

_README = """\
# {group}

{task.summary}

The task `{task.name}` {task.version} of genbench (protocol {protocol}, prompt {prompt}), for
lm-eval 0.4.13 or newer. genbench must be installed beside lm-eval: it asks the questions and
judges the answers, and refuses where the installed task is another one.

```
lm_eval --model {model} --model_args pretrained=MODEL,dtype=float32 --apply_chat_template \\
        --tasks {group} --include_path DIR --batch_size 16 \\
        --log_samples --output_path OUT
```

DIR is the folder that holds this one. Leave `--apply_chat_template` out for a checkpoint without a
template. `--limit N` asks the first N pairs, as `genbench run --limit N` does.

| subtask | split | role | n |
|---|---|---|---|
{rows}

`success` is the success rate of `genbench run` at the first attempt; `strict_success` is that of
answers which kept the strict format, too; `stickiness` (of a rule shift) is the share of OOD
answers that are right under the training rule. The group's figures are means over all instances of
its subtasks. lm-eval has no gap, no paired test and no clustered interval; they follow from its
samples, if all splits are among them (after `lm_eval --limit N`, give `genbench import` the same
`--limit N`):

```
cat OUT/*/samples_{group}_*.jsonl \\
  | jq -c '{{instance_id: .doc.instance_id, response: .resps[0][0]}}' > responses.jsonl
genbench import responses.jsonl --task {again} --output runs
```

What lm-eval does otherwise than `genbench run`: it heeds the penalties in the checkpoint's
`generation_config.json`, which genbench ignores; it cuts prompts that are too long from their left;
it does not say which answers the token limit cut off. No examples are shown, whatever
`--num_fewshot` says.
"""


def pack_name(text: str) -> str:
    """A name as lm-eval's tasks have theirs: letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")


def write_pack(task: Task, folder: Path, splits: Sequence[str]) -> list[Path]:
    """Write `<folder>/<task>/`: a YAML file for the group and for each split, the code that they
    name, a README; returns the paths, the group's first.

    Raises UsageError where lm-eval, which asks each question once, cannot run the task.
    """
    from genbench.export import make_folder

    pictured = _check(task, splits)
    group = pack_name(task.name)
    names = {name: f"{group}_{pack_name(name)}" for name in splits}
    if len(set(names.values())) < len(names):
        raise TaskError(f"two splits of {task.name} have one name for lm-eval: {', '.join(names)}")
    place = folder / group
    make_folder(place)
    asked = _asked(task)
    files = {
        f"{group}.yaml": _yaml(_group(task, group, names, asked)),
        **{
            f"{name}.yaml": _split_yaml(task, task.splits[split], name, asked, pictured)
            for split, name in names.items()
        },
        CODE: _CODE.format(version=__version__),
        "README.md": _readme(task, group, names, pictured),
    }
    if "file" in asked:
        files[TASK_FILE] = Path(task.spec.source).read_text(encoding="utf-8")
    paths = []
    for name, text in files.items():
        write_atomically(place / name, [text.encode()])
        paths.append(place / name)
    return paths


def _check(task: Task, splits: Sequence[str]) -> bool:
    """Whether the task shows images. Raises UsageError for one that lm-eval cannot run."""
    cannot = f"lm-eval cannot run the task {task.name}"
    environment = task.environment
    shown = set()
    for name in splits:
        for number, instance in enumerate(task.splits[name].instances()):
            if number == 0 and _has_more_steps(task, name):
                raise UsageError(
                    f"{cannot}: its episodes have many steps, each asked after the answer to the "
                    "one before, and lm-eval asks each question once; use `genbench run`, also "
                    "with --backend lm-eval:hf"
                )
            shown.add(any(message.images for message in environment.messages(instance)))
    if len(shown) > 1:
        raise UsageError(
            f"{cannot}: some of its questions show images and some do not, which lm-eval's models "
            "do not take together; export splits of one kind with --split"
        )
    return shown.pop()


def _has_more_steps(task: Task, split: str) -> bool:
    environment, instance = task.environment, task.splits[split].instances()[0]
    answer = next(iter(environment.solutions(instance)), "")
    episode = environment.episode(instance, 1)
    episode.step(answer)
    return bool(environment.step_kinds) or not episode.done


def _asked(task: Task) -> dict[str, Any]:
    """What the task is loaded with again, and what it must then be."""
    return {
        "task": task.name,
        **({"file": TASK_FILE} if _is_file(task) else {}),
        "protocol": task.protocol.name,
        "prompt": task.environment.prompt,
        "feedback": task.environment.feedback,
        **({"settings": task.overrides} if task.overrides else {}),
        "fingerprint": task.fingerprint,
    }


def _group(task: Task, group: str, names: dict[str, str], asked: dict[str, Any]) -> dict[str, Any]:
    return {
        "group": group,
        "task": list(names.values()),
        "aggregate_metric_list": [
            {"metric": metric, "aggregation": "mean", "weight_by_size": True, "filter_list": "none"}
            for metric in METRICS
        ],
        "metadata": {"version": task.spec.version, "genbench": __version__},
    }


def _split_yaml(task: Task, split: Split, name: str, asked: dict[str, Any], pictured: bool) -> str:
    metrics = [*METRICS]
    if split.spec.role == "ood" and _has_stickiness(task, split):
        metrics.append(STICKINESS)
    return f"class: !function {CODE.removesuffix('.py')}.SplitTask\n" + _yaml(
        {
            "task": name,
            "task_alias": split.name,
            "output_type": "generate_until",
            "test_split": split.name,
            "doc_to_text": "prompt",
            "doc_to_target": "solution",
            **({"doc_to_image": "images"} if pictured else {}),
            "num_fewshot": 0,
            # An empty list: without any, lm-eval would end answers at a blank line.
            "generation_kwargs": {
                "until": [],
                "max_gen_toks": task.spec.max_new_tokens,
                "do_sample": False,
                "temperature": 0.0,
            },
            "metric_list": [
                {"metric": one, "aggregation": "mean", "higher_is_better": one != STICKINESS}
                for one in metrics
            ],
            "metadata": {"version": task.spec.version, "genbench": __version__, "asked": asked},
        }
    )


def _has_stickiness(task: Task, split: Split) -> bool:
    training = task.training_split
    return task.environment.stickiness_reason(split.spec, training) is None and any(
        task.environment.under_rule(instance, training) is not None
        for instance in split.instances()
    )


def _yaml(content: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(content, sort_keys=False, width=100))


def _readme(task: Task, group: str, names: dict[str, str], pictured: bool) -> str:
    rows = [
        f"| `{name}` | {split} | {task.splits[split].spec.role} "
        f"| {len(task.splits[split].instances())} |"
        for split, name in names.items()
    ]
    first = next(iter(task.spec.protocols))
    options = "" if task.protocol.name == first else f" --protocol {task.protocol.name}"
    return _README.format(
        group=group,
        task=task.spec,
        protocol=task.protocol.name,
        prompt=task.environment.prompt,
        model="hf-multimodal" if pictured else "hf",
        rows="\n".join(rows),
        again=(TASK_FILE if _is_file(task) else task.name) + options,
    )


def _is_file(task: Task) -> bool:
    return task.spec.source.endswith((".yaml", ".yml"))
