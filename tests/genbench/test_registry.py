"""Tasks are found, paired, deterministic, and refused with a sentence when wrong."""

import subprocess
import sys

import pytest

import genbench
from genbench.errors import TaskError, UsageError
from genbench.registry import load_spec, task_path, task_summaries
from genbench.task import (
    Environment,
    Instance,
    Message,
    Protocol,
    SplitSpec,
    Task,
    TaskSpec,
    Verdict,
)

NAMES = [
    "gp-ood-cards",
    "gp-ood-range",
    "gp-ood-rule",
    "gp-ood-rule-family",
    "gp-ood-target",
    "gp-targets-ood-rule",
    "gp-vl-ood-rule",
    "gp-vl-ood-visual",
    "gp-vl-ood-visual-graded",
    "gp-vl-recognition",
    "virl-ood-rule",
    "virl-ood-rule-matching",
    "virl-vl-ood-rule",
    "virl-vl-ood-skin",
    "virl-vl-ood-visual",
]
# Its routes are of other cities than those of ID: nothing is paired.
UNPAIRED = ["virl-vl-ood-visual"]
# Their routes are read from a file that is not distributed.
ELSEWHERE = ["virl-nyc-ood-rule", "virl-vl-nyc-ood-rule"]


def test_the_bundled_tasks_are_found_through_the_entry_point():
    assert sorted(task_summaries()) == sorted(NAMES + ELSEWHERE)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNPAIRED])
def test_the_splits_of_a_paired_task_hold_the_same_problems_in_the_same_order(name):
    task = genbench.load_task(name)
    pairs = [[item.pair_id for item in split.instances()] for split in task.splits.values()]
    assert all(each == pairs[0] for each in pairs)
    limited = genbench.load_task(name, limit=10)
    assert [i.pair_id for i in limited.splits["id"].instances()] == pairs[0][:10]


@pytest.mark.parametrize("name", NAMES)
def test_every_instance_of_a_task_can_be_solved(name):
    task = genbench.load_task(name, limit=100)
    for split in task.splits.values():
        for instance in split.instances():
            assert (task.environment.chance(instance) or 0) > 0


def test_no_problem_of_the_main_task_may_be_trained_on():
    task = genbench.load_task("gp-ood-rule")
    certificate = task.environment.certificate(
        {name: split.instances() for name, split in task.splits.items()}
    )
    for counts in certificate["splits"].values():
        assert counts["n"] >= 250
        assert counts["class_in_training_part"] == counts["problem_may_be_trained"] == 0


def test_the_paper_protocol_draws_234_hands_and_prints_its_overlap():
    task = genbench.load_task("gp-ood-rule", protocol="paper")
    splits = {name: split.instances() for name, split in task.splits.items()}
    assert {name: len(items) for name, items in splits.items()} == {"id": 234, "ood": 234}
    overlap = task.environment.certificate(splits)["splits"]
    assert overlap["id"]["problem_may_be_trained"] > 0


def test_the_fingerprint_of_a_task_is_the_same_in_another_process():
    code = "import genbench; print(genbench.load_task('gp-ood-rule').fingerprint)"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert other == genbench.load_task("gp-ood-rule").fingerprint
    assert other != genbench.load_task("gp-ood-rule", prompt="paper-table").fingerprint


def test_a_wrong_name_gets_the_closest_one():
    with pytest.raises(UsageError, match="did you mean 'gp-ood-rule'"):
        genbench.load_task("gp-ood-rul")
    with pytest.raises(UsageError, match="did you mean 'paper'"):
        genbench.load_task("gp-ood-rule", prompt="papr")
    with pytest.raises(UsageError, match="no protocol 'pared'"):
        genbench.load_task("gp-ood-rule", protocol="pared")


TASK = """
name: mine
version: "1"
summary: a rule of my own
environment: general-points
cluster: class
settings: {part: dev, require: [[face-10, 24], [mine, 24]], rules: {mine: {J: 1, Q: 2, K: 3}}}
protocols:
  paired:
    paired: true
    splits:
      id: {role: id, rule: face-10}
      ood: {role: ood, shift: rule, rule: mine}
"""


def test_stickiness_follows_the_rules_and_not_the_name_of_the_shift(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(TASK.replace("shift: rule", "shift: ruel"))
    found = genbench.run("agent:memoriser", path, output=tmp_path / "runs", limit=5)
    assert found.generalization["ood"].stickiness.value == 1


def test_a_task_file_may_bring_a_rule_of_its_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(TASK)
    task = genbench.load_task(path)
    instance = task.splits["ood"].instances()[0]
    assert "J counts as 1, Q counts as 2, K counts as 3" in task.messages(instance)[0].text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rule: mine}", "rule: mien}", "did you mean 'mine'"),
        ("role: ood", "role: odd", "splits.ood.role"),
        ("part: dev", "prt: dev", "did you mean 'part'"),
        ("environment: general-points", "environment: general-point", "did you mean"),
        ("K: 3", "K: 0", "not 1..999"),
        ("shift: rule, ", "", "names its shift"),
        ("version:", "name: again\nversion:", "the key 'name' stands twice"),
    ],
)
def test_a_wrong_task_file_is_refused_with_its_place(tmp_path, old, new, message):
    path = tmp_path / "mine.yaml"
    path.write_text(TASK.replace(old, new))
    with pytest.raises(TaskError, match=message):
        genbench.load_task(path).splits["ood"].instances()


# -- settings beside the task file ----------------------------------------------------------------


def test_what_a_split_sets_cannot_be_set_beside_the_file():
    """Of every split of every protocol of every bundled task."""
    tried = 0
    for name in NAMES:
        for protocol in load_spec(name).protocols.values():
            made = {key: v for split in protocol.splits for key, v in split.settings.items()}
            for key, value in made.items():
                with pytest.raises(UsageError, match=rf"--set {key}[.a-z-]*: the split") as refused:
                    genbench.load_task(name, protocol=protocol.name, settings={key: value})
                assert f"{name}.yaml" in str(refused.value)
                tried += 1
    assert tried > 40


def test_the_refusal_says_which_splits_set_it_and_which_protocols_do_not():
    with pytest.raises(UsageError) as refused:
        genbench.load_task("virl-vl-ood-skin", settings={"skin": "any"})
    assert "--set skin: the split 'ood' of virl-vl-ood-skin (paired) sets it" in str(refused.value)
    assert "would change the split 'id' alone" in str(refused.value)
    assert "--protocol" not in str(refused.value)  # each of them sets skins
    with pytest.raises(UsageError) as refused:
        genbench.load_task("virl-ood-rule", protocol="paper", settings={"n": 10})
    assert "the splits 'id' and 'ood' of virl-ood-rule (paper) set it" in str(refused.value)
    assert "--set would change nothing" in str(refused.value)
    assert str(refused.value).endswith("another --protocol: 'paired', 'free'")


def test_a_part_that_no_split_sets_is_laid_over_the_task_s():
    """`look` has parts: a font for all splits leaves the suits of ID and of OOD as they are."""
    task = genbench.load_task("gp-vl-ood-visual", limit=1, settings={"look": {"font": "italic"}})
    looks = {
        name: split.instances()[0].data["picture"]["look"] for name, split in task.splits.items()
    }
    assert {look["font"] for look in looks.values()} == {"italic"}
    assert [looks[name]["suit-colour"] for name in ("id", "ood")] == ["black", "red"]
    assert task.environment.settings["look"] == {"suit-colour": "black", "font": "italic"}


@pytest.mark.parametrize("look", [{"suit-colour": "all"}, "red", {"font": "mono", "noise": 1}])
def test_a_part_that_a_split_sets_is_refused_and_so_is_the_whole(look):
    with pytest.raises(UsageError if look != "red" else TaskError, match="look") as refused:
        genbench.load_task("gp-vl-ood-visual", protocol="kinds", settings={"look": look})
    if look != "red":
        assert f"--set look.{next(iter(look))}: the split '" in str(refused.value)


def test_what_no_split_sets_is_taken_by_all():
    task = genbench.load_task(
        "virl-vl-ood-skin", limit=2, settings={"pixels": 96, "frames": "matching"}
    )
    for split in task.splits.values():
        for instance in split.instances():
            assert instance.data["picture"]["pixels"] == 96
            assert instance.data["frames"] == "matching"


def test_the_command_line_refuses_it_before_a_model_loads(command, tmp_path):
    done = command(
        "run", "--model", tmp_path / "no-model", "--task", "virl-vl-ood-skin", "--set", "skin=any",
        "--output", tmp_path / "runs",
    )  # fmt: skip
    assert done.returncode == 2
    assert "--set skin: the split 'ood'" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_check_takes_one_protocol_where_the_settings_are_not_for_all(command):
    done = command("tasks", "check", "virl-ood-rule", "--set", "n=30")
    assert done.returncode == 2
    assert "virl-ood-rule (paper) set it" in done.stderr
    assert not done.stdout
    done = command("tasks", "check", "virl-ood-rule", "--protocol", "free", "--set", "n=30")
    assert done.returncode == 0, done.stderr
    assert "free/ood: 30 instances" in done.stdout
    assert "paired" not in done.stdout


# -- splits without a shift -----------------------------------------------------------------------

PAPER = "{sampling: paper, n: 20, seed: 1}"
EQUAL = r"split 'ood' is OOD in name alone, without the shift 'rule': every one of its problems"


def _written(folder, ood, inside="{role: id, rule: face-10}", paired="true", more=""):
    path = folder / "mine.yaml"
    head = TASK[: TASK.index("    paired:")]
    splits = f"    splits:\n      id: {inside}\n      ood: {ood}\n{more}"
    path.write_text(f"{head}    paired: {paired}\n{splits}")
    return path


@pytest.mark.parametrize(
    "settings", ["{}", "{target: 24}", "{part: dev, per_class: 99}", "{add_cards: 0}"]
)
def test_an_ood_split_that_holds_what_id_holds_is_refused(tmp_path, settings):
    path = _written(tmp_path, f"{{role: ood, shift: rule, rule: face-10, settings: {settings}}}")
    for limit in (1, None):
        with pytest.raises(TaskError, match=EQUAL):
            genbench.load_task(path, limit=limit).check_instances()


@pytest.mark.parametrize(("seed", "words"), [(1, "the same settings. "), (2, "but for a seed. ")])
def test_an_ood_split_that_is_drawn_as_id_is_is_refused_though_it_holds_others(
    tmp_path, seed, words
):
    inside = f"{{role: id, rule: face-10, settings: {PAPER}}}"
    ood = "{role: ood, shift: rule, rule: face-10, settings: " + PAPER.replace("1}", f"{seed}}}}}")
    path = _written(tmp_path, ood, inside, "false")
    task = genbench.load_task(path)
    hands = [[item.data["cards"] for item in split.instances()] for split in task.splits.values()]
    assert hands[0] != hands[1]
    with pytest.raises(TaskError, match=rf"drawn as split 'id' is, by the same rule .*{words}"):
        task.check_instances()
    path.write_text(
        path.read_text().replace("ood, shift: rule, rule: face-10", "ood, shift: rule, rule: mine")
    )
    genbench.load_task(path).check_instances()


def test_a_skin_of_none_is_no_visual_shift(tmp_path):
    path = tmp_path / "mine.yaml"
    bundled = task_path(load_spec("virl-vl-ood-skin")).read_text()
    path.write_text(bundled.replace("skin: any", "skin: null"))
    with pytest.raises(TaskError, match="without the shift 'visual': every one"):
        genbench.load_task(path, limit=3).check_instances()


def test_a_control_may_hold_what_id_holds(tmp_path):
    more = "      same: {role: control, rule: face-10, control_of: ood, numbers: id}\n"
    path = _written(tmp_path, "{role: ood, shift: rule, rule: mine}", more=more)
    genbench.load_task(path).check_instances()


@pytest.mark.parametrize("arguments", [("tasks", "check"), ("run", "--model", "none", "--task")])
def test_the_command_line_refuses_a_task_without_a_shift(command, tmp_path, arguments):
    path = _written(tmp_path, "{role: ood, shift: rule, rule: face-10}")
    done = command(*arguments, path)
    assert done.returncode == 2
    assert "split 'ood' is OOD in name alone" in done.stderr


class Numbers(Environment):
    """Its splits hold the numbers from 0 on; one of a level has other ones from `level` on."""

    def instances(self, split):
        odd = 100 if split.level is None else int(split.level)
        return [
            Instance(f"{split.name}/{n}", f"{n}", f"{n}", {"number": -n if n >= odd else n})
            for n in range(10)
        ]

    def messages(self, instance):
        return [Message("user", str(instance.data["number"]))]

    def verify(self, instance, response, *, truncated=False):
        correct = response == str(instance.data["number"])
        return Verdict(correct, "correct" if correct else "wrong", float(correct), "another.")

    def solutions(self, instance, *, seed=0):
        yield str(instance.data["number"])

    def agent(self, kind, training):
        raise NotImplementedError


def _numbers(level, limit, paired):
    splits = (SplitSpec("id", "id"), SplitSpec("ood", "ood", shift="sign", level=level))
    protocol = Protocol("paired", paired, splits)
    spec = TaskSpec("numbers", "1", "Numbers.", "numbers", "number", {"paired": protocol})
    return Task(spec, Numbers(prompt="default", feedback="none", settings={}), protocol, limit)


@pytest.mark.parametrize("paired", [True, False])
def test_a_shift_may_be_told_by_its_level_and_lie_beyond_the_limit(paired):
    for limit in (None, 2, 8):
        _numbers(5.0, limit, paired).check_instances()
        with pytest.raises(TaskError, match="without the shift 'sign'"):
            _numbers(50.0, limit, paired).check_instances()
