"""A task made of a commit: its tests hidden, the rest of it the solution, the tree before it the
base."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.errors import UsageError
from sandbox.image import Image
from sandbox.patch import Patch
from sandbox.policy import Policy
from sandbox.scratch import scratch_folder
from sandbox.trees import TreeStore
from tasks.compare import failed_in
from tasks.discovery import Checkout, find_checkout
from tasks.protection import ELSEWHERE, matches
from tasks.repository import Overrides, base_limits, detect, task_on
from tasks.revision import base_of_commit, patch_between, resolve
from tasks.rooms import Rooms, side_by_side
from tasks.screening import is_test_path
from tasks.suites.examining import TIMES
from tasks.suites.tasks.reading import NAME, read
from tasks.task import Task, TestReport
from tasks.workspace import named

MOST_MESSAGE = 64 << 10


@dataclass(frozen=True)
class Draft:
    """A task whose expected tests are not known yet. `fields` are those of a suite's file."""

    task: Task
    gold: Patch
    fields: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def hidden(self) -> Patch:
        return self.task.checks.hidden or Patch()


@dataclass(frozen=True)
class Settled:
    """What runs showed: `expected` fail on the base and pass with the solution each time, `flaky`
    are tests that do now this and now that."""

    expected: tuple[str, ...]
    flaky: tuple[str, ...] = ()


def draft(
    folder: Path,
    name: str,
    store: TreeStore,
    *,
    id: str = "",
    instruction: str = "",
    given: Mapping[str, Any] | None = None,
) -> Draft:
    """The task of making the commit `name` again. `given` are fields of a suite's file, for what is
    not detected. Raises UsageError for a commit without a test, or with nothing else."""
    checkout = find_checkout(folder)
    commit = resolve(checkout, name)
    parent = _parent(checkout, commit)
    values = dict(given or {})
    overrides = Overrides(**values)
    base = base_of_commit(folder, store, parent, **base_limits(Policy())).base
    whole = patch_between(folder, store, base, commit)
    elsewhere = [path for path in whole.paths if matches(ELSEWHERE, path)]
    detected = detect(base, overrides)
    task = task_on(base, detected, instruction or _message(checkout, commit), overrides=overrides)
    hidden, gold = _parted(whole, task, elsewhere)
    if not hidden or not gold:
        lacks = "changes no test" if not hidden else "changes nothing but tests"
        raise UsageError(
            f"{commit[:12]} of {checkout.top} {lacks}, so no task can be made of it.",
            "Choose a commit that mends something and has a test for it.",
        )
    id = id or re.sub(r"[^A-Za-z0-9._-]+", "-", f"{checkout.top.name}-{commit[:8]}").lstrip("-._")
    if not NAME.fullmatch(id):
        raise UsageError(f"{id!r} is no name of a task.", "Letters, digits and ._- make one.")
    notes = [*task.notes]
    if elsewhere:
        notes.append(f"Left out, for it runs elsewhere: {named(elsewhere)}.")
    fields = {
        "id": id,
        "instruction": task.instruction,
        "repository": str(checkout.top),
        "commit": parent,
        "visible": False,
        "test_cmd": task.checks.test_command,
        **values,
    }
    checks = replace(task.checks, hidden=hidden, visible=False)
    return Draft(replace(task, id=id, checks=checks), gold, fields, tuple(notes))


async def settle(
    made: Draft, image: Image, *, progress: Callable[[str], None] | None = None
) -> Settled:
    """Find the tests that the solution is for, by running all of them on the base and on the
    solution three times. Raises UsageError where there are none, and as `Rooms.run` does."""
    before, after = [], []
    rooms = Rooms(made.task, image, progress, None)
    for number in range(1, TIMES + 1):
        told = f"run {number} of {TIMES}"
        base, gold = await side_by_side(
            rooms.run(f"the hidden tests on the base, {told}", made.hidden),
            rooms.run(f"the hidden tests on the solution, {told}", made.gold.merge(made.hidden)),
        )
        before.append(base.report)
        after.append(gold.report)
    broken = next((report for report in after if not report.complete), None)
    if broken is not None:
        raise UsageError(f"The tests do not run with the solution: {broken.reason}")
    return _settled(before, after)


def write(path: Path, made: Draft, expected: Sequence[str]) -> None:
    """Append the task to a suite's file, its patches in a folder beside. Raises UsageError for a
    file that is none, or has such a task already."""
    id = made.fields["id"]
    if path.exists() and any(one.id == id for one in read(path)):
        raise UsageError(f"{path} has a task {id!r} already.", "Give another name: --id NAME")
    store, base = made.task.base.store, made.task.base.tree
    fields = dict(made.fields)
    fields["repository"] = os.path.relpath(fields["repository"], path.absolute().parent)
    for kind, patch in (("gold", made.gold), ("hidden", made.hidden)):
        fields[kind] = f"patches/{id}.{kind}.patch"
        place = path.parent / fields[kind]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(store.diff(base, store.apply(base, patch)))
    fields["expected"] = list(expected)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    added = json.dumps(fields, ensure_ascii=False) + "\n"
    if path.suffix not in (".jsonl", ".ndjson"):
        added = "\n" * bool(text) + _toml(fields)
    with scratch_folder(beside=path.absolute().parent) as folder:
        whole = folder / path.name
        whole.write_text(text + "\n" * (text[-1:] not in ("", "\n")) + added, encoding="utf-8")
        os.replace(whole, path)


def _parent(checkout: Checkout, commit: str) -> str:
    try:
        return resolve(checkout, f"{commit}^")
    except UsageError:
        raise UsageError(
            f"{commit[:12]} is the first commit of {checkout.top}: there is nothing before it."
        ) from None


def _message(checkout: Checkout, commit: str) -> str:
    # The object itself: to show it, git would run what the repository's settings name.
    found = checkout.git.run("cat-file", "commit", commit)
    body = found.stdout.partition(b"\n\n")[2]
    text = body[:MOST_MESSAGE].decode("utf-8", "replace").strip()
    return text or "Make this repository's hidden tests pass."


def _parted(whole: Patch, task: Task, elsewhere: Sequence[str]) -> tuple[Patch, Patch]:
    """A commit's tests with what configures them, which no patch may change, and the rest."""
    kept = [path for path in whole.paths if path not in elsewhere]
    checks = task.checks
    tests = [
        path
        for path in kept
        if is_test_path(path)
        or matches(checks.protected, path)
        or matches(checks.forbidden_additions, path)
    ]
    return whole.only(tests), whole.only(path for path in kept if path not in tests)


def _settled(before: Sequence[TestReport], after: Sequence[TestReport]) -> Settled:
    ids = dict.fromkeys(id for report in after for id in report.results)
    expected, flaky = [], []
    for id in ids:
        passes = [id in report.passed for report in after]
        fails = [failed_in(report, id) or id not in report.results for report in before]
        if all(passes) and all(fails):
            expected.append(id)
        elif len(set(passes)) > 1 or len(set(fails)) > 1:
            flaky.append(id)
    if not expected:
        raise UsageError(
            "No test fails before the commit and passes with it, each of three times.",
            f"Flaky: {named(flaky)}." if flaky else "Choose another commit, or give --test-cmd.",
        )
    return Settled(tuple(expected), tuple(flaky))


def _toml(fields: Mapping[str, Any]) -> str:
    lines = ["[[task]]", *(f"{name} = {_value(value)}" for name, value in fields.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        items = "".join(f"    {_value(one)},\n" for one in value)
        return f"[\n{items}]" if items else "[]"
    # JSON's strings are TOML's, but for one character that JSON does not escape.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
