"""The runs that the tests report on: made once."""

import shutil
from pathlib import Path

import pytest
import report_runs


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """Runs of the oracle, the memoriser and the random agent, three attempts, and their
    responses."""
    output = tmp_path_factory.mktemp("sources")
    folders = {
        kind: report_runs.agent_run(output, kind, limit=report_runs.LIMIT, verify_iters=3)
        for kind in ("oracle", "memoriser", "random")
    }
    return folders, {kind: report_runs.responses_of(folder) for kind, folder in folders.items()}


@pytest.fixture(scope="session")
def twelve(sources, tmp_path_factory):
    """Twelve checkpoints of one base: SFT that forgets the rule, RL that learns it."""
    output = tmp_path_factory.mktemp("twelve")
    plans = [("base", 0, 1.2e14, 0.33, 0.31)]
    plans += [("sft", 100 * 2**i, 2e13 * 2**i, 0.35 + 0.1 * i, 0.35 - 0.06 * i) for i in range(6)]
    plans += [("rl", 50 * 2**i, 3e13 * 2.2**i, 0.34 + 0.07 * i, 0.33 + 0.1 * i) for i in range(5)]
    responses = sources[1]
    for method, step, flops, id_rate, ood_rate in plans:
        rows = report_runs.mixed_rows(
            responses["oracle"], responses["memoriser"], responses["random"],
            id_rate=id_rate, ood_rate=ood_rate, seed=step,
        )  # fmt: skip
        training = {"recipe": f"gp-{method}", "method": method, "step": step, "seed": 0}
        report_runs.imported_run(
            output / "runs", f"demo/gp-{method}/step-{step}", list(rows), limit=report_runs.LIMIT,
            verify_iters=3, training={**training, "parent": None, "flops": flops},
        )  # fmt: skip
    return output / "runs"


@pytest.fixture(scope="session")
def hostile(sources, tmp_path_factory):
    """Runs of agents on three tasks, and one whose name and responses are attacks."""
    output = tmp_path_factory.mktemp("hostile") / "runs"
    folders, responses = sources
    for kind in ("oracle", "memoriser", "random"):
        shutil.copytree(folders[kind], output / kind)
    report_runs.agent_run(output, "memoriser", "gp-ood-target", limit=8)
    report_runs.agent_run(output, "memoriser", "gp-ood-rule-family", limit=8)
    rows = []
    for (split, instance, attempt), text in responses["random"].items():
        if attempt == 1:
            answer = "" if split == "id" else f"{text} "
            rows += [(instance, k, answer + report_runs.HOSTILE_RESPONSE) for k in (1, 2, 3)]
    report_runs.imported_run(
        output, report_runs.HOSTILE_NAME, rows, limit=report_runs.LIMIT, verify_iters=3
    )
    return output


@pytest.fixture
def copy(sources, tmp_path):
    """A run folder to tamper with."""
    return Path(shutil.copytree(sources[0]["random"], tmp_path / "runs" / "one"))
