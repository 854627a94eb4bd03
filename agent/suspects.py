"""Where the fault may be: the code that failing tests ran and passing tests did not.

Spectrum-based fault localisation: each line that a failing test ran gets Ochiai's coefficient
(Abreu, Zoeteweij and van Gemund, 2006), `failed / sqrt(all_failed * (failed + passed))`, where
`failed` and `passed` count the failing and passing tests that ran the line. 1 is a line that all
failing tests ran and no passing one.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from math import sqrt

from tasks.task import FAILING, PASSING, TestReport

HEADING = "Code that the failing tests ran, the most suspicious first:"
_MODULE = "<module>"
_ENTRY = re.compile(
    r"- (?P<path>.+):(?P<first>\d{1,9})-(?P<last>\d{1,9}) (?P<function>\S+): lines (?P<lines>.+)"
)
_SPAN = re.compile(r"\b(\d{1,9})(?:-(\d{1,9}))? \((\d\.\d\d)\)")
# Of one function; what a test prints may look like a section.
_MOST_LINES = 10_000


@dataclass(frozen=True)
class Suspect:
    """A function (`path` is relative to the workspace) and how suspicious its lines are, 0 to 1.

    `lines` holds (line number, suspicion) for each line that a failing test ran, in order.
    """

    path: str
    function: str
    first_line: int
    last_line: int
    lines: tuple[tuple[int, float], ...]

    @property
    def score(self) -> float:
        return max((score for _, score in self.lines), default=0.0)


def rank(report: TestReport) -> list[Suspect]:
    """Suspects of a traced run, the most suspicious first; none without failing traced tests.

    Among equals, the function of which a greater share is suspicious comes first.
    """
    failed: dict[tuple[str, int], int] = defaultdict(int)
    passed: dict[tuple[str, int], int] = defaultdict(int)
    functions: dict[tuple[str, str, int, int], set[int]] = defaultdict(set)
    failures = 0
    for id, ran in report.executed.items():
        status = report.results[id].status if id in report.results else None
        failures += status in FAILING
        for each in ran:
            for line in each.lines:
                if status in FAILING:
                    failed[each.path, line] += 1
                    place = (each.path, each.function, each.first_line, each.last_line)
                    functions[place].add(line)
                elif status in PASSING:
                    passed[each.path, line] += 1

    def score(path: str, line: int) -> float:
        with_line = failed[path, line]
        return with_line / sqrt(failures * (with_line + passed[path, line]))

    suspects = [
        Suspect(*place, tuple((line, score(place[0], line)) for line in sorted(lines)))
        for place, lines in functions.items()
    ]
    inside = [suspect for suspect in suspects if suspect.function != _MODULE]
    return sorted(inside or suspects, key=_order)


def _order(suspect: Suspect) -> tuple[float, float, str, int]:
    mean = sum(score for _, score in suspect.lines) / len(suspect.lines)
    return (-round(suspect.score, 2), -round(mean, 2), suspect.path, suspect.first_line)


def render_suspects(suspects: Sequence[Suspect], limit: int = 10) -> str:
    """The suspects as a section for a model: one line each, with the suspicion of its lines."""
    entries = [
        f"- {each.path}:{each.first_line}-{each.last_line} {each.function}: "
        f"lines {_spans(each.lines)}"
        for each in suspects[:limit]
    ]
    return "\n".join([HEADING, *entries])


def _spans(lines: Sequence[tuple[int, float]]) -> str:
    """`3-5 (1.00), 7 (0.50)`: neighbours of one suspicion together."""
    shown = []
    numbered = enumerate(lines)
    for _, group in groupby(numbered, key=lambda item: (item[1][0] - item[0], f"{item[1][1]:.2f}")):
        members = [line for _, line in group]
        (first, score), (last, _) = members[0], members[-1]
        span = str(first) if first == last else f"{first}-{last}"
        shown.append(f"{span} ({score:.2f})")
    return ", ".join(shown)


def parse_suspects(text: str) -> list[Suspect]:
    """The suspects of the last such section in `text`; none where there is no section."""
    _, heading, section = text.rpartition(HEADING)
    if not heading:
        return []
    suspects = []
    for line in section.strip("\n").split("\n"):
        found = _ENTRY.fullmatch(line)
        if not found:
            break
        suspects.append(
            Suspect(
                found["path"],
                found["function"],
                int(found["first"]),
                int(found["last"]),
                tuple(_expanded(found["lines"])),
            )
        )
    return suspects


def _expanded(spans: str) -> list[tuple[int, float]]:
    expanded = (
        (line, float(score))
        for first, last, score in _SPAN.findall(spans)
        for line in range(int(first), int(last or first) + 1)
    )
    return list(islice(expanded, _MOST_LINES))
