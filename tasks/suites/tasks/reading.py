"""A suite's file, TOML or JSONL: its fields, checked one by one. See docs/suites.md for them.

The file may come from a stranger, so what a task names beside it lies below the file's folder; a
repository may lie elsewhere, and then needs its commit named by its digits, which nobody knows who
does not have it.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import UsageError
from tasks.files import KINDS, Kind, check_value

#: Fields of a task file that mean the same here.
SHARED = (
    *("test_cmd", "quick_test_cmd", "lint_cmd", "rebuild", "test_timeout", "expected", "protected"),
    *("forbidden_additions", "exclude", "image", "python", "apt", "pip", "setup"),
    *("memory", "workspace_size", "cpus", "pids"),
)
OWN: Mapping[str, Kind] = {
    "id": "text",
    "instruction": "text",
    "base": "folder",
    "repository": "folder",
    "commit": "text",
    "gold": "file",
    "hidden": "text",
    "visible": "truth",
    "tries": "whole",
    "per_test_timeout": "number",
}
FIELDS: Mapping[str, Kind] = {**OWN, **{name: KINDS.get(name, "text") for name in SHARED}}
#: What one task has and others cannot share.
SINGLE = ("id", "instruction", "gold", "hidden", "expected")
#: Fields of task files that a suite leaves to who runs it.
LEFT = {
    "network": "whoever runs a suite says what its tasks may reach: --network",
    "dockerfile": "build it and name the image: image",
    "include": "a base is a folder or a commit, all of it",
}
MOST_BYTES = 64 << 20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Given:
    """One task as the file gives it: its place for messages, its fields with the defaults."""

    where: str
    values: Mapping[str, Any]

    @property
    def id(self) -> str:
        found = self.values.get("id")
        return found if isinstance(found, str) else ""


def read(path: Path) -> list[Given]:
    """The tasks of a file, unchecked. Raises UsageError for one that cannot be read or has none."""
    text = _text(path)
    tasks = _jsonl(path, text) if path.suffix in (".jsonl", ".ndjson") else _toml(path, text)
    if not tasks:
        raise UsageError(f"{path} has no tasks.", "Write one: [[task]] in TOML, a line in JSONL.")
    return tasks


def problems(path: Path, given: Given, taken: Mapping[str, str]) -> Iterator[UsageError]:
    """All that is wrong with a task's fields; `taken` are the places of ids that came before."""
    home = path.absolute().parent
    values = given.values
    for name, raw in values.items():
        place = f"{given.where}: {name}"
        if name in LEFT:
            yield UsageError(f"{place}: a suite may not set it.", f"{LEFT[name].capitalize()}.")
        elif name not in FIELDS:
            close = difflib.get_close_matches(name, FIELDS, n=1, cutoff=0.5)
            near = f"; did you mean {close[0]!r}?" if close else "."
            yield UsageError(
                f"{given.where}: there is no field {name!r}{near}", f"Fields: {', '.join(FIELDS)}."
            )
        else:
            yield from _wrong_value(place, name, raw, home)
    for name in ("id", "instruction"):
        if name not in values:
            yield UsageError(f"{given.where}: the field {name!r} is missing.")
    if given.id in taken:
        yield UsageError(
            f"{given.where}: id: {given.id!r} is taken by {taken[given.id]}.", "Give it another."
        )
    if ("base" in values) == ("repository" in values):
        yield UsageError(
            f"{given.where}: give either `base`, a folder, or `repository` with `commit`.",
            'base = "bases/calendar", or repository = "../calendar" and commit = "1a2b3c4".',
        )
    elif ("repository" in values) != ("commit" in values):
        yield UsageError(f"{given.where}: `repository` and `commit` need each other.")
    if "expected" not in values and "hidden" not in values:
        yield UsageError(
            f"{given.where}: neither `expected` nor `hidden` says which tests have to pass.",
            'Name the tests: expected = ["tests/test_dates.py::test_leap_year"].',
        )


def checked(path: Path, given: Given) -> dict[str, Any]:
    """A task's fields as they are used. Raises the first of `problems`."""
    for problem in problems(path, given, {}):
        raise problem
    home = path.absolute().parent
    return {
        name: home / raw
        if name == "hidden"
        else check_value(f"{given.where}: {name}", raw, FIELDS[name], home)
        for name, raw in given.values.items()
    }


def _wrong_value(place: str, name: str, raw: object, home: Path) -> Iterator[UsageError]:
    try:
        value = check_value(place, raw, FIELDS[name], home)
    except UsageError as problem:
        yield problem
        return
    if name == "id" and not NAME.fullmatch(value):
        yield UsageError(
            f"{place}: {value!r} is no name of a task.", "Letters, digits and ._- make one."
        )
    if name == "commit" and not re.fullmatch(r"[0-9a-f]{7,64}", value):
        yield UsageError(
            f"{place}: {value!r} is not a commit by its digits.", "See `git rev-parse COMMIT`."
        )
    if name in ("base", "gold", "hidden"):
        found = home / value
        if name == "hidden" and not found.exists():
            yield UsageError(f"{place}: there is neither a folder nor a file {found}.")
        elif not found.resolve().is_relative_to(home.resolve()):
            yield UsageError(
                f"{place}: {raw} does not lie below the suite's folder {home}.", "Copy it there."
            )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UsageError(f"{path} is larger than any suite: over {MOST_BYTES >> 20} MiB.")
        return content.decode("utf-8")
    except OSError as problem:
        raise UsageError(
            f"The suite {path} cannot be read: {problem.strerror}.",
            f"Name a file of tasks, in TOML or JSONL, as tasks:{path / 'suite.toml'}."
            if path.is_dir()
            else "Name a file of tasks, in TOML or JSONL.",
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text in UTF-8.") from None


def _jsonl(path: Path, text: str) -> list[Given]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise UsageError(f"{where} is not valid JSON: {problem}", "Mend it.") from None
        if not isinstance(values, dict):
            raise UsageError(f"{where} is no object.", "Each line is one task.")
        found.append(Given(_where(where, values), values))
    return found


def _toml(path: Path, text: str) -> list[Given]:
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as problem:
        said = str(problem) if isinstance(problem, ValueError) else "nested too deeply"
        raise UsageError(f"{path} is not valid TOML: {said}", "Mend the file.") from None
    for name in table:
        if name not in ("task", "defaults"):
            raise UsageError(
                f"{path}: there is no {name!r} in a suite.",
                "It has [[task]] tables, and [defaults] for fields that they share.",
            )
    tasks, defaults = table.get("task", []), table.get("defaults", {})
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise UsageError(f"{path}: task: expected tables.", "Write each as [[task]].")
    if not isinstance(defaults, dict):
        raise UsageError(f"{path}: defaults: expected a table.", "Write it as [defaults].")
    for name in SINGLE:
        if name in defaults:
            raise UsageError(f"{path}: defaults: {name} is each task's own.")
    return [
        Given(_where(f"{path}: task {number}", task), {**defaults, **task})
        for number, task in enumerate(tasks, 1)
    ]


def _where(place: str, values: Mapping[str, Any]) -> str:
    id = values.get("id")
    return f"{place} ({id})" if isinstance(id, str) and id.isprintable() else place
