"""Training compute in the report: equal to the statistics of scores that are read here anew."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import report_runs
from scipy import stats as scipy_stats
from test_report_figures import assert_clear, texts_of

import genbench
from genbench import stats
from genbench.report import build_report
from genbench.report.compute import adjusted, along_compute, findings
from genbench.report.compute_table import reading
from genbench.report.conversations import load_conversations
from genbench.report.curves import TrainingMethod
from genbench.report.episodes import collect
from genbench.report.figures.scaling import draw_scaling
from genbench.report.figures.style import DARK, LIGHT, styled
from genbench.report.loading import load_groups
from genbench.report.trajectories import Followed, Quantity, Trajectories, Trajectory

HOSTILE = "=<img src=x onerror=alert(1)>|*\u202e"


class NoPieces:
    def add(self, name, value):
        pass


def groups_of(*folders):
    groups, _ = load_groups([Path(folder) for folder in folders])
    conversations = [load_conversations(group) for group in groups]
    return along_compute(groups, collect(groups, conversations, NoPieces()).scores)


def group_of(*folders):
    (group,) = groups_of(*folders)
    return group


def one_of(group, kind, split, *subjects):
    (found,) = [
        one
        for one in group.compute
        if (one.kind, one.split, one.subjects) == (kind, split, subjects)
    ]
    return found


def numbers(one):
    return one.value, one.low, one.high, one.p_value


def scores_of(group, method, seed=0):
    """(FLOPs, {split: scores}, {split: clusters}) of a training run, from the files alone."""
    found = []
    for run in group.runs:
        record = json.loads((run.folder / "run.json").read_text())["model"]["training"]
        if (record["method"], record["seed"]) != (method, seed):
            continue
        first, clusters = {}, {}
        for line in (run.folder / "episodes.jsonl").read_text().splitlines():
            episode = json.loads(line)
            attempts = [turn for turn in episode["turns"] if turn["attempt"] == 1]
            right = float(attempts[0]["verdict"]["correct"])
            of_split = first.setdefault(episode["split"], {})
            of_split.setdefault((episode["pair_id"], episode["instance_id"]), []).append(right)
            clusters.setdefault(episode["split"], {})[episode["instance_id"]] = episode["cluster"]
        found.append((record["flops"], first, clusters))
    found.sort(key=lambda one: one[0])
    splits, labels = {}, {}
    for split in ("id", "ood"):
        splits[split] = np.array(
            [[np.mean(row) for row in first[split].values()] for _, first, _ in found]
        )
        labels[split] = list(found[0][2][split].values())
    return np.array([one[0] for one in found]), splits, labels


def table(report, name="compute.csv"):
    return list(csv.DictReader(io.StringIO((report.folder / "tables" / name).read_text())))


@pytest.fixture(scope="module")
def seeded(seeds):
    return group_of(seeds)


@pytest.fixture(scope="module")
def single(twelve):
    return group_of(twelve)


@pytest.fixture(scope="module")
def opened():
    """The files of episodes that are opened while the report is made."""
    return []


@pytest.fixture(scope="module")
def report(seeds, opened, tmp_path_factory):
    plain = Path.open

    def counted(self, *arguments, **named):
        if self.name == "episodes.jsonl":
            opened.append(self)
        return plain(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", counted)
        return build_report([seeds], tmp_path_factory.mktemp("compute") / "report")


# -- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["id", "ood"])
def test_the_slope_of_several_training_runs_is_over_runs(seeded, split):
    runs = [scores_of(seeded, "sft", seed) for seed in range(3)]
    expected = stats.slope_per_decade(
        np.concatenate([flops for flops, _, _ in runs]),
        np.concatenate([splits[split].mean(axis=1) for _, splits, _ in runs]),
        runs=np.repeat([0, 1, 2], 3),
    )
    one = one_of(seeded, "slope", split, "SFT")
    assert numbers(one.found) == pytest.approx(numbers(expected))
    assert (one.unit, one.training_runs, one.checkpoints) == ("training runs", 3, 9)
    assert (one.found.value > 0) == (split == "id")


@pytest.mark.parametrize(("method", "name"), [("sft", "SFT"), ("rl", "RL")])
@pytest.mark.parametrize("split", ["id", "ood"])
def test_the_slope_of_one_training_run_is_over_instances(single, method, name, split):
    flops, splits, clusters = scores_of(single, method)
    expected = stats.slope_of_scores(flops, splits[split], clusters[split])
    one = one_of(single, "slope", split, name)
    assert numbers(one.found) == pytest.approx(numbers(expected))
    assert (one.unit, one.training_runs) == ("instances", 1)
    assert (one.instances, one.clusters) == (24, len(set(clusters[split])))


def test_forgetting_is_of_the_last_checkpoint_and_counts_the_one_it_began_from(seeded, single):
    for seed in range(3):
        _, splits, clusters = scores_of(seeded, "sft", seed)
        rows = np.vstack([scores_of(seeded, "base")[1]["ood"], splits["ood"]])
        expected = stats.forgetting(rows, clusters["ood"], draws=20_000)[-1]
        one = one_of(seeded, "forgetting", "ood", f"SFT, seed {seed}")
        assert numbers(one.found) == pytest.approx(numbers(expected))
        assert one.best == "gp-base/seed-0/step-1"
        assert one.found.value == pytest.approx((14 - 2 + seed) / 24)
    # There no record names a parent: the base is no part of it.
    _, splits, clusters = scores_of(single, "sft")
    expected = stats.forgetting(splits["ood"], clusters["ood"], draws=20_000)[-1]
    one = one_of(single, "forgetting", "ood", "SFT")
    assert numbers(one.found) == pytest.approx(numbers(expected))
    assert one.checkpoints == 6
    assert one.best == f"demo/gp-sft/step-{100 * 2**expected.best}"


def test_methods_with_one_training_run_are_matched_by_instance(single):
    sides = {method: scores_of(single, method) for method in ("rl", "sft")}
    for split in ("id", "ood"):
        arguments = [
            argument for flops, splits, _ in sides.values() for argument in (flops, splits[split])
        ]
        expected = stats.matched_compute_scores(*arguments, sides["rl"][2][split])
        one = one_of(single, "matched compute", split, "RL", "SFT")
        assert numbers(one.found) == pytest.approx(numbers(expected.average))
        assert one.flops == pytest.approx(expected.overlap)
        assert (one.unit, one.training_runs) == ("instances", 2)
    gap = one_of(single, "matched compute", "ood - id", "RL", "SFT")
    means = {
        method: {
            split: stats.mean_over_compute(flops, splits[split], *gap.flops)
            for split in ("id", "ood")
        }
        for method, (flops, splits, _) in sides.items()
    }
    change = (means["rl"]["ood"] - means["rl"]["id"]) - (means["sft"]["ood"] - means["sft"]["id"])
    expected = stats.contrast(change, sides["rl"][2]["id"], bound=2)
    assert numbers(gap.found) == pytest.approx(numbers(expected))
    assert gap.pairs


def test_methods_with_several_training_runs_are_matched_by_welch_over_runs(seeded):
    seeds = {
        "rl": [scores_of(seeded, "rl", seed) for seed in range(2)],
        "sft": [scores_of(seeded, "sft", seed) for seed in range(3)],
    }
    means = {
        split: {
            method: [
                float(stats.mean_over_compute(flops, splits[split].mean(axis=1), 3e13, 3.2e14))
                for flops, splits, _ in runs
            ]
            for method, runs in seeds.items()
        }
        for split in ("id", "ood")
    }
    for split in ("id", "ood"):
        one = one_of(seeded, "matched compute", split, "RL", "SFT")
        assert one.flops == (3e13, 3.2e14)
        expected = stats.seed_difference(means[split]["rl"], means[split]["sft"])
        assert numbers(one.found) == pytest.approx(numbers(expected))
    gaps = [np.subtract(means["ood"][method], means["id"][method]) for method in ("rl", "sft")]
    expected = stats.seed_difference(*gaps, low=-1)
    one = one_of(seeded, "matched compute", "ood - id", "RL", "SFT")
    assert numbers(one.found) == pytest.approx(numbers(expected))
    assert (one.unit, one.training_runs, one.checkpoints) == ("training runs", 5, 15)


def test_seeds_at_the_last_compute_are_last_checkpoints_where_all_stop_there(seeded):
    rates = [scores_of(seeded, "sft", seed)[1]["id"][-1].mean() for seed in range(3)]
    one = one_of(seeded, "last compute", "id", "SFT")
    assert (one.found.value, one.found.low, one.found.high) == pytest.approx(
        numbers_of_interval(stats.seed_interval(rates))
    )
    assert one.flops == (3.2e14, 3.2e14)
    assert one.seeds.needed is None  # exact rates: all seeds are equal
    assert "all equal" in one.seeds.reason


def numbers_of_interval(found):
    return found.value, found.low, found.high


def test_where_one_seed_went_on_the_others_end_is_the_last_common_compute(seeded):
    runs = [scores_of(seeded, "rl", seed) for seed in range(2)]
    rates = [
        float(np.interp(np.log10(4e14), np.log10(flops), splits["id"].mean(axis=1)))
        for flops, splits, _ in runs
    ]
    one = one_of(seeded, "last compute", "id", "RL")
    assert one.flops == (4e14, 4e14)
    assert one.found.value == pytest.approx(np.mean(rates))
    assert one.seeds.sd == pytest.approx(np.std(rates, ddof=1))
    assert one.seeds.needed == stats.required_seeds(np.std(rates, ddof=1), 0.04)


def test_the_difference_at_the_last_compute_is_welch_over_seeds(seeded):
    at = np.log10(3.2e14)
    sides = [
        [
            float(np.interp(at, np.log10(flops), splits["ood"].mean(axis=1)))
            for flops, splits, _ in (scores_of(seeded, method, seed) for seed in range(count))
        ]
        for method, count in (("rl", 2), ("sft", 3))
    ]
    one = one_of(seeded, "last difference", "ood", "RL", "SFT")
    assert numbers(one.found) == pytest.approx(numbers(stats.seed_difference(*sides)))
    assert one.found.value > 0.6


def test_a_score_is_the_mean_over_the_samples_of_first_attempts(tmp_path):
    for step in range(3):
        folder = report_runs.agent_run(
            tmp_path, "random", limit=8, samples=3, temperature=1.0, verify_iters=2, seed=step
        )
        for name in ("run.json", "results.json"):
            content = json.loads((folder / name).read_text())
            training = {"method": "rl", "recipe": "r", "seed": 0, "flops": 1e12 * 10**step}
            content["model"]["training"] = training
            (folder / name).write_text(json.dumps(content))
    group = group_of(tmp_path)
    flops, splits, clusters = scores_of(group, "rl")
    for split in ("id", "ood"):
        expected = stats.slope_of_scores(flops, splits[split], clusters[split])
        assert numbers(one_of(group, "slope", split, "RL").found) == pytest.approx(
            numbers(expected)
        )


def test_unpaired_splits_are_compared_by_the_difference_of_their_means(tmp_path):
    for number, kind in enumerate(("memoriser", "oracle")):
        task = genbench.load_task("gp-ood-rule", protocol="paper", limit=12)
        folder = report_runs.agent_run(tmp_path, kind, task)
        for name in ("run.json", "results.json"):
            content = json.loads((folder / name).read_text())
            training = {"method": ("sft", "rl")[number], "recipe": "r", "seed": 0, "flops": 1e12}
            content["model"]["training"] = training
            (folder / name).write_text(json.dumps(content))
    group = group_of(tmp_path)
    (sft, rl) = (scores_of(group, method)[1] for method in ("sft", "rl"))
    one = one_of(group, "matched compute", "ood - id", "RL", "SFT")
    gaps = [side["ood"].mean() - side["id"].mean() for side in (rl, sft)]
    assert one.found.value == pytest.approx(gaps[0] - gaps[1])
    assert one.found.value > 0.5
    assert one.found.low < one.found.value <= one.found.high
    assert not one.pairs


def test_unpaired_extremes_over_seeds_are_numbers_and_not_faults_of_rounding(tmp_path):
    task = genbench.load_task("gp-ood-rule", protocol="paper", limit=11)
    oracle = report_runs.responses_of(report_runs.agent_run(tmp_path / "source", "oracle", task))
    never = {"id": 0.0, "ood": 0.0}
    for method, seeds, rates in (("sft", 3, never | {"id": 1.0}), ("rl", 1, never | {"ood": 1.0})):
        for seed in range(seeds):
            for step in (1, 2):
                report_runs.imported_run(
                    tmp_path / "runs", f"{method}-{seed}-{step}",
                    list(report_runs.planted_rows({"oracle": oracle}, rates=rates, seed=seed)),
                    task=task,
                    training={"method": method, "recipe": "r", "seed": seed, "flops": 10.0**step},
                )  # fmt: skip
    one = one_of(group_of(tmp_path / "runs"), "matched compute", "ood - id", "RL", "SFT")
    assert one.found.value == pytest.approx(2)
    assert one.unit == "instances"


# -- readings -------------------------------------------------------------------------------------


def readings(group):
    return {(one.kind, one.subject, one.split): reading(one) for one in group.compute}


def test_planted_changes_are_read_with_the_right_sign(seeded, sources, tmp_path):
    of_seeds = readings(seeded)
    assert of_seeds["forgetting", "SFT, seed 1", "ood"] == "has forgotten"
    assert of_seeds["forgetting", "RL, seed 1", "ood"] == "no forgetting shown"
    assert of_seeds["matched compute", "RL minus SFT", "ood"] == "RL higher"
    assert of_seeds["last difference", "RL minus SFT", "ood"] == "RL higher"
    rising, falling = [0.2, 0.4, 0.6, 0.8], [0.75, 0.5, 0.25, 0.1]
    for method, ood_rates in (("sft", falling), ("rl", rising)):
        report_runs.training_run(
            tmp_path, sources[1], method, flops=[1e12, 1e13, 1e14, 1e15],
            id_rates=rising, ood_rates=ood_rates,
        )  # fmt: skip
    of_single = readings(group_of(tmp_path))
    assert of_single["forgetting", "SFT", "ood"] == "has forgotten"
    assert of_single["matched compute", "RL minus SFT", "id"] == "no difference shown"
    assert of_single["slope", "SFT", "id"] == "rises"
    assert of_single["slope", "SFT", "ood"] == "falls"
    assert of_single["slope", "RL", "ood"] == "rises"
    assert of_single["matched compute", "RL minus SFT", "ood - id"] == "RL higher"


def test_checkpoints_that_do_not_change_are_not_called_changed(sources, tmp_path):
    responses = sources[1]
    for method in ("sft", "rl"):
        for step in range(1, 7):
            rows = report_runs.mixed_rows(
                responses["oracle"], responses["memoriser"], responses["random"],
                id_rate=0.4, ood_rate=0.4, seed=f"{method} {step}",
            )  # fmt: skip
            report_runs.imported_run(
                tmp_path / "runs", f"{method}-{step}", list(rows), limit=report_runs.LIMIT,
                verify_iters=3,
                training={"method": method, "recipe": "r", "seed": 0, "flops": 1e13 * 2**step},
            )  # fmt: skip
    found = readings(group_of(tmp_path / "runs"))
    assert len(found) == 4 + 2 + 3
    assert set(found.values()) == {
        "no trend shown", "no forgetting shown", "no difference shown",
    }  # fmt: skip


def test_p_values_are_adjusted_over_all_tests_along_compute_of_the_report(twelve, tmp_path):
    eight = report_runs.agent_run(tmp_path / "oracle", "oracle", limit=8)
    responses = {"oracle": report_runs.responses_of(eight)}
    for step in range(1, 4):
        rows = report_runs.planted_rows(responses, rates={"id": 0.25 * step, "ood": 0.5}, seed=0)
        report_runs.imported_run(
            tmp_path / "other", f"step-{step}", list(rows), limit=8,
            training={"method": "rl", "recipe": "r", "seed": 0, "flops": 10.0**step},
        )  # fmt: skip
    groups = groups_of(twelve, tmp_path / "other")
    assert len(groups) == 2
    tested = [one for group in groups for one in group.compute if one.found.p_value is not None]
    expected = stats.holm([one.found.p_value for one in tested])
    assert [one.p_holm for one in tested] == pytest.approx(list(expected))
    assert len(tested) == (4 + 2 + 3) + (2 + 1)


def drawn(generator, *, training_runs, seed_sd, checkpoints=5, units=120, clusters=60):
    """Trajectories of two methods that do not differ, have no trend and forget nothing; training
    runs scatter with lasting excursions, and instances hang together in clusters."""
    labels = tuple(str(unit * clusters // units) for unit in range(units))
    quantities = (
        Quantity("id", "id", False, labels, 1.0),
        Quantity("ood", "ood", False, labels, 1.0),
        Quantity("ood - id", "ood", True, labels, 2.0, True),
    )
    hard = {split: generator.normal(0, 0.15, clusters) for split in ("id", "ood")}
    methods = []
    for method in ("rl", "sft"):
        runs = []
        for seed in range(training_runs):
            scores = {}
            for split, of_cluster in hard.items():
                level = 0.45 + generator.normal(0, seed_sd) + np.zeros(checkpoints)
                level += generator.normal(0, seed_sd) * np.linspace(-1, 1, checkpoints)
                rates = level[:, None] + of_cluster[[int(label) for label in labels]]
                scores[split] = (generator.random((checkpoints, units)) < rates).astype(float)
            scores["ood - id"] = scores["ood"] - scores["id"]
            names = tuple(f"{method}-{seed}-{step}" for step in range(checkpoints))
            flops = tuple(1e13 * 3.0**step * (1 + seed / 100) for step in range(checkpoints))
            runs.append(Trajectory(f"{method} {seed}", str(seed), names, flops, scores, None, {}))
        methods.append(Followed(TrainingMethod(method, method, ()), tuple(runs)))
    return Trajectories(quantities, tuple(methods))


@pytest.mark.slow
@pytest.mark.parametrize(("training_runs", "seed_sd"), [(1, 0.0), (2, 0.0), (3, 0.03), (5, 0.03)])
def test_a_table_of_nothing_seldom_claims_anything(training_runs, seed_sd, monkeypatch):
    monkeypatch.setattr("genbench.report.compute._MOST_DRAWS", 1_999)
    generator = np.random.default_rng(training_runs)
    tables, alarms = 200, 0
    for _ in range(tables):
        found = findings(drawn(generator, training_runs=training_runs, seed_sd=seed_sd))
        if training_runs > 1 and seed_sd:
            # A training run that drifts has truly forgotten: that is no false alarm.
            found = [one for one in found if one.kind != "forgetting"]
        (lines,) = adjusted([found])
        claims = {reading(one) for one in lines} - {""}
        alarms += any(not claim.startswith("no ") for claim in claims)
    # More than that happens once in a hundred times at a rate of 5%.
    assert alarms <= scipy_stats.binom.isf(0.01, tables, 0.05)


# -- what is undefined ----------------------------------------------------------------------------


def reasons(group):
    assert all(one.found is None for one in group.compute)
    return {(one.kind, one.subject, one.split): one.reason for one in group.compute}


def test_one_checkpoint_alone_gives_reasons_and_no_numbers(sources, tmp_path):
    report_runs.training_run(
        tmp_path / "runs", sources[1], "rl", flops=[1e13], id_rates=[0.5], ood_rates=[0.5]
    )
    found = reasons(group_of(tmp_path / "runs"))
    assert set(found) == {
        ("slope", "RL", "id"), ("slope", "RL", "ood"), ("forgetting", "RL", "ood"),
    }  # fmt: skip
    assert "three or more amounts of compute" in found["slope", "RL", "id"]
    assert "an earlier checkpoint" in found["forgetting", "RL", "ood"]
    report = build_report([tmp_path / "runs"], tmp_path / "out")
    for row in table(report):
        assert row["value"] == row["low"] == row["p"] == row["tests"] == ""
        assert row["reason"]
    page = report.page.read_text()
    assert "Not computed along training compute: RL, slope (ID, OOD): a slope needs" in page
    assert '<table class="compute">' not in page
    assert "Not computed: RL, slope" in (report.folder / "tables" / "compute.md").read_text()


def test_compute_that_does_not_overlap_or_is_repeated_is_refused_with_the_reason(sources, tmp_path):
    made = report_runs.training_run
    rates = {"id_rates": [0.2, 0.4, 0.6], "ood_rates": [0.3] * 3}
    made(tmp_path, sources[1], "sft", flops=[1e12, 2e12, 4e12], **rates)
    made(tmp_path, sources[1], "rl", flops=[1e13, 2e13, 2e13], **rates)
    group = group_of(tmp_path)
    assert one_of(group, "slope", "id", "SFT").found.value > 0
    for kind, subjects in (("slope", ("RL",)), ("matched compute", ("RL", "SFT"))):
        one = one_of(group, kind, "id", *subjects)
        assert one.found is None
        assert "RL has two checkpoints of the same training compute (2e+13 FLOPs)" in one.reason
    other = tmp_path / "other"
    made(other, sources[1], "sft", flops=[1e12, 2e12, 4e12], **rates)
    made(other, sources[1], "rl", flops=[1e13, 2e13, 4e13], **rates)
    one = one_of(group_of(other), "matched compute", "ood - id", "RL", "SFT")
    assert one.found is None
    assert "do not overlap (RL 1e+13 to 4e+13; SFT 1e+12 to 4e+12)" in one.reason


def test_a_training_run_with_one_checkpoint_is_left_out_of_the_slope_and_named(sources, tmp_path):
    made = report_runs.training_run
    for seed in range(2):
        made(
            tmp_path, sources[1], "rl", seed=seed, flops=[1e12, 1e13, 1e14],
            id_rates=[0.2, 0.4, 0.6 + seed / 10], ood_rates=[0.3] * 3,
        )  # fmt: skip
    made(tmp_path, sources[1], "rl", seed=2, flops=[1e13], id_rates=[0.5], ood_rates=[0.5])
    one = one_of(group_of(tmp_path), "slope", "id", "RL")
    assert one.training_runs == 2
    assert "2 runs" in one.found.method
    assert "RL, seed 2" in one.note


def test_other_recipes_of_a_method_are_not_its_seeds(sources, tmp_path):
    for seed, recipe in enumerate(("one", "two")):
        report_runs.training_run(
            tmp_path, sources[1], "rl", recipe=recipe, seed=seed, flops=[1e12, 1e13, 1e14],
            id_rates=[0.2, 0.4, 0.6], ood_rates=[0.3] * 3,
        )  # fmt: skip
    group = group_of(tmp_path)
    assert {one.subject for one in group.compute if one.kind == "slope"} == {"RL one", "RL two"}
    assert {one.unit for one in group.compute} == {"instances"}


def test_runs_without_a_training_record_have_no_table_of_compute(sources, tmp_path):
    folders = list(sources[0].values())
    assert group_of(*folders).compute == ()
    report = build_report(folders, tmp_path / "out")
    assert not {"tables/compute.csv", "tables/compute.md"} & set(report.files)
    assert "Training compute" not in report.page.read_text()


# -- as shown -------------------------------------------------------------------------------------


def test_the_csv_the_markdown_and_the_page_say_the_same(report):
    rows, page = table(report), report.page.read_text()
    told = (report.folder / "tables" / "compute.md").read_text().replace("\\", "")
    assert len(rows) == 4 + 5 + 3 + 4 + 3
    for row in rows:
        sign = "" if row["kind"] == "last compute" else "+"
        low, high = (f"{100 * float(row[side]) + 0.0:{sign}.1f}" for side in ("low", "high"))
        assert f"[{low}, {high}]" in page
        assert f"[{low}, {high}]" in told
        assert row["method"] in told
        assert row["unit"] in ("training runs", "instances")
        assert (int(row["training_runs"]) > 0, row["instances"]) == (True, "24")
    one = next(row for row in rows if row["subject"] == "SFT" and row["split"] == "ood")
    assert re.search(r"- SFT, OOD: -\d\d\.\d pp per decade \[-.*\], p = 0\.00\d \(Holm 0", told)
    assert one["method"] == "least squares in each of 3 runs, t over runs"
    assert page.index("Success against training compute</h3>") < page.index('class="compute"')
    assert page.index('<table class="compute">') < page.index("In against out of distribution</h3>")


def test_the_figure_states_the_slopes_of_the_table_and_stays_clear(seeded, twelve):
    for group in (seeded, group_of(twelve)):
        slopes = [one.found for one in group.compute if one.kind == "slope"]
        for theme in (LIGHT, DARK):
            with styled(theme):
                figure = draw_scaling(group, theme)
                assert_clear(figure)
                texts = [text for text, _ in texts_of(figure)]
        for slope in slopes:
            stated = f"{100 * slope.value:+.1f} pp per decade [{100 * slope.low:+.1f}, "
            assert any(stated in text for text in texts), stated


def test_every_file_of_episodes_is_opened_once(report, opened):
    assert len(opened) == len(set(opened)) == report.runs == 16


def test_hostile_training_records_stay_text(sources, tmp_path):
    for recipe, seed in (("safe", 0), (HOSTILE, 0), (HOSTILE, HOSTILE)):
        report_runs.training_run(
            tmp_path / "runs", sources[1], HOSTILE, recipe=recipe, seed=seed,
            flops=[1e12, 1e13, 1e14], id_rates=[0.2, 0.4, 0.6], ood_rates=[0.3] * 3,
        )  # fmt: skip
    report = build_report([tmp_path / "runs"], tmp_path / "out")
    assert "<img src=x" not in report.page.read_text()
    assert "&lt;img src=x" in report.page.read_text()
    told = (report.folder / "tables" / "compute.md").read_text()
    assert "<img" not in told
    assert "\u202e" not in told
    assert all(row["subject"].startswith("'=<img") for row in table(report))
    with styled(LIGHT):
        assert_clear(draw_scaling(group_of(tmp_path / "runs"), LIGHT))
