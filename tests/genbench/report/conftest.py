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
def seeds(sources, tmp_path_factory):
    """A base, and from it three training runs of SFT, which forget OOD, and two of RL, which learn
    it; 16 checkpoints whose rates are exact."""
    output = tmp_path_factory.mktemp("seeds") / "runs"
    made = report_runs.training_run
    responses, began = sources[1], {"parent": "gp-base/seed-0/step-1"}
    made(output, responses, "base", flops=[1.2e14], id_rates=[0.5], ood_rates=[0.6])
    for seed in range(3):
        made(
            output, responses, "sft", seed=seed, flops=[2e13, 8e13 + seed * 1e12, 3.2e14], **began,
            id_rates=[0.5, 0.7 + seed / 24, 0.9],
            ood_rates=[0.55, 0.3 - seed / 24, 0.1 - seed / 24],
        )  # fmt: skip
    for seed in range(2):
        made(
            output, responses, "rl", seed=seed, flops=[3e13, 1e14, 4e14 + seed * 1e14], **began,
            id_rates=[0.45, 0.55, 0.65 + seed / 24], ood_rates=[0.5, 0.65 + seed / 24, 0.8],
        )  # fmt: skip
    return output


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
