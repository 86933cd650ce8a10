"""The gate's verdicts for CI systems: JUnit XML, and Markdown for a step summary."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from genbench.errors import UsageError
from genbench.gate import GatedTask, GateResult, QuantityVerdict, Verdict
from genbench.labels import clean
from genbench.markdown import markdown_line as _md

# What XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def headline(result: GateResult) -> str:
    """The verdict in one line."""
    tasks = result.tasks
    where = ", ".join(task.label for task in tasks)
    return _line(result, result.verdict, where, tasks)


def task_headline(result: GateResult, task: GatedTask) -> str:
    """The verdict on one task in one line."""
    return _line(result, task.verdict, task.label, [task])


def _line(result: GateResult, verdict: Verdict, where: str, tasks: Sequence[GatedTask]) -> str:
    found = []
    for task in tasks:
        names = [one.name for one in result.on(task) if one.verdict == verdict]
        if names:
            listed = ", ".join(names)
            found.append(listed if len(tasks) == 1 else f"{task.label} ({listed})")
    allowed = f"{100 * result.max_drop:g} pp"
    what = {
        "fail": f"worse by more than {allowed}: {', '.join(found)}",
        "inconclusive": f"drops above {allowed} neither shown nor excluded: {', '.join(found)}",
        "pass": f"no drop above {allowed}",
    }[verdict]
    candidate, baseline = (
        clean(side.model.name) for side in (tasks[0].candidate, tasks[0].baseline)
    )
    return f"{verdict.upper()}: {candidate} against {baseline} on {where}: {what}"


def needs(one: QuantityVerdict) -> str:
    """What an inconclusive quantity would take."""
    if one.mde is None:
        found = f"{one.name}: no drop of any size would fail on {_size(one.n, one.clusters)} (80%)"
    else:
        found = (
            f"{one.name}: {_size(one.n, one.clusters)} fail on a true drop from "
            f"{100 * one.mde:.1f} pp on (80% power)"
        )
    if one.pairs_needed is None:
        return f"{found}; no number of pairs excludes the allowed drop: allow a larger one"
    assert one.clusters_needed is not None  # they come together
    return (
        f"{found}; {_size(one.pairs_needed, one.clusters_needed)} would pass an unchanged model "
        "(80% power)"
    )


def _size(pairs: int, clusters: int) -> str:
    return f"{pairs} pairs" if pairs == clusters else f"{pairs} pairs in {clusters} clusters"


def details(one: QuantityVerdict) -> str:
    """A quantity with its numbers, in a sentence."""
    return (
        f"{one.reason}; {100 * one.baseline:.1f}% -> {100 * one.candidate:.1f}%, drop "
        f"{100 * one.drop:+.1f} pp (one-sided limits {100 * one.lower:+.1f}, "
        f"{100 * one.upper:+.1f}), p(fail) {p_text(one.p_fail_holm)} Holm-corrected, p(pass) "
        f"{p_text(one.p_pass)}, {_size(one.n, one.clusters)}; {one.method}"
    )


def p_text(value: float) -> str:
    """`0.140`, `<0.001`: none is 0."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def junit(result: GateResult) -> bytes:
    """JUnit XML: one suite a task, one test case a quantity.

    An inconclusive one is a failure under `--on-inconclusive fail`, otherwise skipped.
    """
    suites = [_suite(result, task) for task in result.tasks]
    names = ("tests", "errors", "failures", "skipped")
    totals = {name: str(sum(int(suite.attrib[name]) for suite in suites)) for name in names}
    root = ElementTree.Element("testsuites", totals)
    root.extend(suites)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _suite(result: GateResult, task: GatedTask) -> ElementTree.Element:
    counts = {"failures": 0, "skipped": 0}
    cases = []
    for one in result.on(task):
        case = ElementTree.Element(
            "testcase", classname=_xml(f"genbench.check.{task.label}"), name=_xml(one.name)
        )
        failed = one.verdict == "fail"
        if one.verdict == "inconclusive":
            failed = result.on_inconclusive == "fail"
            if not failed:
                counts["skipped"] += 1
                ElementTree.SubElement(case, "skipped", message=_xml(needs(one)))
        if failed:
            counts["failures"] += 1
            failure = ElementTree.SubElement(
                case, "failure", type=one.verdict, message=_xml(one.reason)
            )
            failure.text = _xml(f"{details(one)}\n{needs(one)}")
        ElementTree.SubElement(case, "system-out").text = _xml(details(one))
        cases.append(case)
    numbers = {"tests": str(len(cases)), "errors": "0"} | {
        name: str(value) for name, value in counts.items()
    }
    suite = ElementTree.Element("testsuite", {"name": _xml(task_headline(result, task)), **numbers})
    suite.extend(cases)
    return suite


def markdown(result: GateResult) -> str:
    """A section for a CI system's summary."""
    return "\n".join(_markdown_lines(result)) + "\n"


def _markdown_lines(result: GateResult) -> Iterator[str]:
    yield f"### genbench check: {_md(headline(result))}"
    for task in result.tasks:
        yield ""
        if len(result.tasks) > 1:
            yield f"**{_md(task.label)}: {task.verdict}**"
            yield ""
        yield "| quantity | verdict | baseline | candidate | drop | limits | n (clusters) |"
        yield "|---|---|---:|---:|---:|---:|---:|"
        for one in result.on(task):
            yield (
                f"| {_md(one.name)} | **{one.verdict}** | {100 * one.baseline:.1f}% "
                f"| {100 * one.candidate:.1f}% | {100 * one.drop:+.1f} pp "
                f"| [{100 * one.lower:+.1f}, {100 * one.upper:+.1f}] "
                f"| {one.n} ({one.clusters}) |"
            )
    yield ""
    yield (
        f"Allowed drop {100 * result.max_drop:g} pp. One-sided {100 * (1 - result.alpha):g}% "
        f"limits; {_md(result.correction)}."
    )
    for text in needed(result):
        yield f"- {_md(text)}"
    for note in result.notes:
        yield f"- {_md(note)}"


def needed(result: GateResult) -> list[str]:
    """What every inconclusive quantity would take; with its task where there are several."""
    return [
        needs(one) if len(result.tasks) == 1 else f"{one.task}: {needs(one)}"
        for one in result.quantities
        if one.verdict == "inconclusive"
    ]


def write_junit(result: GateResult, path: Path) -> None:
    """Raises UsageError where the file cannot be written."""
    try:
        path.write_bytes(junit(result))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def append_summary(result: GateResult, path: Path) -> None:
    """Append the Markdown to a step summary. Raises UsageError where that cannot be written."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(markdown(result))
    except OSError as error:
        raise UsageError(
            f"GITHUB_STEP_SUMMARY {path} cannot be written: {error.strerror}"
        ) from None


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
