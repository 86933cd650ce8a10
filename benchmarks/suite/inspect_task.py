"""gp-ood-rule for Inspect: genbench's prompts, and a scorer that calls genbench's verifier.

    inspect eval benchmarks/suite/inspect_task.py -T pairs=5 --model hf/local -M model_path=FOLDER

All splits of the first pairs, in the order in which genbench asks them.
"""

from __future__ import annotations

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser
from inspect_ai.scorer import CORRECT, INCORRECT, Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import TaskState, generate

import genbench

TASK = "gp-ood-rule"


@task  # type: ignore[untyped-decorator,unused-ignore]  # Inspect may not be installed
def gp_ood_rule(pairs: int | None = None) -> Task:
    """The samples of the first so many pairs."""
    asked = genbench.load_task(TASK, limit=pairs)
    instances = {
        instance.id: instance for split in asked.splits.values() for instance in split.instances()
    }

    @scorer(metrics=[accuracy()])  # type: ignore[untyped-decorator,unused-ignore]
    def verdict() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            found = asked.verify(instances[str(state.sample_id)], state.output.completion)
            return Score(value=CORRECT if found.correct else INCORRECT, answer=found.outcome)

        return score

    samples = [
        Sample(id=name, input=[ChatMessageUser(content=asked.messages(instance)[0].text)])
        for name, instance in instances.items()
    ]
    return Task(dataset=MemoryDataset(samples), solver=generate(), scorer=verdict())
