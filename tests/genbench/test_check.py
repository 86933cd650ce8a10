"""`genbench check`: regressions are caught, unchanged models are let through, files are valid."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from scipy.stats import binom

import genbench
from genbench import gate, stats
from genbench.changes import Changes
from genbench.errors import GenbenchError
from genbench.gate import Drop, check, judge, overall
from genbench.gate_reports import headline, junit, markdown
from genbench.importing import import_responses
from genbench.stats.margin import margin_test

ROOT = Path(__file__).parents[2]
WRONG = '{"cards": [], "number": [], "formula": "1+1=2"}'


def run(model, output, task="gp-ood-rule", **options):
    genbench.run(model, task, output=output, **options)
    (found,) = output.glob(f"*/{task}/*")
    return found


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    """The agents on 50 hands of the main task."""
    output = tmp_path_factory.mktemp("agents")
    return {
        kind: run(f"agent:{kind}", output / kind, limit=50, verify_iters=1)
        for kind in ("oracle", "memoriser")
    }


# Planted regressions


class Answers:
    """Right answers to every instance of the task of targets, and runs made of some of them."""

    def __init__(self, folder):
        self.folder = folder
        stored = genbench.load_run(run("agent:oracle", folder / "oracle", "gp-targets-ood-rule"))
        self.right = {
            episode.instance_id: (episode.split, episode.turns[0].response.text)
            for episode in stored.episodes
        }
        self.task = genbench.load_task("gp-targets-ood-rule")

    def of_split(self, split):
        return [instance for instance, (of, _) in self.right.items() if of == split]

    def imported(self, name, solved):
        """A run in which those instances are answered rightly."""
        path = self.folder / f"{name}.jsonl"
        with path.open("w") as file:
            for instance, (_, text) in self.right.items():
                # Each run's wrong answers are its own: other responses are other weights.
                response = text if instance in solved else f"{WRONG} {name}"
                file.write(json.dumps({"instance_id": instance, "response": response}) + "\n")
        evaluation, _, _ = import_responses(path, self.task, self.folder / name)
        return evaluation.folder.path


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return Answers(tmp_path_factory.mktemp("answers"))


@pytest.fixture(scope="module")
def baseline(answers):
    """Six of ten answers are right. The folder, and the instances that are solved."""
    solved = {instance for instance in answers.right if Random(instance).random() < 0.6}
    return answers.imported("baseline", solved), solved


def churned(answers, solved, share, seed):
    """As many right answers as before, but other ones: `share` of each split goes, and comes."""
    random = Random(seed)
    found = set(solved)
    for split in ("id", "ood"):
        ids = answers.of_split(split)
        count = round(share * len(ids))
        found -= set(random.sample([one for one in ids if one in solved], count))
        found |= set(random.sample([one for one in ids if one not in solved], count))
    return found


def test_ten_points_of_right_answers_made_wrong_are_caught(answers, baseline):
    folder, solved = baseline
    worse = churned(answers, solved, 0.03, "planted")
    ood = answers.of_split("ood")
    lost = Random(1).sample([one for one in ood if one in worse], round(0.1 * len(ood)))
    found = check(answers.imported("worse", worse - set(lost)), folder)
    by_name = {one.name: one for one in found.quantities}
    assert found.verdict == "fail"
    assert not found.passed
    assert by_name["ood"].drop == pytest.approx(0.1, abs=1e-3)
    assert by_name["ood"].lower > 0.02
    assert {name: one.verdict for name, one in by_name.items()} == {
        "id": "pass", "ood": "fail", "gap ood": "fail",
    }  # fmt: skip


def test_as_many_right_answers_as_before_pass_though_others_are_right(answers, baseline):
    folder, solved = baseline
    found = check(answers.imported("as-good", churned(answers, solved, 0.03, "as good")), folder)
    assert found.verdict == "pass"
    assert all(0 < one.upper < 0.02 for one in found.quantities)


def test_equal_answers_of_other_weights_pass_where_the_interval_allows(answers, baseline):
    folder, solved = baseline
    found = check(answers.imported("equal", solved), folder)
    assert found.verdict == "pass"
    assert all(0 < one.upper < 0.02 for one in found.quantities)


def test_perturbed_weights_are_caught(tmp_path, command):
    import torch
    from safetensors.torch import load_file, save_file

    source = ROOT / "tasks/genbench_tasks/checkpoints/gp-base"
    perturbed = shutil.copytree(source, tmp_path / "perturbed")
    weights = load_file(perturbed / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    for name, value in weights.items():
        if value.ndim == 2:
            noise = torch.randn(value.shape, generator=generator) * value.float().std()
            weights[name] = (value.float() + 0.5 * noise).to(value.dtype)
    save_file(weights, perturbed / "model.safetensors", metadata={"format": "pt"})
    options = {"limit": 60, "verify_iters": 1, "max_new_tokens": 128}
    before = run("demo/gp-base", tmp_path / "before", **options)
    after = run(str(perturbed), tmp_path / "after", **options)
    done = command("check", after, "--baseline", before)
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL: ")


# Error rates


GP_SIZES = (9, 9, 8, 7, 6, 6, 5, 5, 5, 4, 4, 4, 4, *[3] * 35, *[2] * 20, *[1] * 12)
"""Sizes like those of the 80 classes of gp-ood-rule: 233 pairs."""


class Pool:
    """K stored samples of every instance of an ID and an OOD split, paired and in clusters.

    Rates differ between clusters and, within them, between instances; the two samples of a pair
    of runs are drawn from the same rates, so nothing differs between the runs.
    """

    def __init__(self, sizes, seed, samples=16):
        self.random = np.random.default_rng(seed)
        codes = np.repeat(np.arange(len(sizes)), sizes)
        self.clusters = tuple(map(str, codes))
        self.splits = []
        for _ in ("id", "ood"):
            level = self.random.normal(-0.5, 1.5, len(sizes))[codes]
            rates = 1 / (1 + np.exp(-level - self.random.normal(0, 1, codes.size)))
            self.splits.append(self.random.random((codes.size, samples)) < rates[:, None])

    def pair(self):
        """Two runs: for every instance two different ones of its samples, without replacement."""
        found = []
        for scores in self.splits:
            order = np.argsort(self.random.random(scores.shape), axis=1)[:, :2]
            found.append(np.take_along_axis(scores, order, axis=1).astype(float))
        return found

    def drops(self, drop=0.0, task=""):
        """The quantities of a task; `drop` of the OOD answers are lost outright (rates below it
        cannot fall by so much)."""
        inside, out = self.pair()
        if drop:
            rate = out[:, 0].mean()
            out[:, 1] *= self.random.random(out.shape[0]) >= drop / rate
        sides = {"id": inside, "ood": out, "gap": inside - out}
        return [
            Drop(
                name,
                "gap" if name == "gap" else "success",
                Changes(
                    # A gap grows by candidate minus baseline.
                    (side[:, 0] - side[:, 1]) * (-1 if name == "gap" else 1),
                    self.clusters,
                    2.0 if name == "gap" else 1.0,
                    float(side[:, 1].mean()),
                    float(side[:, 0].mean()),
                    sides=(side[:, 1], side[:, 0]) if name != "gap" else None,
                ),
                task,
            )
            for name, side in sides.items()
        ]


def alarms(pool, pairs, max_drop, drop=0.0, wanted="fail"):
    """How many of so many gates give that verdict."""
    return sum(
        overall([one.verdict for one in judge(pool.drops(drop), max_drop, 0.05, permutations=999)])
        == wanted
        for _ in range(pairs)
    )


def allowed(pairs, alpha=0.05):
    """More than so many of `pairs` have a probability below 0.001 at a rate of alpha."""
    return binom.ppf(0.999, pairs, alpha)


@pytest.mark.parametrize("max_drop", [0.0, 0.02])
@pytest.mark.parametrize("sizes", [GP_SIZES, [1] * 250], ids=["clusters", "independent"])
def test_unchanged_models_raise_alarms_at_no_more_than_alpha(sizes, max_drop):
    assert alarms(Pool(sizes, seed=1), 400, max_drop) <= allowed(400)


def test_the_same_gates_do_raise_alarms_at_a_drop():
    assert alarms(Pool(GP_SIZES, seed=1), 50, 0.02, drop=0.25) >= 45


def test_a_drop_as_large_as_allowed_fails_or_passes_at_no_more_than_alpha():
    pool = Pool([1] * 1500, seed=2)
    for wanted in ("fail", "pass"):
        assert alarms(pool, 200, 0.06, drop=0.06, wanted=wanted) <= allowed(200)


def gates_of_two(pools, gates, max_drop, drop=0.0):
    """The verdicts of so many gates over two tasks; `drop` is planted in the second one alone."""
    for _ in range(gates):
        drops = [*pools[0].drops(task="one"), *pools[1].drops(drop, task="two")]
        yield judge(drops, max_drop, 0.05, permutations=999)


@pytest.mark.parametrize("max_drop", [0.0, 0.02])
def test_unchanged_models_raise_alarms_at_no_more_than_alpha_over_two_tasks(max_drop):
    pools = [Pool(GP_SIZES, seed=11), Pool([1] * 250, seed=12)]
    found = [[one.verdict for one in gate] for gate in gates_of_two(pools, 300, max_drop)]
    assert all(len(verdicts) == 6 for verdicts in found)
    assert sum("fail" in verdicts for verdicts in found) <= allowed(300)


@pytest.mark.slow
def test_unchanged_models_raise_alarms_at_no_more_than_alpha_over_two_tasks_in_many_pools():
    found = 0
    for seed in range(50):
        pools = [Pool(GP_SIZES, seed=seed), Pool([1] * 250, seed=1000 + seed)]
        found += sum(
            "fail" in [one.verdict for one in gate] for gate in gates_of_two(pools, 100, 0.0)
        )
    print(f"{found} alarms of 5000 at max_drop 0 over two tasks")
    assert found <= allowed(5000)


def test_a_drop_on_one_task_of_two_is_found_there_and_not_on_the_other():
    pools = [Pool(GP_SIZES, seed=11), Pool([1] * 250, seed=12)]
    found = [
        {(one.task, one.name): one.verdict for one in gate}
        for gate in gates_of_two(pools, 50, 0.02, drop=0.25)
    ]
    assert sum(verdicts["two", "ood"] == "fail" for verdicts in found) >= 45
    elsewhere = [("one", "id"), ("one", "ood"), ("one", "gap"), ("two", "id")]
    alarms = sum(any(verdicts[one] == "fail" for one in elsewhere) for verdicts in found)
    assert alarms <= allowed(50)


@pytest.mark.slow
@pytest.mark.parametrize("max_drop", [0.0, 0.01, 0.02, 0.05])
@pytest.mark.parametrize("sizes", [GP_SIZES, [1] * 250, [5] * 20], ids=["gp", "single", "few"])
def test_unchanged_models_raise_alarms_at_no_more_than_alpha_in_many_pools(sizes, max_drop):
    found = sum(alarms(Pool(sizes, seed), 100, max_drop) for seed in range(50))
    print(f"{found} alarms of 5000 at max_drop {max_drop}")
    assert found <= allowed(5000)


@pytest.mark.slow
def test_unchanged_pairs_of_a_real_model_raise_alarms_at_no_more_than_alpha(tmp_path):
    folder = run(
        "demo/gp-base", tmp_path, limit=100, verify_iters=1, samples=16, temperature=1.0
    )  # fmt: skip
    scores, clusters = {"id": {}, "ood": {}}, {}
    for episode in genbench.load_run(folder).episodes:
        if episode.split in scores:
            of_pair = scores[episode.split].setdefault(episode.pair_id, [])
            of_pair.append(episode.turns[0].verdict.correct)
            clusters[episode.pair_id] = episode.cluster
    pool = Pool([1], seed=3)
    pool.clusters = tuple(clusters.values())
    pool.splits = [np.array([of[pair] for pair in clusters]) for of in scores.values()]
    assert pool.splits[0].shape == (100, 16)
    for max_drop in (0.0, 0.02):
        found = alarms(pool, 2000, max_drop)
        print(f"{found} alarms of 2000 at max_drop {max_drop}")
        assert found <= allowed(2000)


def changes(random, codes, lost, gained, whole):
    """-1, 0 or 1 an instance; `whole` of them change with their cluster."""
    draw = np.where(
        random.random(codes.size) < whole,
        random.random(codes.max() + 1)[codes],
        random.random(codes.size),
    )
    return np.where(draw < lost, 1.0, np.where(draw > 1 - gained, -1.0, 0.0))


@pytest.mark.parametrize(
    ("sizes", "margin", "gained", "whole"),
    [
        ([1] * 200, 0.02, 0.0, 0),
        ([1] * 60, 0.06, 0.0, 0),
        ([1] * 300, 0.02, 0.1, 0),
        (GP_SIZES, 0.05, 0.1, 0.5),
        (GP_SIZES, 0.1, 0.0, 0.9),
        ([5] * 20, 0.1, 0.2, 0.5),
    ],
)
def test_a_true_mean_at_the_margin_is_put_on_either_side_at_no_more_than_alpha(
    sizes, margin, gained, whole
):
    random = np.random.default_rng(5)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    above = below = 0
    for _ in range(600):
        values = changes(random, codes, margin + gained, gained, whole)
        found = margin_test(values, margin, codes)
        above += found.p_above <= 0.05
        below += found.p_below <= 0.05
    assert max(above, below) <= allowed(600)


def test_the_limits_of_a_margin_test_are_where_it_turns():
    random = np.random.default_rng(6)
    values, codes = random.choice([-1, 0, 0, 0, 1], 120), np.repeat(np.arange(40), 3)
    found = margin_test(values, 0.02, codes)
    assert found.lower < found.value < found.upper
    assert margin_test(values, found.upper, codes).p_below == pytest.approx(0.05, abs=1e-6)
    assert margin_test(values, found.lower, codes).p_above == pytest.approx(0.05, abs=1e-6)
    mirrored = margin_test(-values, -0.02, codes)
    assert mirrored.p_above == pytest.approx(found.p_below)
    assert mirrored.upper == pytest.approx(-found.lower)


@pytest.mark.parametrize("churn", [0.0, 0.04, 0.2])
def test_the_stated_number_of_pairs_passes_an_unchanged_model_with_the_stated_power(churn):
    random = np.random.default_rng(7)
    seen = np.zeros(2000)
    seen[: round(2000 * churn)] = np.resize([1, -1], round(2000 * churn))
    pairs = margin_test(seen, 0.04).pairs_to_exclude(0.05)
    codes = np.arange(pairs)
    passed = np.mean(
        [
            margin_test(changes(random, codes, churn / 2, churn / 2, 0), 0.04).p_below <= 0.05
            for _ in range(400)
        ]
    )
    assert passed >= 0.75
    assert churn == 0 or passed <= 0.9


def test_the_stated_detectable_drop_fails_with_the_stated_power():
    random = np.random.default_rng(8)
    codes = np.arange(400)
    seen = changes(random, codes, 0.08, 0.08, 0)
    drop = margin_test(seen, 0.02).smallest_shown_above(0.05)
    churn = margin_test(seen, 0.02).churn
    caught = np.mean(
        [
            margin_test(
                changes(random, codes, (churn + drop) / 2, (churn - drop) / 2, 0), 0.02
            ).p_above
            <= 0.05
            for _ in range(400)
        ]
    )
    assert 0.72 <= caught <= 0.88


def test_one_cluster_decides_nothing():
    found = margin_test(np.ones(50), 0.02, ["one"] * 50)
    assert (found.p_above, found.p_below) == (1.0, 1.0)
    assert (found.lower, found.upper) == (-1.0, 1.0)


# The command


def test_a_memoriser_fails_against_an_oracle_and_the_verdict_comes_first(agents, command):
    done = command("check", agents["memoriser"], "--baseline", agents["oracle"])
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == (
        "FAIL: agent:memoriser against agent:oracle on gp-ood-rule: worse by more than 2 pp: "
        "ood, gap ood"
    )
    assert "…" not in done.stdout
    table = done.stdout.split("\n\n")[0].splitlines()[1:]
    assert len(table) == 4
    assert max(map(len, table)) <= 100


def test_the_same_weights_with_the_same_scores_pass_at_any_size(agents, command, tmp_path):
    again = run("agent:oracle", tmp_path, limit=50, verify_iters=1)
    done = command("check", again, "--baseline", agents["oracle"])
    assert done.returncode == 0
    assert done.stdout.startswith("PASS: agent:oracle against agent:oracle")
    assert "the same weights, settings and scores" in done.stdout


@pytest.mark.parametrize(("choice", "code"), [("pass", 0), ("warn", 0), ("fail", 1)])
def test_a_small_run_is_inconclusive_and_says_what_would_do(agents, command, choice, code):
    done = command(
        "check", agents["oracle"], "--baseline", agents["memoriser"], "--on-inconclusive", choice
    )
    assert done.returncode == code
    assert done.stdout.startswith("INCONCLUSIVE: ")
    said = re.search(
        r"id: 50 pairs in (\d+) clusters fail on a true drop from ([\d.]+) pp on .*; (\d+) pairs "
        r"in (\d+) clusters would pass an unchanged model",
        done.stdout,
    )
    assert float(said[2]) > 2
    assert int(said[3]) > 50
    assert int(said[4]) > int(said[1])
    assert ("warning" in done.stderr) == (choice == "warn")


def test_no_number_of_pairs_excludes_a_drop_of_nothing(agents, command):
    done = command("check", agents["oracle"], "--baseline", agents["memoriser"], "--max-drop", 0)
    assert "no number of pairs excludes the allowed drop" in done.stdout


def test_a_strict_alpha_can_still_fail_a_large_drop(agents, command):
    arguments = ["check", agents["memoriser"], "--baseline", agents["oracle"]]
    done = command(*arguments, "--alpha", "0.0001")
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL: ")


def test_json_holds_the_verdict_and_nothing_else_is_printed(agents, command):
    done = command("check", agents["memoriser"], "--baseline", agents["oracle"], "--json")
    assert done.returncode == 1
    found = gate.GateResult.model_validate_json(done.stdout)
    assert found.verdict == "fail"
    assert [one.name for one in found.quantities] == ["id", "ood", "gap ood"]


def test_controls_are_no_part_of_the_gate_and_every_ood_split_is(tmp_path):
    made = [
        run(f"agent:{kind}", tmp_path / kind, "gp-ood-rule-family", limit=20)
        for kind in ("memoriser", "oracle")
    ]
    names = [one.name for one in check(*made).quantities]
    ood = ["ood-11-12-13", "ood-all-5", "ood-all-7", "ood-all-12"]
    assert names == ["id", *ood, *(f"gap {name}" for name in ood)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-drop", "2"], "--max-drop is a share"),
        (["--max-drop", "nan"], "--max-drop is a share"),
        (["--max-drop", "-0.1"], "--max-drop is a share"),
        (["--alpha", "0"], "--alpha lies between"),
        (["--alpha", "1e-5"], "--alpha lies between 0.0001 and 0.5"),
        (["--on-inconclusive", "wran"], "did you mean 'warn'?"),
        (["--junit", "/nowhere/at/all.xml"], "/nowhere/at/all.xml cannot be written"),
    ],
)
def test_bad_options_are_refused(agents, command, options, message):
    done = command("check", agents["memoriser"], "--baseline", agents["oracle"], *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_is_not_its_own_baseline(agents, command):
    done = command("check", agents["oracle"], "--baseline", agents["oracle"])
    assert done.returncode == 2
    assert "is given twice" in done.stderr


# Several tasks

TASKS = ("gp-ood-rule", "gp-targets-ood-rule")


@pytest.fixture(scope="module")
def grid(tmp_path_factory, answers, baseline):
    """Runs of a baseline and of candidates on two tasks, each below a folder of its own.

    `worse` is as good as the baseline on the first task and errs 10 points more often on the
    OOD split of the second one.
    """
    output = tmp_path_factory.mktemp("grid")
    _, solved = baseline
    worse = churned(answers, solved, 0.03, "planted")
    ood = answers.of_split("ood")
    lost = Random(1).sample([one for one in ood if one in worse], round(0.1 * len(ood)))
    oracle = genbench.load_run(run("agent:oracle", output / "oracle", TASKS[0], verify_iters=1))
    made = {}
    for name, known in (("before", solved), ("worse", worse - set(lost))):
        path = output / f"{name}.jsonl"
        with path.open("w") as file:
            for episode in oracle.episodes:
                # Each name has wrong answers of its own: other responses are other weights.
                right = Random(episode.key).random() < 0.6
                response = episode.turns[0].response.text if right else f"{WRONG} {name}"
                file.write(
                    json.dumps({"instance_id": episode.instance_id, "response": response}) + "\n"
                )
        task = genbench.load_task(TASKS[0])
        one = import_responses(path, task, output / name / "one", model=name)[0]
        path = output / f"{name}-targets.jsonl"
        with path.open("w") as file:
            for instance, (_, text) in answers.right.items():
                response = text if instance in known else f"{WRONG} {name}"
                file.write(json.dumps({"instance_id": instance, "response": response}) + "\n")
        two = import_responses(path, answers.task, output / name / "two", model=name)[0]
        made[name] = output / name, one.folder.path, two.folder.path
    return made


def test_a_regression_on_one_task_of_two_fails_the_gate_and_is_named(grid, command, tmp_path):
    path = tmp_path / "junit.xml"
    worse, before = grid["worse"][0], grid["before"][0]
    options = ["--max-drop", 0.06, "--junit", path, "--on-inconclusive", "pass"]
    done = command("check", worse, "--baseline", before, *options)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith(
        f"FAIL: worse against before on {', '.join(TASKS)}: worse by more than 6 pp: {TASKS[1]} ("
    )
    assert f"{TASKS[1]}: fail" in done.stdout
    assert f"{TASKS[0]}: fail" not in done.stdout
    suites = ElementTree.parse(path).getroot()
    assert len(suites) == 2
    assert [suite.get("failures") for suite in suites] == ["0", "2"]
    assert suites.get("tests") == "6"
    assert suites.get("failures") == "2"
    assert [suite.get("name").split(":")[0] for suite in suites] in (
        ["PASS", "FAIL"], ["INCONCLUSIVE", "FAIL"],
    )  # fmt: skip
    assert {case.get("classname") for case in suites[1]} == {f"genbench.check.{TASKS[1]}"}


def test_folders_repeated_options_and_single_runs_say_the_same(grid):
    (worse, *runs), (before, *baselines) = grid["worse"], grid["before"]
    found = check(worse, before)
    assert [task.label for task in found.tasks] == list(TASKS)
    assert check(runs, baselines) == found
    assert check([*reversed(runs)], baselines) == found
    assert (found.task, found.candidate, found.baseline) == (None, None, None)
    assert gate.GateResult.model_validate_json(found.model_dump_json()) == found


def test_baseline_runs_asked_otherwise_are_left_out_and_a_candidates_are_refused(agents, tmp_path):
    fewer = run("agent:oracle", tmp_path / "fewer", limit=20, verify_iters=1)
    reasoned = run("agent:oracle", tmp_path / "a", limit=50, verify_iters=1, prompt="reasoned")
    found = check(agents["memoriser"], [fewer, agents["oracle"], reasoned])
    assert [one.baseline.folder for one in found.tasks] == [str(agents["oracle"])]
    assert found.notes == [
        "left out of gp-ood-rule, as the candidate was not asked so: "
        f"{fewer} (limit 20); {reasoned} (prompt reasoned)"
    ]
    only = f"the baseline was scored on gp-ood-rule only in other ways than {agents['memoriser']} "
    with pytest.raises(GenbenchError, match=re.escape(only)) as refused:
        check(agents["memoriser"], [fewer, reasoned])
    assert f"with limit 20 ({fewer}); prompt reasoned ({reasoned})" in str(refused.value)
    with pytest.raises(GenbenchError, match=r"settings\.limit: 50 in .*, 20 in "):
        check([agents["oracle"], fewer], agents["memoriser"])


def test_holm_runs_over_the_quantities_of_all_tasks(grid):
    found = check(grid["worse"][0], grid["before"][0])
    assert [one.task for one in found.quantities] == [TASKS[0]] * 3 + [TASKS[1]] * 3
    assert [one.p_fail_holm for one in found.quantities] == pytest.approx(
        list(stats.holm([one.p_fail for one in found.quantities])), abs=1e-8
    )
    assert "over 6 quantities of 2 tasks" in found.correction
    apart = [check(*pair) for pair in zip(grid["worse"][1:], grid["before"][1:], strict=True)]
    assert found.verdict == overall([one.verdict for one in apart]) == "fail"


def test_one_task_keeps_the_keys_of_schema_version_1(agents):
    found = check(agents["memoriser"], agents["oracle"]).model_dump()
    assert found["schema_version"] == 2
    assert found["task"]["name"] == "gp-ood-rule"
    assert found["candidate"]["model"]["name"] == "agent:memoriser"
    assert found["baseline"]["model"]["name"] == "agent:oracle"


def test_the_summary_has_a_table_a_task(grid):
    lines = markdown(check(grid["worse"][0], grid["before"][0])).splitlines()
    assert sum(line.startswith("### ") for line in lines) == 1
    assert sum(line.startswith("| quantity ") for line in lines) == 2
    assert sum(line.startswith("**gp") for line in lines) == 2


def refused(command, *arguments):
    done = command("check", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_task_of_one_side_alone_is_named(grid, command):
    (worse, one, two), (before, first, second) = grid["worse"], grid["before"]
    message = refused(command, worse, "--baseline", first)
    assert f"there is no baseline run on {TASKS[1]}, where the candidate was scored" in message
    assert str(two) in message
    message = refused(command, one, "--baseline", before)
    assert f"the candidate was not scored on {TASKS[1]}, where the baseline was" in message
    assert str(second) in message


def test_each_side_is_one_checkpoint(grid, agents, command):
    (worse, one, two), (before, first, second) = grid["worse"], grid["before"]
    message = refused(command, one, second, "--baseline", before)
    assert "the candidate is one checkpoint, but" in message
    assert "is a run of worse" in message
    message = refused(command, worse, "--baseline", first, "--baseline", two)
    assert "the baseline is one checkpoint, but" in message


def test_what_a_shell_makes_of_a_pattern_after_baseline_is_explained(grid, command):
    # `--baseline before/*/*` becomes one baseline, and further candidates.
    (_, one, two), (_, first, second) = grid["worse"], grid["before"]
    assert "--baseline takes one folder: repeat it" in refused(
        command, one, two, "--baseline", first, second
    )


def test_two_runs_of_one_task_on_a_side_are_refused(grid, command, tmp_path):
    (worse, one, _), (before, *_) = grid["worse"], grid["before"]
    copy = shutil.copytree(one, tmp_path / "copy")
    message = refused(command, worse, copy, "--baseline", before)
    assert f"are two runs of the candidate on {TASKS[0]}" in message


def test_a_folder_of_both_sides_is_refused(grid, command):
    worse, before = grid["worse"][0], grid["before"][0]
    assert "is given twice" in refused(command, worse, "--baseline", worse)
    assert "is one checkpoint" in refused(command, worse.parent, "--baseline", before)
    assert "is given twice" in refused(command, worse, worse, "--baseline", before)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_terminal_breaks_a_word_or_hides_a_figure(grid, width):
    from rich.console import Console

    from genbench.cli import check as cli

    found = check(grid["worse"][0], grid["before"][0])
    console = Console(width=width, force_terminal=True, no_color=True, highlight=False)
    with console.capture() as captured:
        cli._print_task(console, found, found.tasks[1])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", captured.get()).splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    for one in found.quantities[3:]:
        assert any(line.startswith(one.name) and one.verdict in line for line in lines)
        assert sum(f"{100 * one.drop:+.1f} pp" in line for line in lines) >= 1


# Files for CI systems

HOSTILE = "x\" onload='1'><script>alert(1)</script>&amp;]]>\x00\x1b[31m|a|\n# b `c` \ud800"


@pytest.fixture
def hostile(agents):
    """A gate of a model with a name made to break out."""
    found = check(agents["memoriser"], agents["oracle"])
    (task,) = found.tasks
    model = task.candidate.model.model_copy(update={"name": HOSTILE})
    candidate = task.candidate.model_copy(update={"model": model})
    return found.model_copy(update={"tasks": [task.model_copy(update={"candidate": candidate})]})


def test_junit_has_one_case_a_quantity_and_counts_what_failed(agents, command, tmp_path):
    path = tmp_path / "junit.xml"
    command("check", agents["memoriser"], "--baseline", agents["oracle"], "--junit", path)
    (suite,) = ElementTree.parse(path).getroot()
    assert [case.get("name") for case in suite] == ["id", "ood", "gap ood"]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "2", "1")
    assert suite.find("testcase[@name='ood']/failure").get("type") == "fail"
    assert "would pass" in suite.find("testcase[@name='id']/skipped").get("message")
    strict = check(agents["memoriser"], agents["oracle"], on_inconclusive="fail")
    (suite,) = ElementTree.fromstring(junit(strict))
    assert (suite.get("failures"), suite.get("skipped")) == ("3", "0")
    assert suite.find("testcase[@name='id']/failure").get("type") == "inconclusive"


def test_a_hostile_name_stays_text(hostile):
    root = ElementTree.fromstring(junit(hostile))
    assert "<script>alert(1)</script>" in root[0].get("name")
    assert {element.tag for element in root.iter()} == {
        "testsuites", "testsuite", "testcase", "failure", "skipped", "system-out",
    }  # fmt: skip
    assert "\n" not in headline(hostile)
    first, *rest = markdown(hostile).splitlines()
    assert first.startswith("### genbench check: FAIL")
    assert "&lt;script&gt;" in first
    assert re.search(r"<|(?<!\\)[`|]", first) is None
    assert [line for line in rest if line.startswith("#")] == []


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("name", ["check", "compare"])
def test_a_hostile_name_breaks_no_output(agents, command, tmp_path, monkeypatch, name, options):
    odd = shutil.copytree(agents["memoriser"], tmp_path / "odd")
    training = {"method": "\x1b[31m", "recipe": ["x"], "step": "1", "flops": "?"}
    for file in ("run.json", "results.json"):
        content = json.loads((odd / file).read_text())
        content["model"].update(name=HOSTILE, training=training)
        (odd / file).write_text(json.dumps(content))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    between = ["--baseline"] if name == "check" else []
    runs = [odd, *between, agents["oracle"]]
    files = ["--junit", tmp_path / "x.xml"] if between else ["--csv", tmp_path / "x.csv"]
    done = command(name, *runs, *files, *options)
    assert done.returncode == (1 if between else 0)
    assert not set("\x00\x1b\ud800") & set(done.stdout)
    done.stdout.encode()
    if options:
        json.loads(done.stdout)


def test_the_step_summary_is_appended(agents, command, tmp_path, monkeypatch):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    command("check", agents["memoriser"], "--baseline", agents["oracle"])
    lines = summary.read_text().splitlines()
    assert lines[0] == "before"
    assert lines[1].startswith("### genbench check: FAIL")
    assert sum(line.startswith("| ") for line in lines) == 4
    assert any("**fail**" in line for line in lines)


# The action


@pytest.fixture(scope="module")
def action():
    return yaml.safe_load((ROOT / "action.yml").read_text())


def test_the_action_has_the_keys_that_github_requires(action):
    assert {"name", "description", "inputs", "outputs", "runs"} <= set(action)
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        assert ("run" in step) != ("uses" in step)
        assert "uses" in step or step["shell"] == "bash"
        # Inputs reach a script as variables: pasted in, they could be code.
        assert "${{" not in step.get("run", "")
    for name, described in action["inputs"].items():
        assert described["description"], name
        assert described.get("required") or "default" in described, name
        assert f"inputs.{name} " in (ROOT / "action.yml").read_text(), name
    used = set(re.findall(r"inputs\.([a-z-]+)", (ROOT / "action.yml").read_text()))
    assert used == set(action["inputs"])
    assert set(re.findall(r"`([a-z-]+)` \|", (ROOT / "docs/ci.md").read_text())) >= used


def play(action, inputs, folder):
    """The action's scripts in order, as a runner would call them; pip is left out. What they print
    goes to `log`, their step summary to `summary`."""
    temporary = folder / "temporary"
    temporary.mkdir()
    values = {name: str(one.get("default", "")) for name, one in action["inputs"].items()} | inputs
    outputs, code = {}, 0
    for step in action["runs"]["steps"]:
        if "run" not in step or "pip" in step["run"]:
            continue
        written = folder / "output"
        written.write_text("")

        def filled(match):
            kind, name = match[1].split(".", 1)
            return values[name] if kind == "inputs" else outputs[name]

        variables = {
            name: re.sub(r"\$\{\{ ([^ ]+) \}\}", filled, str(value))
            for name, value in step.get("env", {}).items()
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | variables | {
            "GITHUB_OUTPUT": str(written), "PATH": path, "RUNNER_TEMP": str(temporary),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", step["run"]],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        with (folder / "log").open("a") as log:
            log.write(done.stdout)
        for line in written.read_text().splitlines():
            name, _, value = line.partition("=")
            outputs[f"{step['id']}.outputs.{name}"] = value
        code = done.returncode
        if code:
            break
    return code, outputs


def test_the_actions_scripts_run_and_pass_the_verdict_on(action, agents, tmp_path):
    inputs = {
        "model": "agent:memoriser", "task": "gp-ood-rule", "baseline": str(agents["oracle"]),
        "run-args": "--limit 50 --verify-iters 1",
    }  # fmt: skip
    code, outputs = play(action, inputs, tmp_path)
    assert (code, outputs["check.outputs.verdict"]) == (1, "fail")
    assert (tmp_path / outputs["run.outputs.folder"] / "results.json").is_file()
    ElementTree.parse(tmp_path / "genbench-junit.xml")
    assert "::" not in (tmp_path / "log").read_text()
    # Temporary files are none of the workspace.
    assert {path.name for path in tmp_path.iterdir()} == {
        "genbench-candidate", "genbench-junit.xml", "log", "output", "summary", "temporary",
    }  # fmt: skip


def test_the_actions_scripts_take_several_tasks_and_a_folder_of_baselines(action, tmp_path):
    options = {"limit": 30, "verify_iters": 1}
    for task in TASKS:
        genbench.run("agent:oracle", task, output=tmp_path / "baseline", **options)
    inputs = {
        "model": "agent:memoriser", "task": " ".join(TASKS),
        "baseline": str(tmp_path / "baseline"), "run-args": "--limit 30 --verify-iters 1",
    }  # fmt: skip
    code, outputs = play(action, inputs, tmp_path)
    assert (code, outputs["check.outputs.verdict"]) == (1, "fail")
    assert len(list((tmp_path / outputs["run.outputs.folder"]).rglob("results.json"))) == 2
    assert len(ElementTree.parse(tmp_path / "genbench-junit.xml").getroot()) == 2


def test_the_action_refuses_an_output_folder_with_another_run(action, agents, tmp_path):
    genbench.run("agent:oracle", "gp-ood-rule", output=tmp_path / "genbench-candidate", limit=5)
    inputs = {
        "model": "agent:memoriser", "task": "gp-ood-rule", "baseline": str(agents["oracle"]),
        "run-args": "--limit 50 --verify-iters 1",
    }  # fmt: skip
    assert play(action, inputs, tmp_path)[0] == 2
    (line,) = re.findall("^::error::.*", (tmp_path / "log").read_text(), re.MULTILINE)
    assert "holds 2 finished runs" in line


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "agent:oracel"}, "there is no agent 'oracel'; did you mean 'oracle'?"),
        ({"baseline": "<b>100%</b>"}, "there is no folder <b>100%</b>"),
    ],
)
def test_where_nothing_can_be_judged_the_action_says_why(action, tmp_path, changes, reason):
    inputs = {
        "model": "agent:oracle", "task": "gp-ood-rule", "baseline": "nowhere",
        "run-args": "--limit 2 --verify-iters 1",
    } | changes  # fmt: skip
    code, outputs = play(action, inputs, tmp_path)
    assert code == 2
    assert "error" in (outputs.get(f"{step}.outputs.verdict") for step in ("run", "check"))
    (line,) = re.findall("^::error::.*", (tmp_path / "log").read_text(), re.MULTILINE)
    assert reason.replace("%", "%25") in line
    summary = (tmp_path / "summary").read_text()
    assert "### genbench: error" in summary
    assert reason.replace("<", "&lt;").replace(">", "&gt;") in summary


def test_an_inconclusive_verdict_is_a_warning_of_the_action(action, tmp_path):
    inputs = {
        "model": "agent:random", "task": "gp-ood-rule", "baseline": str(tmp_path / "baseline"),
        "run-args": "--limit 10 --verify-iters 1",
    }  # fmt: skip
    run("agent:broken", tmp_path / "baseline", limit=10, verify_iters=1)
    code, outputs = play(action, inputs, tmp_path)
    assert (code, outputs["check.outputs.verdict"]) == (0, "inconclusive")
    log = (tmp_path / "log").read_text()
    assert len(re.findall("^::warning::INCONCLUSIVE: agent:random", log, re.MULTILINE)) == 1
