"""What `genbench tasks show` says of a task: its splits, protocols, power and certificate."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from genbench.settings import setting_texts
from genbench.stats import minimum_detectable_difference, minimum_detectable_fall

if TYPE_CHECKING:
    from genbench.task import Instance, Protocol, Split, Task


def _mean_chance(task: Task, instances: tuple[Instance, ...]) -> float | None:
    chances = [task.environment.chance(instance) for instance in instances]
    known = [chance for chance in chances if chance is not None]
    return sum(known) / len(known) if len(known) == len(chances) else None


def _one_split(task: Task, split: Split) -> dict[str, Any]:
    instances = tuple(split.instances())
    return {
        "role": split.spec.role,
        "shift": split.spec.shift,
        "rule": split.spec.rule,
        "settings": dict(split.spec.settings),
        "n": len(instances),
        "clusters": len({instance.cluster for instance in instances}),
        "chance": _mean_chance(task, instances),
        "fingerprint": split.fingerprint,
    }


def _protocol(protocol: Protocol) -> dict[str, Any]:
    return {
        "paired": protocol.paired,
        "splits": {
            split.name: {"role": split.role, "rule": split.rule, "settings": dict(split.settings)}
            for split in protocol.splits
        },
    }


def described(task: Task) -> dict[str, Any]:
    """What `tasks show --json` prints."""
    splits = {name: _one_split(task, split) for name, split in task.splits.items()}
    certificate = task.environment.certificate(
        {name: split.instances() for name, split in task.splits.items()}
    )
    return {
        "name": task.name,
        "version": task.spec.version,
        "summary": task.spec.summary,
        "protocol": task.protocol.name,
        "protocols": {name: _protocol(found) for name, found in task.spec.protocols.items()},
        "settings": task.environment.settings,
        "prompt": task.environment.prompt,
        "cluster": task.spec.cluster,
        "fingerprint": task.fingerprint,
        "splits": splits,
        "minimum_detectable_gap": _detectable(splits, task.protocol.paired),
        "certificate": certificate,
    }


def _detectable(splits: Mapping[str, Mapping[str, Any]], paired: bool) -> dict[str, Any]:
    """What gap a run can find: of pairs by their discordance, else by the ID rate; as if all
    instances were independent, and as if those of a cluster agreed."""
    out = [split for split in splits.values() if split["role"] == "ood"]

    def gaps(key: str) -> dict[str, float | None]:
        n = splits["id"][key]
        if paired:
            return {
                str(share): minimum_detectable_difference(n, share)
                for share in (0.1, 0.2, 0.3, 0.5)
            }
        smallest = min(split[key] for split in out)
        return {
            str(rate): minimum_detectable_fall(n, smallest, rate) for rate in (0.3, 0.5, 0.7, 0.9)
        }

    independent, agreeing = gaps("n"), gaps("clusters")
    test = "exact McNemar" if paired else "Fisher's exact test"
    return {
        "method": f"{test}, alpha 0.05, power 0.80, by {'discordance' if paired else 'ID success'}",
        "by_discordance": independent if paired else None,
        "by_discordance_of_clusters": agreeing if paired else None,
        "by_rate": None if paired else independent,
        "by_rate_of_clusters": None if paired else agreeing,
    }


def print_described(found: Mapping[str, Any]) -> None:
    """`described` for a reader."""
    typer.echo(
        f"{found['name']} {found['version']} ({found['protocol']}, prompt {found['prompt']})"
    )
    typer.echo(found["summary"])
    typer.echo(f"fingerprint {found['fingerprint'][:16]}; cluster: {found['cluster']}")
    if found["settings"]:
        _print_wrapped("settings: ", ", ".join(setting_texts(found["settings"])))
    typer.echo()
    width = 2 + max(12, *map(len, found["splits"]))
    sets = "  sets" if any(split["settings"] for split in found["splits"].values()) else ""
    typer.echo(
        f"{'split':<{width}}{'role':<9}{'rule':<16}{'n':>6}{'clusters':>10}{'chance':>9}{sets}"
    )
    for name, split in found["splits"].items():
        chance = "unknown" if split["chance"] is None else f"{100 * split['chance']:.2f}%"
        line = (
            f"{name:<{width}}{split['role']:<9}{split['rule'] or '':<16}{split['n']:>6}"
            f"{split['clusters']:>10}{chance:>9}  {', '.join(setting_texts(split['settings']))}"
        )
        typer.echo(line.rstrip())
    _print_protocols(found)
    detectable = found["minimum_detectable_gap"]
    paired = detectable["by_discordance"] is not None
    by, what = ("by_discordance", "pairs") if paired else ("by_rate", "instances")
    typer.echo(f"\nminimum detectable gap ({detectable['method']}); a run lies between:")
    for words, key in (
        (f"if {what} are independent", by),
        (f"if the {what} of a cluster agree", f"{by}_of_clusters"),
    ):
        listed = ", ".join(
            f"{100 * gap:.1f} pp at {share}"
            for share, gap in detectable[key].items()
            if gap is not None
        )
        typer.echo(f"  {words}: {listed or 'none'}")
    partition = found["certificate"].get("partition_fingerprint", "")[:16]
    held = f"; partition {partition}" if partition else ""
    if not found["certificate"]:
        typer.echo("\ncertificate: none; the environment says nothing of training problems")
        return
    typer.echo(f"\ncertificate (problems that the bundled recipes may train on{held})")
    for name, counts in found["certificate"].get("splits", {}).items():
        listed = ", ".join(
            f"{key.replace('_', ' ')}: {count}" for key, count in counts.items() if key != "n"
        )
        typer.echo(f"  {name}: of {counts.get('n')} problems, {listed}")


def _print_protocols(found: Mapping[str, Any]) -> None:
    """What each --protocol asks: of ID its rule and settings, of the others what differs."""
    typer.echo("\nprotocols (--protocol; of a split, what ID does not have):")
    width = max(map(len, found["protocols"]))
    for name, protocol in found["protocols"].items():
        splits = protocol["splits"]
        told = [_difference(one, split, splits["id"]) for one, split in splits.items()]
        paired = "paired  " if protocol["paired"] else "unpaired"
        shown = "*" if name == found["protocol"] else " "
        _print_wrapped(f"{shown} {name:<{width}}  {paired}  ", "; ".join(told))


def _difference(name: str, split: Mapping[str, Any], inside: Mapping[str, Any]) -> str:
    """`ood: look.suit-colour red`; of the ID split, all that it has."""
    same = inside if split is not inside else {"rule": None, "settings": {}}
    own = {
        key: value
        for key, value in split["settings"].items()
        if key not in same["settings"] or same["settings"][key] != value
    }
    rule = [split["rule"]] if split["rule"] and split["rule"] != same["rule"] else []
    told = ", ".join([*rule, *setting_texts(own)])
    return f"{name}: {told}" if told else name


def _print_wrapped(head: str, text: str) -> None:
    """A line; on a terminal that is narrower, with what follows under where it begins."""
    if not sys.stdout.isatty():
        typer.echo(head + text)
        return
    width = shutil.get_terminal_size().columns
    typer.echo(
        "\n".join(
            textwrap.wrap(
                text,
                width,
                initial_indent=head,
                subsequent_indent=" " * len(head),
                break_on_hyphens=False,
                break_long_words=False,
            )
        )
    )
