"""A test report made into a turn that a model can use.

Not the pasted log, but what an engineer reads in it: which tests fail, the assertion with its
values, the innermost frames in the workspace, what changed since the last run, the model's own last
change, and the code that the failing tests ran. Bounded in tokens: the parts come in order of use,
and a part that does not fit is shortened or left out by name.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent.models.base import estimate_tokens
from agent.suspects import Suspect, render_suspects
from tasks.task import TestReport, TestResult, Verdict

#: Tests whose failure is told in full; the rest are named.
_TOLD = 4
_NAMED = 20
_FRAMES = 4


@dataclass(frozen=True)
class Situation:
    """What a reflection is made of. `diff` is the model's change since the last reflection;
    `repeats` counts how often this very failure has come back, this time included; with `seen` the
    model has seen the tests pass before the verdict."""

    report: TestReport
    previous: TestReport | None = None
    diff: str = ""
    repeats: int = 1
    suspects: Sequence[Suspect] = ()
    verdict: Verdict | None = None
    seen: bool = True


def reflect(situation: Situation, token_limit: int = 2500) -> str:
    """The text of a reflection turn, at most about `token_limit` tokens long."""
    parts = [
        _headline(situation),
        _changes(situation),
        _repetition(situation),
        _failures(situation.report),
        _problems(situation.report),
        _own_change(situation.diff),
        render_suspects(situation.suspects) if situation.suspects else "",
        _other_failures(situation.report),
        _instruction(situation),
    ]
    return _bounded([part for part in parts if part], token_limit)


def signature(report: TestReport) -> str:
    """Identifies a failure: the same tests failing with the same messages, noise left out."""
    told = sorted(
        f"{result.id}|{_quiet(result.message)}"
        for result in report.results.values()
        if result.status in {"failed", "error"}
    )
    told += [_quiet(error) for error in report.errors]
    text = "\n".join(told) or _quiet(report.reason)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _quiet(text: str) -> str:
    """`text` without what changes from run to run: addresses, temporary paths, durations."""
    text = re.sub(r"0x[0-9a-fA-F]+", "0x", text)
    text = re.sub(r"/(tmp|var/tmp)/\S+", "", text)
    return re.sub(r"\d+\.\d+ ?s(econds)?\b", "s", text)


def counts(report: TestReport) -> str:
    """`3 of 12 tests fail`, or what kept them from running."""
    total = len(report.results)
    if not total:
        return "no test ran" + (f": {_clause(report.reason)}" if report.reason else "")
    failing = len(report.failing)
    if failing:
        return f"{failing} of {total} tests fail"
    broken = "" if report.green else f", but {_why_not_green(report)}"
    return f"{len(report.passed)} of {total} tests pass{broken}"


def _why_not_green(report: TestReport) -> str:
    if report.errors:
        return f"{len(report.errors)} could not be collected"
    return _clause(report.reason) or "none of them ran to its end"


def _clause(sentence: str) -> str:
    """A sentence as a part of another one."""
    return sentence[:1].lower() + sentence[1:].removesuffix(".")


def _headline(situation: Situation) -> str:
    if situation.verdict is not None:
        reasons = "\n".join(f"- {reason}" for reason in situation.verdict.reasons)
        tested = "The tests pass in your workspace, but" if situation.seen else "You ended, but"
        return (
            f"{tested} a fresh container does not accept the change "
            f"({situation.verdict.status}):\n{reasons}"
        )
    return f"The tests were run (`{situation.report.command}`): {counts(situation.report)}."


def _changes(situation: Situation) -> str:
    if situation.previous is None:
        return ""
    before, now = set(situation.previous.failing), set(situation.report.failing)
    passing = set(situation.report.passed)
    lines = []
    if fixed := sorted((before - now) & passing):
        lines.append(f"Newly passing since the last run: {_names(fixed)}")
    if broken := sorted(now - before):
        lines.append(f"Newly failing since the last run: {_names(broken)}")
    if gone := sorted(set(situation.previous.results) - set(situation.report.results)):
        lines.append(f"No longer there since the last run: {_names(gone)}")
    return "\n".join(lines)


def _names(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join(ids[:_NAMED]) + more


def _repetition(situation: Situation) -> str:
    if situation.repeats < 2:
        return ""
    return (
        f"This is the same failure as before, for the {_ordinal(situation.repeats)} time: "
        "what you changed has not touched its cause."
    )


def _ordinal(number: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number // 10 != 1 else 0, "th")
    return f"{number}{suffix}"


def _failures(report: TestReport) -> str:
    told = [report.results[id] for id in report.failing[:_TOLD]]
    return "\n\n".join(_failure(result) for result in told)


def _failure(result: TestResult) -> str:
    lines = [f"FAILED {result.id}"]
    lines += ["    " + line for line in result.message.strip().splitlines()[:12]]
    for frame in result.frames[-_FRAMES:]:
        lines.append(f"  at {frame.path}:{frame.line} in {frame.function}: {frame.code.strip()}")
    return "\n".join(lines)


def _other_failures(report: TestReport) -> str:
    others = report.failing[_TOLD:]
    return f"Also failing: {_names(others)}" if others else ""


def _problems(report: TestReport) -> str:
    lines = [_tail(error, 15) for error in report.errors[:3]]
    if not report.complete and report.reason:
        lines.append(f"The run is not complete: {report.reason}")
    if not report.results and not report.errors and report.output.strip():
        lines.append("The end of its output:\n" + _tail(report.output, 30))
    return "\n\n".join(lines)


def _tail(text: str, lines: int) -> str:
    kept = text.strip().splitlines()
    cut = f"[{len(kept) - lines} lines before this left out]\n" if len(kept) > lines else ""
    return cut + "\n".join(kept[-lines:])


def _own_change(diff: str) -> str:
    return f"Your change since the last run:\n```diff\n{_head(diff, 60)}\n```" if diff else ""


def _head(text: str, lines: int) -> str:
    kept = text.strip("\n").splitlines()
    cut = f"\n[{len(kept) - lines} more lines]" if len(kept) > lines else ""
    return "\n".join(kept[:lines]) + cut


def _instruction(situation: Situation) -> str:
    if situation.repeats >= 3:
        return (
            "Do not edit the same place again. First read the code that the failing test runs, "
            "from the test inwards; say what value you expect at each step; check it with a "
            "command; and only then change the one place where the value goes wrong."
        )
    if situation.repeats == 2:
        return (
            "Before the next edit, say in one sentence why the last one changed nothing here, "
            "and look at a different cause."
        )
    return "Find the cause in the code (not in the tests) and mend it."


def _bounded(parts: list[str], token_limit: int) -> str:
    """The parts joined, the longest of them shortened until the whole fits."""
    while estimate_tokens("\n\n".join(parts)) > token_limit:
        longest = max(range(len(parts)), key=lambda index: len(parts[index]))
        lines = parts[longest].splitlines()
        if len(lines) < 8:
            cut = max(200, len(parts[longest]) // 2)
            parts[longest] = parts[longest][:cut] + " [cut]"
            if cut == 200:
                break
            continue
        keep = len(lines) * 3 // 8
        left_out = f"[{len(lines) - 2 * keep} lines left out]"
        parts[longest] = "\n".join([*lines[:keep], left_out, *lines[-keep:]])
    return "\n\n".join(parts)
