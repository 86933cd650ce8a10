"""An exported task in lm-eval: the questions, answers and verdicts of `genbench run`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import genbench
from genbench.errors import TaskError, UsageError
from genbench.export import export
from genbench.registry import load_task

TASK = "gp-ood-rule"
LIMIT = 12
DEMO = Path(__import__("genbench_tasks").__file__).parent / "checkpoints" / "gp-base"


def exported(folder, name=TASK, splits=None, **asked):
    """The folder that lm-eval includes."""
    export(load_task(name, **asked), folder, "lm-eval", splits)
    return folder


def evaluated(folder, model, name="gp_ood_rule", **settings):
    """What lm-eval makes of it in this process: results, and samples by instance id."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    found = simple_evaluate(
        model=model, tasks=[name], task_manager=manager, log_samples=True, bootstrap_iters=0,
        **settings,
    )  # fmt: skip
    samples = [one for rows in found["samples"].values() for one in rows]
    return found, {one["doc"]["instance_id"]: one for one in samples}


def hf(folder, batch_size=16):
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=batch_size)


def ours(model, output, name=TASK, **settings):
    """The run of genbench, at one attempt: results, and episodes by instance id."""
    results = genbench.run(
        model, name, output=output, verify_iters=1, device="cpu",
        **({"dtype": "float32"} if not model.startswith("agent:") else {}), **settings,
    )  # fmt: skip
    (folder,) = (path.parent for path in Path(output).rglob("results.json"))
    return results, {one.instance_id: one for one in genbench.load_run(folder).episodes}


def check_alike(found, samples, results, episodes):
    """Every answer, verdict and rate of the two is the same."""
    assert samples.keys() == episodes.keys()
    for key, sample in samples.items():
        assert sample["resps"] == [[episodes[key].turns[0].response.text]]
        assert sample["success"] == float(episodes[key].solved)
    for name, split in results.splits.items():
        shown = found["results"]["gp_ood_rule_" + name.replace("-", "_")]
        assert shown["success,none"] == pytest.approx(split.success_rate.value)
        assert shown["strict_success,none"] == pytest.approx(split.strict_success_rate.value)
    sticks = results.generalization["ood"].stickiness
    stickiness = found["results"]["gp_ood_rule_ood"]["stickiness,none"]
    assert stickiness == pytest.approx(sticks.value)


def test_lm_evals_own_command_line_has_the_verdicts_of_genbench_run(tmp_path):
    exported(tmp_path / "pack")
    done = subprocess.run(
        [
            sys.executable, "-m", "lm_eval", "--model", "hf",
            "--model_args", f"pretrained={DEMO},dtype=float32", "--apply_chat_template",
            "--tasks", "gp_ood_rule", "--include_path", tmp_path / "pack",
            "--limit", str(LIMIT), "--batch_size", "16", "--device", "cpu",
            "--log_samples", "--output_path", tmp_path / "out",
        ],
        capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (written,) = tmp_path.glob("out/*/results_*.json")
    lines = [line for path in tmp_path.glob("out/*/samples_*.jsonl") for line in path.open()]
    samples = {one["doc"]["instance_id"]: one for one in map(json.loads, lines)}
    results, episodes = ours("demo/gp-base", tmp_path / "runs", limit=LIMIT)
    check_alike(json.loads(written.read_text()), samples, results, episodes)
    right = [one["success"] for one in samples.values()]
    assert 0.2 < sum(right) / len(right) < 0.6  # both verdicts were there to be compared
    found = json.loads(written.read_text())
    assert found["results"]["gp_ood_rule"]["success,none"] == pytest.approx(sum(right) / len(right))
    assert found["versions"]["gp_ood_rule_ood"] == load_task(TASK).spec.version


@pytest.mark.parametrize("template", ["auto", "off"])
@pytest.mark.parametrize("system", [None, "You play cards."])
def test_prompts_and_answers_are_the_same_with_a_chat_template_and_without(
    tiny_llama, tmp_path, template, system
):
    found, samples = evaluated(
        exported(tmp_path / "pack"), hf(tiny_llama), limit=4, system_instruction=system,
        apply_chat_template=template == "auto", gen_kwargs="max_gen_toks=24",
    )  # fmt: skip
    results, episodes = ours(
        str(tiny_llama), tmp_path / "runs", limit=4, max_new_tokens=24, chat_template=template,
        system=system,
    )  # fmt: skip
    check_alike(found, samples, results, episodes)
    assert len({one["resps"][0][0] for one in samples.values()}) > 8
    first = genbench.load_run(next((tmp_path / "runs").rglob("run.json")).parent).header
    prompts = {one["arguments"][0][0] for one in samples.values()}
    assert first["first_prompt"]["text"] in prompts


def agent_model(kind, task):
    """A reference agent behind lm-eval's interface: it knows the questions by their prompts."""
    from lm_eval.api.model import LM

    agent = task.environment.agent(kind, task.training_split)
    answers = {}
    for split in task.splits.values():
        for instance in split.instances():
            messages = task.messages(instance)
            prompt = "".join(f"{message.text}\n\n" for message in messages)
            answers[prompt] = agent.respond(instance, messages, 0)

    class AgentModel(LM):
        def generate_until(self, requests, disable_tqdm=False):
            return [answers[one.args[0]] for one in requests]

        def loglikelihood(self, requests):
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    return AgentModel()


@pytest.mark.parametrize("kind", ["oracle", "memoriser", "broken"])
def test_agents_have_their_rates_in_lm_eval(kind, tmp_path):
    folder, task = exported(tmp_path / "pack"), load_task(TASK)
    found, samples = evaluated(folder, agent_model(kind, task))
    rates = {name: one.get("success,none") for name, one in found["results"].items()}
    expected = {"oracle": (1, 1, 0), "memoriser": (1, 0, 1), "broken": (0, 0, 0)}[kind]
    assert (rates["gp_ood_rule_id"], rates["gp_ood_rule_ood"]) == expected[:2]
    assert found["results"]["gp_ood_rule_ood"]["stickiness,none"] == expected[2]
    assert len(samples) == sum(len(split.instances()) for split in task.splits.values())


def test_the_samples_of_lm_eval_are_imported_as_a_run(tmp_path, command):
    folder, task = exported(tmp_path / "pack"), load_task(TASK, limit=9)
    _, samples = evaluated(folder, agent_model("memoriser", task), limit=9)
    rows = [{"instance_id": key, "response": one["resps"][0][0]} for key, one in samples.items()]
    file = tmp_path / "responses.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = command("import", file, "--task", TASK, "--limit", 9, "--output", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["generalization"]["ood"]["stickiness"]["value"] == 1


def test_pictures_reach_lm_evals_multimodal_model(tiny_idefics, tmp_path):
    from lm_eval.models.hf_vlms import HFMultimodalLM

    name, settings = "gp-vl-recognition", {"pixels": 64}
    folder = exported(tmp_path / "pack", name, ["id"], settings=settings)
    model = HFMultimodalLM(
        pretrained=str(tiny_idefics), dtype="float32", device="cpu", batch_size=3
    )
    _, samples = evaluated(
        folder, model, "gp_vl_recognition", limit=5, apply_chat_template=True,
        gen_kwargs="max_gen_toks=12",
    )  # fmt: skip
    _, episodes = ours(
        str(tiny_idefics), tmp_path / "runs", name, limit=5, max_new_tokens=12,
        task_settings=settings,
    )  # fmt: skip
    assert len(samples) == 5
    for key, sample in samples.items():
        assert sample["resps"] == [[episodes[key].turns[0].response.text]]
    assert len({one["resps"][0][0] for one in samples.values()}) > 1


def test_a_task_file_of_ones_own_is_in_the_folder(tmp_path):
    shipped = yaml.safe_load(
        Path(load_task.__globals__["_task_files"]()[TASK]).read_text(encoding="utf-8")
    )
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump({**shipped, "name": "own-rule", "version": "7"}))
    folder = exported(tmp_path / "pack", own, protocol="paper")
    own.unlink()
    task = load_task(folder / "own_rule" / "task.yml", protocol="paper")
    found, samples = evaluated(folder, agent_model("oracle", task), "own_rule", limit=3)
    assert found["versions"]["own_rule_id"] == "7"
    assert all(one["success"] == 1 for one in samples.values())


# -- refusals --------------------------------------------------------------------------------------


def test_a_task_of_many_steps_is_refused_with_the_reason(tmp_path, command):
    done = command("tasks", "export", "virl-ood-rule", "--format", "lm-eval", tmp_path / "pack")
    assert done.returncode == 2
    assert "lm-eval cannot run the task virl-ood-rule: its episodes have many steps" in done.stderr
    assert not (tmp_path / "pack").exists()


def test_another_version_of_the_task_than_the_exported_one_is_refused(tmp_path):
    folder = exported(tmp_path / "pack")
    (path,) = folder.rglob("gp_ood_rule_id.yaml")
    text = path.read_text()
    fingerprint = load_task(TASK).fingerprint
    assert fingerprint in text
    path.write_text(text.replace(fingerprint, "f" * 64))
    with pytest.raises(TaskError, match=r"written of another version of gp-ood-rule.*export it"):
        evaluated(folder, agent_model("oracle", load_task(TASK, limit=1)), "gp_ood_rule_id")


def test_no_examples_are_shown_whatever_is_asked_for(tmp_path):
    folder = exported(tmp_path / "pack")
    model = agent_model("oracle", load_task(TASK, limit=2))
    found, samples = evaluated(folder, model, "gp_ood_rule_id", limit=2, num_fewshot=3)
    assert all(one["success"] == 1 for one in samples.values())
    assert found["n-shot"]["gp_ood_rule_id"] == 0


def test_images_beside_text_are_refused(tmp_path, colours, monkeypatch):
    task = load_task(colours)
    blind = task.splits["ood"].instances()[0].id
    messages = task.environment.messages

    def some_blind(instance):
        found = messages(instance)
        if instance.id != blind:
            return found
        return [type(one)(one.role, one.text) for one in found]

    monkeypatch.setattr(task.environment, "messages", some_blind)
    with pytest.raises(UsageError, match=r"some of its questions show images and some do not"):
        export(task, tmp_path / "pack", "lm-eval")


def test_the_code_says_what_is_missing_where_genbench_is_not_installed(tmp_path):
    folder = exported(tmp_path / "pack")
    (code,) = folder.rglob("genbench_pack.py")
    shutil.copy(code, tmp_path)
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import genbench_pack"],
        capture_output=True, text=True, cwd=tmp_path, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert "asks and judges through genbench" in done.stderr
