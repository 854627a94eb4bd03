"""The twins of a task's tests, made file by file, and what a run of them says."""

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sandbox.patch import FILE, Change, Patch
from sandbox.trees import Base
from tasks.task import FAILING, PASSING, TestReport, TestResult
from tasks.twins.data import alike, file_of
from tasks.twins.twin import TestModule, Twin

#: A test function: its file, and its name with those of its classes.
Key = tuple[str, str]
Make = Callable[[Key, TestModule, random.Random], Twin]
LARGEST_FILE = 1 << 20


@dataclass(frozen=True)
class Round:
    """Twins of tests, each function's with the name that it had, and the files that hold them.
    `alike` are the functions that expect what they did, and have to pass."""

    twins: Mapping[Key, Twin]
    patch: Patch
    alike: frozenset[Key] = frozenset()

    def passed(self, report: TestReport) -> frozenset[Key]:
        """The functions of which a case passed."""
        return self._with(report, PASSING)

    def failed(self, report: TestReport) -> frozenset[Key]:
        """The functions that expect something wrong and of which all cases that ran failed."""
        failed = self._with(report, FAILING) - self.passed(report)
        return frozenset(key for key in failed if self.twins[key].site is not None)

    def _with(self, report: TestReport, statuses: Collection[str]) -> frozenset[Key]:
        keys = (key_of(r) for r in report.results.values() if r.status in statuses)
        return frozenset(key for key in keys if key in self.twins)


@dataclass
class Modules:
    """The files of tests as they stand in the tested tree, those of `hidden` before the base's."""

    base: Base
    hidden: Patch
    _known: dict[str, TestModule | None] = field(default_factory=dict)

    def get(self, path: str) -> TestModule | None:
        """A file's tests; None where it cannot be read as Python."""
        if path not in self._known:
            self._known[path] = self._read(path)
        return self._known[path]

    def _read(self, path: str) -> TestModule | None:
        given = {change.path: change.content for change in self.hidden}
        entry = self.base.entries.get(path)
        if path in given:
            content = given[path] or b""
        elif entry is not None and entry.size <= LARGEST_FILE:
            (content,) = self.base.store.read([entry.blob])
        else:
            return None
        try:
            return TestModule(content)
        except (ValueError, SyntaxError, RecursionError):
            return None

    def pairs(self, path: str) -> tuple[str, bytes] | None:
        """The file of pairs of a module of tests, and what is in it; None where there is none."""
        name = file_of(path, self.base.entries)
        entry = self.base.entries.get(name)
        if entry is None or entry.size > LARGEST_FILE or name in self.hidden.paths:
            return None
        return name, b"".join(self.base.store.read([entry.blob]))

    def round(self, keys: Iterable[Key], seed: str, make: Make) -> Round:
        """A twin of each function. Its draws depend on the seed and its file only. Files whose
        edits make no sense together stay as they are, without twins. Of twins by data, the first's
        counts for all in the file."""
        files: dict[str, list[str]] = {}
        for path, name in sorted(keys):
            files.setdefault(path, []).append(name)
        twins: dict[Key, Twin] = {}
        changes = []
        for path, names in files.items():
            module = self.get(path)
            if module is None:
                raise AssertionError(f"{path} has no tests")
            draw = random.Random(f"{seed} {path}")  # noqa: S311 - the seed is from secrets
            made = {(path, name): make((path, name), module, draw) for name in names}
            edits = [edit for twin in made.values() for edit in twin.edits]
            try:
                content = module.source.edited(edits)
            except (SyntaxError, ValueError, RecursionError):
                content = module.source.content
            else:
                twins |= made
            entry = self.base.entries.get(path)
            changes.append(Change(path, entry.mode if entry else FILE, content))
            given = self.pairs(path)
            if given is not None:
                data = [twin.data for twin in made.values() if twin.data]
                changes.append(Change(given[0], FILE, data[0] if data else alike(given[1])))
        return Round(
            {key: twin for key, twin in twins.items() if twin.wrong},
            Patch(tuple(changes)),
            frozenset(key for key, twin in twins.items() if not twin.wrong),
        )


def key_of(result: TestResult) -> Key:
    """The function of a test. pytest has names behind `::`, unittest behind dots."""
    name = result.id.partition("[")[0]
    if "::" in name:
        return result.file or "", "::".join(name.split("::")[1:])
    return result.file or "", "::".join(name.split(".")[-2:])


def by_function(report: TestReport, ids: Iterable[str]) -> dict[Key, list[str]]:
    """Tests by their function, those whose file is known."""
    found: dict[Key, list[str]] = {}
    for id in ids:
        result = report.results[id]
        if result.file is not None:
            found.setdefault(key_of(result), []).append(id)
    return found


def failing_line(result: TestResult | None) -> int | None:
    """The line of a test's own file at which it failed."""
    frames = result.frames if result else ()
    return next((frame.line for frame in frames if result and frame.path == result.file), None)
