"""A run on a Hugging Face model card: the section of the text, and the `model-index` metadata.

ID, each OOD split and each gap are entries of their own: a gap is no score of a dataset, and one
number for two splits would hide what this benchmark is about.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from genbench.errors import GenbenchError, UsageError
from genbench.evaluation import read_results
from genbench.leaderboard.formats import in_full, markdown
from genbench.leaderboard.naming import named
from genbench.leaderboard.publishing import RefusedError
from genbench.results import DifferenceResult, Rate, Results
from genbench.settings import IMPORTED
from genbench.verification import verify_run

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard

_BEGIN, _END = "<!-- genbench: begin {} -->", "<!-- genbench: end {} -->"
_DIGITS = 6


class CardError(GenbenchError):
    """A model card cannot be read or written."""


def verified_results(
    run: Path, *, task_file: str | None = None, name: str | None = None
) -> Results:
    """The results of a finished run that follow from its responses, under a public name.

    Raises RefusedError where they do not follow, UsageError where the run's own name for its
    checkpoint is a path and no other is given.
    """
    results = named(read_results(run), name)
    found = verify_run(run, task_file=task_file)
    if not found.passed:
        raise RefusedError(f"{run} does not reproduce and goes on no card: {found.differences[0]}")
    return results


def card_of(results: Results, existing: str | None = None) -> ModelCard:
    """A model card with the run's results; into `existing`, the text of a card, where given.

    In an existing card the entries and the section of the same task are replaced, and everything
    else stays. Raises CardError where it is no card.
    """
    from huggingface_hub import ModelCard, ModelCardData

    if existing is None:
        data = ModelCardData(
            model_name=results.model.name, eval_results=eval_results(results), tags=["genbench"]
        )
        return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_text(results)}")
    try:
        card = ModelCard(existing)
    except Exception as error:  # YAML of any shape
        raise CardError(f"the model card cannot be read: {error}") from None
    data = cast(ModelCardData, card.data)
    ours = eval_results(results)
    task = ours[0].dataset_type
    kept = [one for one in data.eval_results or [] if one.dataset_type != task]
    data.eval_results = [*kept, *ours]
    data.model_name = data.model_name or results.model.name
    data.tags = list(dict.fromkeys([*(data.tags or []), "genbench"]))
    card.text = _with_section(card.text, results)
    return card


def write_card(results: Results, path: Path, *, update: bool = False) -> None:
    """Write `card_of` to a file. An existing one is changed only where `update` is true."""
    from genbench.store import write_atomically

    existing = None
    if path.exists():
        if not update:
            raise UsageError(
                f"{path} exists; --update puts the results into it, or choose another --output"
            )
        try:
            existing = path.read_text()
        except (OSError, UnicodeError) as error:
            raise CardError(f"the model card {path} cannot be read: {error}") from None
    write_atomically(path, [str(card_of(results, existing)).encode()])


def eval_results(results: Results) -> list[EvalResult]:
    """The entries: success on ID and on each OOD split, and each gap."""
    found = [
        _entry(results, name, "accuracy", f"success rate, {name}", split.success_rate)
        for name, split in results.splits.items()
        if split.role != "control"
    ]
    found += [
        _entry(results, f"id - {name}", "gap", f"gap, id minus {name}", one.gap)
        for name, one in results.generalization.items()
    ]
    return found


def _entry(results: Results, split: str, kind: str, name: str, value: Rate) -> EvalResult:
    from huggingface_hub import EvalResult

    arguments: dict[str, Any] = {
        "ci95": [round(limit, _DIGITS) for limit in value.ci95],
        "n": value.n,
        "clusters": value.clusters,
        "method": value.method,
    }
    if isinstance(value, DifferenceResult):
        arguments["p_value"] = round(value.p_value, _DIGITS)
        if value.p_value_holm is not None:
            arguments["p_value_holm"] = round(value.p_value_holm, _DIGITS)
    return EvalResult(
        task_type="text-generation",
        task_name="Generalization",
        dataset_type=f"genbench/{results.task.name}",
        dataset_name=f"genbench {results.task.name} {results.task.version}",
        dataset_config=_config(results),
        dataset_split=split,
        dataset_revision=results.task.fingerprint,
        metric_type=kind,
        metric_name=name,
        metric_value=round(value.value, _DIGITS),
        metric_args=arguments,
    )


def _config(results: Results) -> str:
    settings = results.settings
    parts = [str(settings["protocol"]), f"prompt {settings['prompt']}", _mode(results)]
    if settings["limit"] is not None:
        parts.append(f"the first {settings['limit']} pairs")
    return ", ".join(parts)


def _mode(results: Results) -> str:
    """How the responses came about; of imported ones the settings only hold defaults."""
    settings = results.settings
    samples = f"{settings['samples']} samples " if settings["samples"] > 1 else ""
    if results.model.backend == IMPORTED:
        return f"{samples or 'responses '}made elsewhere"
    if settings["temperature"] == 0:
        return "greedy"
    return f"{samples}at temperature {settings['temperature']:g}"


def _with_section(text: str, results: Results) -> str:
    """The text with the run's section in place of an earlier one, or at the end."""
    begin, end = _BEGIN.format(results.task.name), _END.format(results.task.name)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if found and not closed:
        raise CardError(f"the model card has '{begin}' without '{end}'; delete the first")
    section = _text(results).rstrip("\n")
    return f"{before}{section}{after}" if found else f"{text.rstrip()}\n\n{section}\n"


def _text(results: Results) -> str:
    seen = results.contamination
    lines = [
        _BEGIN.format(results.task.name),
        f"## genbench: {markdown(results.task.name)} {markdown(results.task.version)}",
        "",
        f"{markdown(results.model.name)}: {markdown(_config(results))}; first attempts.",
        "",
        "| figure | value (95% interval) | n | clusters |",
        "|---|---|---|---|",
    ]
    for name, split in results.splits.items():
        lines.append(_line(f"success, {name} ({split.role})", split.success_rate))
        for kind, found in (("any", split.pass_at_k), ("all", split.pass_hat_k)):
            most = max(found, key=int, default=None) if found else None
            if found and most is not None and int(most) > 1:
                lines.append(_line(f"{kind} of {most} samples right, {name}", found[most]))
    for name, one in results.generalization.items():
        lines.append(_line(f"gap, id minus {name}", one.gap))
        if one.stickiness is not None:
            lines.append(_line(f"stickiness, {name}", one.stickiness))
    overlap = ""
    if seen.overlap is not None:
        overlap = (
            f" ({max(seen.overlap.values(), default=0)} problems of the test were in training)"
        )
    lines += [
        "",
        f"Contamination: {seen.status}{overlap}. Intervals: "
        f"{markdown(results.splits['id'].success_rate.method)}; gap: "
        f"{markdown(next(iter(results.generalization.values())).gap.method)}. Weights "
        f"{(results.model.weights_fingerprint or 'unknown')[:16]}, settings "
        f"{results.settings_hash}. Every number follows from the stored responses (tier "
        "rescored).",
        _END.format(results.task.name),
    ]
    return "\n".join(lines) + "\n"


def _line(name: str, value: Rate) -> str:
    return f"| {markdown(name)} | {in_full(value)} | {value.n} | {value.clusters} |"
