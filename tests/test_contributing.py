"""Every worked example of CONTRIBUTING.md, taken from the page and run as it stands.

The files of the page become an installed distribution: a folder on PYTHONPATH with a
`.dist-info` beside the package, so that its entry points are found without a network.
"""

import configparser
import hashlib
import importlib.resources
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from genbench.models.interface import LoadOptions, Request
from genbench.task import Message, SplitSpec

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", PAGE, re.M | re.S))
SESSIONS = re.findall(r"^<!-- run -->\n```sh\n(.*?)^```$", PAGE, re.M | re.S)
BIN = Path(sys.executable).parent
INIT = "genbench_example/__init__.py"
ENVIRONMENT = "genbench_example/environment.py"
TASK = "genbench_example/tasks/base-ood-rule.yaml"
BACKEND = "genbench_example/backend.py"
CHECK = "genbench tasks check base-ood-rule"
ASK = "genbench run --backend command --model ./adder.py --task base-ood-rule"

AGENTS = ("oracle", "memoriser", "random", "broken")
ID, OOD = SplitSpec("id", "id", rule="base-10"), SplitSpec("ood", "ood", "rule", "base-9")


class Folder:
    """The files of the page in a folder; `run` is a shell there that has them installed."""

    def __init__(self, path, files=FILES):
        self.path = path
        for name, text in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(text, encoding="utf-8")
        project = tomllib.loads(files["pyproject.toml"])["project"]
        info = path / f"{project['name']}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        groups = configparser.ConfigParser()
        groups.read_dict(project["entry-points"])
        with (info / "entry_points.txt").open("w") as file:
            groups.write(file)

    def run(self, line):
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.path),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": "1",
        }
        return subprocess.run(
            ["bash", "-c", line],
            cwd=self.path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def ok(self, line):
        done = self.run(line)
        assert done.returncode == 0, f"$ {line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, line, code=2):
        done = self.run(line)
        assert done.returncode == code, f"$ {line}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stderr

    def runs(self, model, task="base-ood-rule", output="runs"):
        return sorted((self.path / output / model / task).iterdir())

    def results(self, model, task="base-ood-rule", samples=1):
        found = [json.loads((run / "results.json").read_text()) for run in self.runs(model, task)]
        (one,) = [results for results in found if results["settings"]["samples"] == samples]
        return one

    def module(self, name):
        """A module of the example in this process."""
        spec = importlib.util.spec_from_file_location(
            f"contributing_{name}", self.path / "genbench_example" / f"{name}.py"
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of the page, after all of its commands."""
    folder = Folder(tmp_path_factory.mktemp("contributing"))
    folder.output = {
        line: folder.ok(line) for session in SESSIONS for line in session.strip().splitlines()
    }
    return folder


@pytest.fixture
def another(tmp_path):
    """The files of the page, with `edits` (file, old, new) made."""

    def make(*edits):
        files = dict(FILES)
        for name, old, new in edits:
            assert old in files[name], f"{name} has no '{old}': the page has changed"
            files[name] = files[name].replace(old, new)
        return Folder(tmp_path, files)

    return make


# -- the page --------------------------------------------------------------------------------------


def test_the_page_has_an_example_of_a_task_an_environment_and_a_backend():
    assert {
        "gp-ood-primes.yaml",
        "pyproject.toml",
        "genbench_example/__init__.py",
        "genbench_example/environment.py",
        "genbench_example/tasks/base-ood-rule.yaml",
        "genbench_example/backend.py",
    } <= set(FILES)
    assert len(SESSIONS) == 3
    assert PAGE.count("<!-- file: ") == len(FILES), "a file's comment stands before its block"


def test_every_command_of_the_page_runs_as_it_stands(folder):
    assert len(folder.output) >= 14
    assert any("--regenerate" in line for line in folder.output)


def test_every_genbench_command_that_the_page_names_exists(folder):
    named = re.findall(r"(?:^|`)genbench ((?:[a-z]+(?![^\s`]) ?)+)", PAGE, re.M)
    commands = sorted({command.strip() for command in named})
    assert {"run", "tasks check", "tasks export", "verify", "import"} <= set(commands)
    for command in commands:
        folder.ok(f"genbench {command} --help")


def test_every_path_of_the_repository_that_the_page_names_is_there():
    paths = re.findall(r"`((?:benchmark|tasks|tests)/[\w./]*)`", PAGE)
    assert len(paths) >= 4
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("command", ["check", "format --check"])
def test_the_examples_keep_the_rules_of_the_repository(folder, command):
    sources = " ".join(name for name in FILES if name.endswith(".py"))
    folder.ok(f"ruff {command} --no-cache --config {ROOT / 'pyproject.toml'} {sources}")


def test_the_examples_are_typed_strictly(folder, tmp_path):
    checked = "--follow-imports=silent genbench_example"
    configured = f"--config-file {ROOT / 'pyproject.toml'} --cache-dir {tmp_path}"
    path = f"MYPYPATH={ROOT / 'benchmark'}:{ROOT / 'tasks'}"
    folder.ok(f"{path} mypy --strict {configured} {checked}")


# -- the task file ---------------------------------------------------------------------------------


def test_a_task_file_with_a_rule_of_its_own_calibrates(folder):
    oracle = folder.results("agent__oracle", "gp-ood-primes")
    memoriser = folder.results("agent__memoriser", "gp-ood-primes")
    assert oracle["splits"]["ood"]["n"] >= 200
    assert {split["success_rate"]["value"] for split in oracle["splits"].values()} == {1.0}
    assert oracle["generalization"]["ood"]["decomposition"] is not None
    assert oracle["generalization"]["ood"]["stickiness"]["value"] == 0.0
    assert memoriser["generalization"]["ood"]["stickiness"]["value"] == 1.0
    shown = folder.output["genbench tasks show ./gp-ood-primes.yaml --split ood --n 2"]
    assert shown.count("J counts as 11, Q counts as 13, K counts as 17") == 2
    may_be_trained = dict(re.findall(r"^  ([\w-]+): .*problem may be trained: (\d+)", shown, re.M))
    assert {name for name, count in may_be_trained.items() if int(count)} == {"control-ood"}


def test_a_pack_may_bring_tasks_of_a_bundled_environment(another):
    folder = another()
    shutil.copy(folder.path / "gp-ood-primes.yaml", folder.path / "genbench_example" / "tasks")
    assert "gp-ood-primes" in folder.ok("genbench tasks list")
    assert "paired/control-ood" in folder.ok("genbench tasks check gp-ood-primes")


# -- the environment -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def addition(folder):
    """The module of the environment, and an environment."""
    module = folder.module("environment")
    return module, module.BaseAddition(prompt="plain", feedback="detail", settings={})


def test_the_tasks_of_an_installed_pack_are_listed_beside_the_bundled_ones(folder):
    listed = folder.output["genbench tasks list"]
    assert "base-ood-rule" in listed
    assert "gp-ood-rule" in listed


@pytest.mark.parametrize(
    ("kind", "in_distribution", "out", "stickiness"),
    [("oracle", 1.0, 1.0, 0.0), ("memoriser", 1.0, 0.0, 1.0), ("broken", 0.0, 0.0, 0.0)],
)
def test_the_agents_of_the_example_calibrate_it(folder, kind, in_distribution, out, stickiness):
    found = folder.results(f"agent__{kind}")
    assert found["splits"]["id"]["success_rate"]["value"] == in_distribution
    assert found["splits"]["ood"]["success_rate"]["value"] == out
    assert found["generalization"]["ood"]["stickiness"]["value"] == stickiness
    assert found["generalization"]["ood"]["stickiness"]["n"] == 300
    assert found["generalization"]["ood"]["gap"]["value"] == in_distribution - out


@pytest.mark.parametrize("split", ["id", "ood"])
def test_the_random_agent_of_the_example_scores_the_stated_chance(folder, split):
    found = folder.results("agent__random", samples=20)["splits"][split]
    trials = found["n"] * 20
    assert trials == 6000
    right = round(found["success_rate"]["value"] * trials)
    assert binomtest(right, trials, found["chance"]).pvalue > 0.001
    assert f"chance: {100 * found['chance']:.2f}%" in PAGE


def test_broken_output_is_booked_as_what_it_is(folder):
    outcomes = folder.results("agent__broken")["splits"]["id"]["outcomes"]
    assert outcomes["correct"] == outcomes["wrong_sum"] == 0
    assert min(outcomes[code] for code in ("illegal_numeral", "unparsable", "empty")) > 0


def test_the_rule_of_a_response_is_read(folder):
    readings = folder.results("agent__memoriser")["generalization"]["ood"]["rule_readings"]
    assert readings == {"as_stated": 0, "as_in_training": 300, "other": 0}


@pytest.mark.parametrize("model", [*(f"agent__{kind}" for kind in AGENTS), "adder.py"])
def test_the_results_of_the_examples_fit_the_published_schema(folder, model):
    schema = importlib.resources.files("genbench").joinpath("results.schema.json").read_text()
    jsonschema.validate(
        folder.results(model, samples=20 if model == "agent__random" else 1), json.loads(schema)
    )


def test_the_example_adds_in_every_base(addition):
    module, _ = addition
    for base in range(5, 11):
        for first, second in ((3, 4), (12, 31), (base**2 - 1, base**2 - 1), (10**6, 1)):
            numbers = [module.numeral(first, base), module.numeral(second, base)]
            assert int(module.total(numbers, base), base) == first + second
    assert module.total(["47", "85"], 10) == "132"
    assert module.total(["47", "85"], 9) == "143"


def test_twins_share_their_pair_and_no_answer_is_right_under_both_rules(addition):
    _, environment = addition
    twins = list(zip(environment.instances(ID), environment.instances(OOD), strict=True))
    assert len({one.id for pair in twins for one in pair}) == 600
    for one, other in twins:
        assert one.pair_id == other.pair_id
        assert one.data["numbers"] == other.data["numbers"]
        assert environment.under_rule(one, ID) is None
        answers = [next(environment.solutions(instance)) for instance in (one, other)]
        right = [[environment.verify(i, a).correct for a in answers] for i in (one, other)]
        assert right == [[True, False], [False, True]]
        assert environment.verify(environment.under_rule(other, ID), answers[0]).correct


def test_the_prompt_states_the_rule_and_its_own_example_parses(addition):
    _, environment = addition
    for split, base in ((ID, 10), (OOD, 9)):
        instance = environment.instances(split)[0]
        (message,) = environment.messages(instance)
        assert f"base {base}" in message.text
        verdict = environment.verify(instance, message.text)
        assert verdict.outcome == "wrong_sum"
        assert verdict.checks == {"perception": False, "rule": True, "reasoning": True}


def test_the_checks_tell_a_slip_from_a_wrong_rule(addition):
    module, environment = addition
    instance = environment.instances(OOD)[0]
    numbers = instance.data["numbers"]

    def checks(base, result):
        verdict = environment.verify(instance, module.answer_text(numbers, base, result))
        return verdict.outcome, verdict.checks["rule"], verdict.checks["reasoning"]

    assert checks(9, module.total(numbers, 9)) == ("correct", True, True)
    assert checks(9, "100") == ("wrong_sum", True, False)
    assert checks(10, module.total(numbers, 10))[1:] == (False, True)
    assert environment.verify(instance, '{"sum": 9}').outcome == "illegal_numeral"
    assert environment.verify(instance, '{"sum": 9}').checks["rule"] is None
    assert environment.verify(instance, "no", truncated=True).outcome == "truncated"
    answer = next(environment.solutions(instance))
    assert environment.verify(instance, f"so {answer}", truncated=True).correct
    assert not environment.verify(instance, f'{answer} no, {answer[:-5]}0"}}').correct


@given(st.text(max_size=300) | st.text('{}[]":,sum base0123456789-.eE\\', max_size=300))
def test_any_text_gets_a_verdict(addition, text):
    _, environment = addition
    verdict = environment.verify(environment.instances(OOD)[0], text)
    assert verdict.outcome in environment.outcomes
    assert verdict.correct == (verdict.outcome == "correct")
    json.dumps([verdict.fields, verdict.checks, verdict.readings], allow_nan=False)


@pytest.mark.parametrize("unit", ["{", '{"sum":', '{"sum":0}', '{"a":1}', "[" * 290, "9", " {}"])
def test_a_hostile_response_costs_little_time(addition, unit):
    _, environment = addition
    instance = environment.instances(OOD)[0]
    for size in (100_000, 1_000_000):
        started = time.process_time()
        assert not environment.verify(instance, unit * (size // len(unit))).correct
        assert time.process_time() - started < 5  # linear: a quadratic reader takes hours


# -- the backend -----------------------------------------------------------------------------------


def test_the_example_backend_answers_a_run_and_the_run_verifies_on_the_program(folder):
    found = folder.results("adder.py")
    assert found["splits"]["id"]["success_rate"]["value"] == 1.0
    assert found["splits"]["ood"]["success_rate"]["value"] == 0.0
    assert found["generalization"]["ood"]["stickiness"]["value"] == 1.0
    (verified,) = [text for line, text in folder.output.items() if "--regenerate 3" in line]
    assert "regenerated: 600 episodes agree, 3 played again" in verified
    (run,) = folder.runs("adder.py")
    header = json.loads((run / "run.json").read_text())
    assert header["model"]["files_fingerprint"] == _sha256(folder.path / "adder.py")
    assert header["execution"]["plan"]["batch_size"] == 256
    assert header["execution"]["plan"]["versions"]["genbench_example"] == "0.1"
    first = json.loads(header["first_prompt"]["line"])
    assert "written in base 10" in first["messages"][0]["content"]


def test_a_program_that_has_changed_since_is_found_out(another):
    folder = another()
    folder.ok("chmod +x adder.py")
    folder.ok(f"{ASK} --limit 5")
    with (folder.path / "adder.py").open("a") as program:
        program.write("# another program\n")
    done = folder.run(f"genbench verify {folder.runs('adder.py')[0]} --regenerate 3")
    assert done.returncode == 1
    assert "files_fingerprint" in done.stdout


# Stands before the adder: writes down what it is asked and does what the file `mood` says.
MOODY = """#!/usr/bin/env python3
import subprocess, sys, time
from pathlib import Path
asked = sys.stdin.read()
log = Path("asked.log")
before = log.read_text() if log.exists() else ""
log.write_text(before + f"{len(asked.splitlines())} ")
mood = Path("mood").read_text() if Path("mood").exists() else "well"
answers = subprocess.run(
    [sys.executable, "adder.py"], input=asked, capture_output=True, text=True
).stdout.splitlines()
half = answers[: len(answers) // 2]
if mood == "down" or (mood == "late" and before):
    sys.exit("the engine is down")
said = {"garbage": ["{", "[]", '{"id": 99, "text": ""}', '{"id": 0, "text": null}', *half],
        "silent": [], "half": half, "hang": half}.get(mood, answers[::-1])
print("".join(answer + "\\n" for answer in said), end="", flush=True)
if mood == "hang":
    time.sleep(60)
if mood == "half":
    sys.exit("out of memory")
"""


@pytest.fixture
def moody(another):
    folder = another()
    (folder.path / "moody.py").write_text(MOODY)
    folder.ok("chmod +x moody.py adder.py")
    return folder


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("mood", ["down", "late"])
def test_a_run_whose_program_fails_says_so_and_goes_on_once_it_is_mended(moody, mood):
    run = ASK.replace("adder", "{}") + " --limit 20 --batch-size 16"
    (moody.path / "mood").write_text(mood)
    message = moody.refused(run.format("moody"), code=3)
    assert "exit code 1: the engine is down" in message
    assert "run the same command again" in message
    (moody.path / "mood").unlink()
    (moody.path / "asked.log").unlink()
    assert "regenerated" not in moody.ok(run.format("moody"))
    asked = [int(count) for count in (moody.path / "asked.log").read_text().split()]
    # 20 pairs: turn 1 has 40 requests, turns 2 and 3 the 20 of the OOD split.
    assert sum(asked) == 80 - (16 if mood == "late" else 0)
    # The program answers in reverse; neither that nor the failure leaves a trace.
    moody.ok(run.format("adder"))
    mended, plain = (moody.runs(f"{name}.py")[0] / "episodes.jsonl" for name in ("moody", "adder"))
    assert mended.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize(
    ("mood", "answered", "error"),
    [
        ("well", 6, None),
        ("half", 3, "the program ended with exit code 1: out of memory"),
        ("hang", 3, "the program took more than 3 s"),
        ("garbage", 3, "the program wrote a line that is no answer: b'{'"),
        ("silent", 0, "the program wrote no answer to it"),
        ("missing", 0, "the program cannot be started: No such file or directory"),
    ],
)
def test_answers_come_to_their_requests_and_the_others_say_why_there_is_none(
    moody, monkeypatch, mood, answered, error
):
    monkeypatch.chdir(moody.path)
    (moody.path / "mood").write_text(mood)
    backend = moody.module("backend").CommandBackend()
    options = LoadOptions(arguments={"timeout": "3"})
    model = backend.load(backend.identify("./moody.py", options), options)
    if mood == "missing":
        (moody.path / "moody.py").unlink()
    model.submit(
        [Request(f"e{n}", 0, n, (Message("user", f"{n} + 1000"),), 10) for n in range(1, 7)]
    )
    received = model.receive()
    assert [request.order for request, _ in received] == [1, 2, 3, 4, 5, 6]
    for request, response in received:
        if request.order <= answered:
            assert json.loads(response.text)["sum"] == str(1000 + request.order)
            assert (response.finish_reason, response.error) == ("stop", None)
        else:
            assert (response.finish_reason, response.error) == ("error", error)


def test_a_stop_string_ends_a_response_and_is_no_part_of_it(moody, monkeypatch):
    monkeypatch.chdir(moody.path)
    backend = moody.module("backend").CommandBackend()
    model = backend.load(backend.identify("./adder.py", LoadOptions()), LoadOptions())
    chat = (Message("user", "1 + 2"),)
    model.submit([Request("e", 0, 0, chat, 10, stop=('"sum"', '"base"'))])
    ((_, response),) = model.receive()
    assert response.text == '{"numbers": ["1", "2"], '
    assert response.finish_reason == "stop"


def test_other_weights_are_another_run(moody):
    for weights in ("one", "other"):
        (moody.path / "w.bin").write_text(weights)
        moody.ok(f"{ASK} --model-args weights=w.bin --limit 5")
    found = {
        json.loads((folder / "results.json").read_text())["model"]["weights_fingerprint"]
        for folder in moody.runs("adder.py")
    }
    assert found == {hashlib.sha256(text).hexdigest() for text in (b"one", b"other")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--model ./none.py", "./none.py is no program"),
        ("--model ./pyproject.toml", "chmod +x"),
        ("--model ./adder.py --model-args timout=3", "did you mean 'timeout'?"),
        ("--model ./adder.py --model-args timeout=soon", "a number of seconds, not 'soon'"),
        ("--model ./adder.py --model-args weights=w", "w cannot be read: No such file"),
        ("--model ./adder.py --dtype float16", "--dtype: with the backend 'command'"),
        ("--model ./adder.py --backend comand", "did you mean 'command'?"),
    ],
)
def test_what_the_example_backend_cannot_use_is_refused_with_a_sentence(folder, options, message):
    default = "" if "--backend" in options else "--backend command"
    assert message in folder.refused(f"genbench run {default} {options} --task base-ood-rule")


# -- packs with a fault ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "name", "old", "new", "message"),
    [
        ("genbench tasks list", INIT, "from genbench.task", "from genbench.tsk",
         "'example' (genbench_example:PACK) of the distribution genbench_example cannot be loaded"),
        (CHECK, INIT, "PACK = TaskPack(", "PACK = dict(", "is a dict, not a genbench.task"),
        ("genbench tasks list", INIT, '/ "tasks"', '/ "task"', "among the package data"),
        (CHECK, INIT, ":BaseAddition", ":BaseAdition", "cannot be imported: AttributeError"),
        (CHECK, INIT, ":BaseAddition", ":numeral", "is no subclass of Environment"),
        (CHECK, INIT, '"base-addition"', '"general-points"', "two packs have an environment"),
        (CHECK, ENVIRONMENT, "import json\n", "import jsn\n", "No module named 'jsn'"),
        (CHECK, ENVIRONMENT, "def solutions(", "def solution(", "lacks solutions"),
        (CHECK, ENVIRONMENT, "pair_id=pair,", "pair_id=split.name + pair,",
         "no pair id of split 'ood' is in split 'id'"),
        (CHECK, ENVIRONMENT, "pair_id=pair,", 'pair_id="p",', "'p' comes twice in split 'id'"),
        (CHECK, ENVIRONMENT, 'id=f"{split.name}/{pair}"', "id=pair", "ids are unique in a task"),
        (CHECK, ENVIRONMENT, '{"numbers": list(numbers)', '{"numbers": set(numbers)',
         "are not JSON values"),
        (CHECK, TASK, "name: base-ood-rule", "name: base-rule", "has the name of its file"),
        (CHECK, TASK, "digits: 2", "digit: 2", "did you mean 'digits'?"),
        (CHECK, TASK, "rule: base-9}", "rule: base-99}", "did you mean 'base-9'?"),
        (CHECK, TASK, "rule: base-9}", "rule: base-10}", "is OOD in name alone"),
        (CHECK, TASK, "digits: 2", "digits: 1", "not 300 such problems"),
        (CHECK, TASK, 'version: "1.0"', "version: 1.0", "version: Input should be a valid string"),
        (ASK, BACKEND, 'name = "command"', 'name = "cmd"', "calls itself 'cmd'"),
        (ASK, BACKEND, "def load(", "def lod(", "cannot be loaded: TypeError"),
        (ASK, BACKEND, "import hashlib\n", "import hashlb\n", "No module named 'hashlb'"),
        (ASK, BACKEND, "class CommandBackend(Backend)", "class CommandBackend", "is no Backend"),
    ],
)  # fmt: skip
def test_a_pack_with_a_fault_is_refused_with_a_sentence(another, command, name, old, new, message):
    assert message in another((name, old, new)).refused(command)
