"""The bundled suite: small packages of our own, each with one known defect.

A task is a folder here: `repo/` is what a model gets, `task.toml` says what is asked and what the
defect is, `gold.patch` repairs it. Only `repo/` and the instruction ever reach a model.
"""

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from sandbox.errors import UsageError
from sandbox.image import ImageSpec
from sandbox.patch import FILE
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks.protection import forbidden_patterns, protected_patterns
from tasks.suites.suite import check_name
from tasks.task import Checks, Task

# An installer compiles the packages of a suite, and whoever runs their tests leaves caches.
_LEFTOVERS = ("__pycache__", ".pytest_cache")
_IGNORED = ("__pycache__/", "*.pyc", ".pytest_cache/")
# These tests take well under a second: more means that a change made them hang.
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Metadata:
    """What is known about a task; everything but the instruction is hidden from the model.

    `size` is the number of lines that the gold patch adds or removes, whichever are more; 0 for
    a task that nobody can solve. `expected_failing` are the ids of the tests that the defect
    breaks, and which have to pass in the end.
    """

    title: str
    instruction: str
    kind: str
    size: int
    difficulty: str
    solvable: bool
    test_command: str
    expected_failing: tuple[str, ...]


class Starter:
    """The bundled suite as a `tasks.suites.suite.Suite`."""

    reference = "starter"

    @property
    def version(self) -> str:
        digest = hashlib.sha256()
        for path, content in _contents(files(__name__)):
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        return f"sha256:{digest.hexdigest()}"

    def names(self) -> tuple[str, ...]:
        return names()

    def load(self, name: str, store: TreeStore) -> Task:
        return load(name, store)

    def gold(self, name: str) -> bytes | None:
        return gold(name)


def open_suite(place: str) -> Starter:
    """The suite. Raises UsageError for a place, since it is bundled."""
    if place:
        raise UsageError("The starter suite is bundled and has no path.", "Write: starter")
    return Starter()


def names() -> tuple[str, ...]:
    """The names of all tasks, sorted."""
    folders = files(__name__).iterdir()
    return tuple(sorted(each.name for each in folders if each.joinpath("task.toml").is_file()))


def metadata(name: str) -> Metadata:
    """What `task.toml` says. Raises UsageError when there is no such task."""
    fields = tomllib.loads(_folder(name).joinpath("task.toml").read_text(encoding="utf-8"))
    fields["expected_failing"] = tuple(fields["expected_failing"])
    return Metadata(**fields)


def load(name: str, store: TreeStore) -> Task:
    """The task of that name, its base put into `store`. Raises UsageError for other names."""
    known = metadata(name)
    tree = store.add_tree(
        (path, FILE, content) for path, content in _contents(_folder(name).joinpath("repo"))
    )
    return Task(
        id=f"starter/{name}",
        instruction=known.instruction,
        base=Base(store, tree, (("", _IGNORED),)),
        image=ImageSpec(),
        checks=Checks(
            test_command=known.test_command,
            framework="pytest",
            timeout=_TIMEOUT,
            expected=known.expected_failing,
            protected=protected_patterns("python"),
            forbidden_additions=forbidden_patterns("python"),
        ),
        policy=Policy(),
    )


def gold(name: str) -> bytes | None:
    """The reference solution as a unified diff; None for the task that has no solution. Raises
    UsageError when there is no such task."""
    patch = _folder(name).joinpath("gold.patch")
    return patch.read_bytes() if patch.is_file() else None


def _folder(name: str) -> Traversable:
    check_name(name, names(), "task in the starter suite called")
    return files(__name__).joinpath(name)


def _contents(folder: Traversable, place: str = "") -> Iterator[tuple[str, bytes]]:
    """The files below a folder, by paths relative to it."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name in _LEFTOVERS:
            continue
        if entry.is_dir():
            yield from _contents(entry, f"{place}{entry.name}/")
        else:
            yield f"{place}{entry.name}", entry.read_bytes()
