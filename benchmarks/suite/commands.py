"""The same evaluation by command line: genbench, lm-eval on the exported pack, Inspect."""

from __future__ import annotations

from pathlib import Path

from suite.measuring import module

FOLDER = Path(__file__).parent
TASK = "gp-ood-rule"


def demo_checkpoint() -> Path:
    """The folder of demo/gp-base."""
    import importlib.util

    spec = importlib.util.find_spec("genbench_tasks")
    return Path(str(spec and spec.origin)).parent / "checkpoints" / "gp-base"


def export_pack(place: Path) -> Path:
    """Write the task pack for lm-eval; its folder."""
    import subprocess

    folder = place / "pack"
    words = ("tasks", "export", TASK, "--format", "lm-eval", str(folder))
    subprocess.run(module("genbench", *words), check=True, capture_output=True)
    return folder


def genbench_run(
    model: str, place: Path, pairs: int, batch: int, new_tokens: int | None = None
) -> list[str]:
    """One attempt at every split of the first pairs, in a fresh folder below `place`."""
    return module(
        "genbench", "run", "--model", model, "--task", TASK, "--verify-iters", "1",
        "--limit", str(pairs), "--batch-size", str(batch), "--device", "cpu", "--no-resume",
        "--output", str(place / "runs"),
        *(("--max-new-tokens", str(new_tokens)) if new_tokens else ()),
    )  # fmt: skip


def lm_eval_run(
    checkpoint: Path, place: Path, pairs: int, batch: int, new_tokens: int | None = None
) -> list[str]:
    """The pack in `place`, with its samples logged."""
    return module(
        "lm_eval", "--model", "hf", "--model_args", f"pretrained={checkpoint},dtype=float32",
        "--apply_chat_template", "--tasks", TASK.replace("-", "_"), "--device", "cpu",
        "--include_path", str(place / "pack"), "--limit", str(pairs), "--batch_size", str(batch),
        "--log_samples", "--output_path", str(place / "out"),
        *(("--gen_kwargs", f"max_gen_toks={new_tokens}") if new_tokens else ()),
    )  # fmt: skip


def inspect_eval(
    checkpoint: Path, place: Path, pairs: int, batch: int, new_tokens: int | None = None
) -> list[str]:
    """Inspect's command on our task file for it, with its log."""
    return module(
        "inspect_ai", "eval", f"{FOLDER / 'inspect_task.py'}@gp_ood_rule", "-T", f"pairs={pairs}",
        "--model", "hf/local", "-M", f"model_path={checkpoint}", "-M", "dtype=float32",
        "-M", "device=cpu", "-M", "do_sample=false", "--max-connections", str(batch),
        "--max-samples", str(batch), "--max-tokens", str(new_tokens or 256),
        "--log-dir", str(place / "logs"), "--display", "none",
    )  # fmt: skip
