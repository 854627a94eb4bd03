"""What the job that runs code hands to the job that writes: a patch and what was found of it.

The file is data from a place that is not trusted to write; `agent.bot.publish` judges all of it
anew against the rules of the default branch. The format is JSON, `greenroom.proposal/1`.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from sandbox.errors import UsageError
from sandbox.patch import Change, Patch, check_patch, printable

SCHEMA = "greenroom.proposal/1"
FILE = "proposal.json"
#: A patch of the largest size that rules may allow, in base64, and the texts beside it.
MOST_BYTES = 64 << 20

#: `not reproduced`: the tests that failed elsewhere pass in the sandbox. `broken`: no attempt could
#: be made or ended, and the reason is not the model's.
#: What a verdict that solves is worth, the weakest first.
GRADES = ("regression-only", "reproduced", "proved")
Status = Literal["solved", "not solved", "nothing to do", "not reproduced", "stopped", "broken"]


@dataclass(frozen=True)
class Tests:
    """A run of the tests: ids of those that failed, and how many passed."""

    failing: tuple[str, ...] = ()
    passing: int = 0


@dataclass(frozen=True)
class Proposal:
    """One attempt's end. `key` is the trigger's. `commit` is what the patch is made for, on
    `branch`. `grade`, `before`, `after` and `added_tests` (tests of the patch, red before and green
    after) come from clean rooms. `summary` is the model's own words, to be shown as such.
    `seconds`, `tokens` and `cost` (US dollars, None where unknown) are the whole attempt's.
    """

    key: str
    status: Status
    reason: str
    branch: str
    commit: str
    patch: Patch = field(default_factory=lambda: Patch(()))
    diff: str = ""
    grade: str = ""
    verdict: str = ""
    before: Tests = Tests()
    after: Tests = Tests()
    repaired: tuple[str, ...] = ()
    added_tests: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    summary: str = ""
    model: str = ""
    run: str = ""
    version: str = ""
    turns: int = 0
    seconds: float = 0.0
    tokens: int = 0
    cost: float | None = None

    def write(self, folder: Path) -> Path:
        """Writes the proposal into `folder` and returns the file."""
        path = folder / FILE
        text = json.dumps(self.as_data(), ensure_ascii=True, indent=1, allow_nan=False)
        path.write_text(text + "\n", "ascii")
        return path

    def as_data(self) -> dict[str, Any]:
        own = {name: value for name, value in vars(self).items() if name not in _OWN}
        return {
            "schema": SCHEMA,
            **{name: list(v) if isinstance(v, tuple) else v for name, v in own.items()},
            "before": {"failing": list(self.before.failing), "passing": self.before.passing},
            "after": {"failing": list(self.after.failing), "passing": self.after.passing},
            "patch": [_written(change) for change in self.patch],
        }


_OWN = {"patch", "before", "after"}
_TEXTS = ("key", "status", "reason", "branch", "commit", "diff", "grade", "verdict")
_KINDS: dict[str, Any] = {
    **dict.fromkeys((*_TEXTS, "summary", "model", "run", "version"), str),
    **dict.fromkeys(("turns", "tokens"), int),
    "seconds": int | float,
    "cost": int | float | None,
    "patch": list,
    "before": dict,
    "after": dict,
}
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def _written(change: Change) -> dict[str, Any]:
    content = None if change.content is None else base64.b64encode(change.content).decode("ascii")
    return {"path": change.path, "mode": change.mode, "content": content}


def read(folder: Path) -> Proposal:
    """The proposal in `folder`. Raises UsageError for a file that is none, whatever is wrong."""
    path = folder / FILE
    try:
        with path.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except OSError as problem:
        raise UsageError(
            f"cannot read {path}: {problem.strerror}",
            "The job that proposes writes it; did it run, and was its artifact fetched?",
        ) from None
    if len(raw) > MOST_BYTES:
        raise UsageError(f"{path} is larger than any proposal: over {MOST_BYTES >> 20} MiB")
    try:
        data = json.loads(raw)
        return _proposal(data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        said = printable(str(problem))[:300]
        raise UsageError(f"{path} is no {SCHEMA}: {type(problem).__name__}: {said}") from None


def _proposal(data: dict[str, Any]) -> Proposal:
    if data.pop("schema") != SCHEMA:
        raise ValueError("it names another schema")
    values = dict(data)
    for name, kind in _KINDS.items():
        value = values[name]
        if isinstance(value, bool) or not isinstance(value, kind):
            raise ValueError(f"{name} is no {kind}")
    for name in ("repaired", "added_tests", "notes"):
        values[name] = _texts(values[name], name)
    if values["status"] not in get_args(Status):
        raise ValueError("status is none that there is")
    if values["grade"] not in (GRADES if values["status"] == "solved" else ("", *GRADES)):
        raise ValueError("grade is none that there is")
    if not _COMMIT.fullmatch(values["commit"]):
        raise ValueError("commit is no commit's id")
    patch = Patch(tuple(_change(entry) for entry in values["patch"]))
    check_patch(patch)
    return Proposal(
        **{
            **values,
            "patch": patch,
            "before": _tests(values["before"]),
            "after": _tests(values["after"]),
        }
    )


def _texts(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name} is no list of texts")
    return tuple(value)


def _tests(data: dict[str, Any]) -> Tests:
    passing = data["passing"]
    if isinstance(passing, bool) or not isinstance(passing, int):
        raise ValueError("passing is no number")
    return Tests(_texts(data["failing"], "failing"), passing)


def _change(entry: dict[str, Any]) -> Change:
    path, mode, content = entry["path"], entry["mode"], entry["content"]
    if not isinstance(path, str) or not isinstance(mode, int | None):
        raise ValueError("a change has no path or mode")
    if content is None or mode is None:
        if content is not None or mode is not None:
            raise ValueError(f"{path!r} is neither written nor deleted")
        return Change(path, None, None)
    try:
        return Change(path, mode, base64.b64decode(content, validate=True))
    except binascii.Error as problem:
        raise ValueError(f"{path!r}: {problem}") from None
