"""Reading the options that a checkpoint is loaded with: device, precision, model arguments."""

from __future__ import annotations

from collections.abc import Mapping

from genbench.errors import UsageError

DTYPES = ("auto", "float32", "bfloat16", "float16")


def flag(arguments: Mapping[str, str], name: str) -> bool:
    """A true/false model argument. Raises UsageError for another value."""
    value = str(arguments.get(name, "false")).lower()
    if value not in ("true", "false"):
        raise UsageError(f"--model-args {name}: true or false, not '{value}'")
    return value == "true"


def resolve_device(name: str) -> str:
    """`auto` -> `cuda` where there is one, else `cpu`. Raises UsageError."""
    if name == "cpu":  # known without torch, whose import takes seconds
        return name
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, colon, number = name.partition(":")
    counted = {"cuda": torch.cuda, "mps": torch.mps, "xpu": torch.xpu}
    numbered = not colon or (number.isascii() and number.isdigit())
    if (kind != "cpu" and kind not in counted) or not numbered:
        raise UsageError(f"--device: cpu, cuda, cuda:N, mps or xpu, not '{name}'")
    if kind in counted:
        count = counted[kind].device_count()
        if count == 0:
            raise UsageError(
                f"--device {name}: torch sees no {kind.upper()} device here; use --device cpu"
            )
        if number and int(number) >= count:
            raise UsageError(
                f"--device {name}: the last {kind.upper()} device here is {kind}:{count - 1}"
            )
    return name


def check_on_cpu(device: str) -> None:
    """Raise UsageError for several processes on another device than the CPU."""
    found = resolve_device(device)
    if found != "cpu":
        raise UsageError(
            f"--workers: the processes would share {found}, each with a copy of the model, and "
            "none be faster; leave it out, or play on the CPU with --device cpu. Several GPUs are "
            "given a share each with --shard i/n and --device, or by `genbench sweep --ray`"
        )


def resolve_dtype(name: str, device: str) -> str:
    """`auto` -> float32 on a CPU (exact whatever the batch), bfloat16 elsewhere."""
    if name not in DTYPES:
        raise UsageError(f"--dtype: one of {', '.join(DTYPES)}, not '{name}'")
    if name != "auto":
        return name
    return "float32" if device == "cpu" else "bfloat16"
