"""`greenroom bench compare`: do two runs differ, and can they tell?"""

import argparse
from collections.abc import Sequence, Set
from dataclasses import asdict
from pathlib import Path

from agent.bench.report.attempts import RunFolder, open_run, shortened
from agent.bench.report.comparison import Comparison, Flip, compare
from agent.bench.report.differences import COMPARED, Difference, differences, unasked
from agent.bench.report.telling import sentences
from agent.bench.report.versus import write_versus
from agent.bench.report.words import percent
from agent.cli.bench.report import check_folder
from agent.cli.console import Console
from agent.cli.text import count, table
from sandbox.errors import UsageError

SCHEMA = "greenroom.comparison/1"
DESCRIPTION = """\
Compare two runs of the same tasks: the paired difference with its 95% interval, the tasks that
flipped, and whether the sample can tell. Runs that differ in more than the model and its sampling
are compared only where --allow-differences says that it is meant.

examples:
  greenroom bench compare greenroom-runs/one greenroom-runs/two
  greenroom bench compare one two --allow-differences toolset,greenroom\
"""
_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", type=Path, metavar="A", help="a run's folder")
    parser.add_argument("second", type=Path, metavar="B", help="the folder of the other")
    parser.add_argument(
        "--allow-differences",
        metavar="KEY,...",
        default="",
        help="keys of the manifests that are meant to differ, such as toolset or settings.protocol",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write a page to FILE")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def main(options: argparse.Namespace, console: Console) -> int:
    runs = [open_run(check_folder(folder)) for folder in (options.first, options.second)]
    first, second = runs
    allowed = [name.strip() for name in options.allow_differences.split(",") if name.strip()]
    _check_known(allowed, first.manifest.keys() | second.manifest.keys())
    found = differences(first.manifest, second.manifest)
    _refuse(unasked(found, allowed))
    for run, folder in zip(runs, (options.first, options.second), strict=True):
        for damage in run.damages:
            console.warn(f"{folder}: {damage}")
        if not run.finished:
            console.warn(f"{folder} is not finished: what it lacks is left out")
    comparison = compare(first, second)
    if comparison is None:
        raise UsageError(
            "the runs have no task in common that counts in both",
            "Compare runs of one suite; `greenroom bench report` shows what each has.",
        )
    names = _names(runs, (options.first, options.second))
    if options.output:
        write_versus(runs, names, comparison, found, options.output)
    if options.json:
        console.document(_document(names, comparison, found))
    else:
        _print(names, comparison, found, console)
    return 0


def _check_known(allowed: Sequence[str], keys: Set[str]) -> None:
    """A key that is misspelt would allow nothing, and say nothing."""
    for name in allowed:
        if name.partition(".")[0] not in keys:
            raise UsageError(
                f"--allow-differences: no manifest of the two has a key {name!r}",
                f"Keys are: {', '.join(sorted(keys))}.",
            )


def _refuse(found: Sequence[Difference]) -> None:
    if not found:
        return
    lines = [f"{each.key}: {_value(each.first)} / {_value(each.second)}" for each in found]
    more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    keys = ",".join(dict.fromkeys(each.top for each in found))
    raise UsageError(
        f"the runs differ in more than {' and '.join(COMPARED)}:\n  "
        + "\n  ".join(lines[:_SHOWN])
        + more,
        f"If that is what is compared: --allow-differences {keys}",
    )


def _value(value: object) -> str:
    return "not there" if value is None else shortened(str(value), 80)


def _names(runs: Sequence[RunFolder], folders: Sequence[Path]) -> list[str]:
    """What tells the runs apart: their models, else their folders."""
    if runs[0].model != runs[1].model:
        return [run.model for run in runs]
    return [str(folder) for folder in folders]


def _document(
    names: Sequence[str], comparison: Comparison, found: Sequence[Difference]
) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "first": names[0],
        "second": names[1],
        "differences": [asdict(each) for each in found],
        "comparison": {**asdict(comparison), "tells": comparison.tells},
        "sentences": sentences(comparison, *names),
    }


def _print(
    names: Sequence[str], comparison: Comparison, found: Sequence[Difference], console: Console
) -> None:
    result, *rest = sentences(comparison, *names)
    console.say(result, "bold")
    for sentence in rest:
        console.say(sentence)
    only = "solved only by" if comparison.pairs else "solved more often by"
    for name, flips in ((names[1], comparison.gained), (names[0], comparison.lost)):
        _flipped(f"{only} {name}", flips, bool(comparison.pairs), console)
    if comparison.left_out:
        shown = ", ".join(comparison.left_out[:_SHOWN])
        more = ", ..." if len(comparison.left_out) > _SHOWN else ""
        console.say(f"\nleft out, without a counted attempt in both: {shown}{more}", "dim")
    if found:
        console.say("\nwhat differs:", "dim")
        rows = [(f"  {e.key}", _value(e.first), _value(e.second)) for e in found[:_SHOWN]]
        console.say(table(rows), "dim")


def _flipped(title: str, flips: Sequence[Flip], single: bool, console: Console) -> None:
    if not flips:
        return
    limit = len(flips) if console.verbose else _SHOWN
    console.say(f"\n{title} ({count(len(flips), 'task')}):", "bold")
    rows: list[tuple[str, ...]]
    if single:
        rows = [(f"  {flip.task}",) for flip in flips[:limit]]
    else:
        rows = [(f"  {f.task}", percent(f.first), percent(f.second)) for f in flips[:limit]]
    console.say(table(rows))
    if len(flips) > limit:
        console.say(f"  and {len(flips) - limit} more; -v shows all", "dim")
