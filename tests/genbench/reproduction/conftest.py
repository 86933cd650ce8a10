"""Planted training runs, made as the tests of reports make them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

import report_runs


@pytest.fixture(scope="session")
def responses(tmp_path_factory):
    """What the oracle and the memoriser answer."""
    output = tmp_path_factory.mktemp("agents")
    return {
        kind: report_runs.responses_of(
            report_runs.agent_run(output, kind, limit=report_runs.LIMIT, verify_iters=1)
        )
        for kind in ("oracle", "memoriser")
    }


@pytest.fixture(scope="session")
def plant(responses, tmp_path_factory):
    """Training runs from a base at ID 50%, OOD 60%, whose last rates are exact.

    `plant({recipe: (method, [(ID, OOD) of each seed], sticks)})` gives the base's run folder and
    the ended training runs; with `sticks` the faults on OOD are right under the training rule. A
    third rate is that on `control-ood`, which else is 0, as the base's.
    """
    from genbench.reproduction.conclusion import Ended
    from genbench.reproduction.plan import PlannedTraining
    from genbench.reproduction.preset import TrainingPreset
    from genbench.training.recipes import load_recipe

    def run(output, name, rates, seed, sticks, training):
        rows = list(report_runs.planted_rows(responses, rates=rates, seed=seed))
        if sticks:
            sticking = responses["memoriser"]
            places = {place[1]: place for place in sticking if place[0] == "ood" and place[2] == 1}
            rows = [
                (instance, attempt, sticking[places[instance]])
                if text == "I do not know." and instance in places
                else (instance, attempt, text)
                for instance, attempt, text in rows
            ]
        return report_runs.imported_run(
            output, name, rows, limit=report_runs.LIMIT, training=training
        )

    def make(trainings, roles=None):
        output = tmp_path_factory.mktemp("planted")
        base = run(
            output, "base", {"id": 0.5, "ood": 0.6}, 0, False,
            {"recipe": "gp-base", "method": "base", "step": 1, "seed": 0, "flops": 1.2e14,
             "parent": None},
        )  # fmt: skip
        ended = []
        for recipe, (method, seeds, sticks) in trainings.items():
            preset = TrainingPreset(
                recipe=f"gp-{method}-quick", name=recipe, role=(roles or {}).get(recipe, "main")
            )
            for seed, (inside, out, *numerals) in enumerate(seeds):
                loaded = load_recipe(preset.recipe, [f"name={recipe}", f"seed={seed}"], "base")
                folders = {}
                # Half way, then the end.
                for step, rates in ((1, ((0.5 + inside) / 2, (0.6 + out) / 2)), (2, (inside, out))):
                    rates = dict(zip(("id", "ood"), rates, strict=True))
                    folders[step] = run(
                        output, f"{recipe}/seed-{seed}/step-{step}",
                        {**rates, "control-ood": sum(numerals)}, seed, sticks,
                        {"recipe": recipe, "method": method, "step": step, "seed": seed,
                         "flops": step * 1e13, "parent": "base"},
                    )  # fmt: skip
                ended.append(Ended(PlannedTraining(preset, loaded, seed, output), folders))
        return base, ended

    return make
