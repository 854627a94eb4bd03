"""Suites of our own, each a TOML or JSONL file: `tasks:FILE`. docs/suites.md has the format."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sandbox.errors import PatchError, UsageError
from sandbox.patch import Patch, check_patch
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks.files import additions
from tasks.repository import Overrides, base_limits, detect, task_on
from tasks.revision import base_of_commit
from tasks.suites.folders import IGNORED, read_folder
from tasks.suites.suite import check_name
from tasks.suites.tasks.reading import Given, checked, problems, read
from tasks.task import Checks, Task
from tasks.workspace import check_limits

#: The policy's names of what a suite may set beside the memory.
LIMITS = {"workspace_size": "workspace_bytes", "cpus": "cpus", "pids": "pids"}


def open_suite(place: str) -> "TaskSuite":
    """The suite in a file. Raises UsageError for one that cannot be read, or whose tasks cannot be
    told apart."""
    if not place:
        raise UsageError("The suite tasks is a file.", "Write: tasks:FILE")
    path = Path(place).expanduser().absolute()
    return TaskSuite(path, read(path))


def wrong(path: Path) -> list[UsageError]:
    """All that is wrong with the fields of a suite's tasks. Raises UsageError for a file that
    cannot be read at all."""
    found: list[UsageError] = []
    taken: dict[str, str] = {}
    for given in read(path):
        found += problems(path, given, taken)
        taken.setdefault(given.id, given.where)
    return found


class TaskSuite:
    """The tasks of one file as a `tasks.suites.suite.Suite`."""

    def __init__(self, path: Path, given: list[Given]) -> None:
        self.reference = f"tasks:{path}"
        self._path = path
        self._given = {one.id: one for one in given}
        if len(self._given) < len(given) or "" in self._given:
            raise UsageError(
                f"{path}: some tasks have no id, or the same one.",
                f"`greenroom bench validate {path}` says which.",
            )

    @cached_property
    def version(self) -> str:
        """A digest of all that the file and its tasks name; a commit is named by its digits."""
        digest = hashlib.sha256(self._path.read_bytes())
        home = self._path.parent
        for given in self._given.values():
            for name in ("base", "gold", "hidden"):
                place = given.values.get(name)
                if isinstance(place, str):
                    _add(digest, home, place)
        return f"sha256:{digest.hexdigest()}"

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._given))

    def load(self, name: str, store: TreeStore) -> Task:
        given = self._find(name)
        values = checked(self._path, given)
        policy = _policy(values)
        try:
            base = _base(values, store, policy)
            hidden = _hidden(values, base)
        except (UsageError, PatchError) as error:
            raise UsageError(f"{given.where}: {error.message}", error.hint) from error
        overrides = _overrides(values, hidden)
        detected = detect(base, overrides)
        task = task_on(
            base,
            detected,
            values["instruction"],
            overrides=overrides,
            policy=policy,
            id=f"{self._path.stem}/{name}",
        )
        return _with(task, values)

    def gold(self, name: str) -> bytes | None:
        values = checked(self._path, self._find(name))
        return values["gold"].read_bytes() if "gold" in values else None

    def _find(self, name: str) -> Given:
        check_name(name, self.names(), f"task in {self._path} called")
        return self._given[name]


def _add(digest: "hashlib._Hash", home: Path, place: str) -> None:
    folder = home / place
    files = read_folder(home, place) if folder.is_dir() else {}
    contents = {path: file.content for path, file in files.items()}
    if folder.is_file():
        contents[""] = folder.read_bytes()
    for path, content in sorted(contents.items()):
        digest.update(f"{place}\0{path}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)


def _policy(values: Mapping[str, Any]) -> Policy:
    policy = Policy.within(values["memory"]) if "memory" in values else Policy()
    policy = replace(policy, **{LIMITS[key]: values[key] for key in LIMITS if key in values})
    policy.check()
    return policy


def _base(values: Mapping[str, Any], store: TreeStore, policy: Policy) -> Base:
    """The tree that a task starts from, without any history."""
    limits = base_limits(policy)
    exclude = values.get("exclude", ())
    if "repository" in values:
        revision = base_of_commit(
            values["repository"], store, values["commit"], exclude=exclude, **limits
        )
        return revision.base
    files = read_folder(values["base"], exclude=exclude)
    check_limits({path: len(file.content) for path, file in files.items()}, **limits)
    tree = store.add_tree((path, file.mode, file.content) for path, file in sorted(files.items()))
    return Base(store, tree, (("", IGNORED),))


def _hidden(values: Mapping[str, Any], base: Base) -> Patch | None:
    """The tests that only the clean room adds: a folder's files, or a diff."""
    place = values.get("hidden")
    if place is None:
        return None
    if place.is_file():
        return base.store.from_diff(base.tree, place.read_bytes())
    patch = Patch(tuple(additions(place)))
    check_patch(patch)
    return patch


def _overrides(values: Mapping[str, Any], hidden: Patch | None) -> Overrides:
    names = (
        *("test_cmd", "quick_test_cmd", "lint_cmd", "rebuild", "test_timeout", "expected"),
        *("protected", "forbidden_additions", "exclude", "image", "python", "apt", "pip", "setup"),
    )
    return Overrides(**{name: values[name] for name in names if name in values}, hidden=hidden)


def _with(task: Task, values: Mapping[str, Any]) -> Task:
    """The task with what only a suite says of its checks."""
    names = ("visible", "tries", "per_test_timeout")
    own = {name: values[name] for name in names if name in values}
    if not own.get("visible", True):
        # What refuses a patch would tell of the tests.
        own.setdefault("tries", 1)
    checks: Checks = replace(task.checks, **own)
    return replace(task, checks=checks)
