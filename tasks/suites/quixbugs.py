"""QuixBugs from a plain checkout: small Python programs, each with one defect in one line.

A task is one program with what its tests need and nothing else of the checkout: no other program,
no correct version, no history. See docs/suites.md.
"""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from sandbox.errors import UsageError
from sandbox.image import ImageSpec
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks.protection import exactly, forbidden_patterns, protected_patterns
from tasks.suites.folders import IGNORED, Found, diff, open_folder, read_folder, version_of
from tasks.suites.pytestids import UntoldError, told_ids
from tasks.suites.suite import Unsupported, check_name
from tasks.task import Checks, Task

PROGRAMS, CORRECT = "python_programs", "correct_python_programs"
TESTS, CASES = "python_testcases", "json_testcases"
_FOLDERS = tuple(f"{folder}/" for folder in (PROGRAMS, CORRECT, TESTS, CASES))
# A test of a correct program takes milliseconds, but for one that takes some 3 s; some defects
# have no end.
TEST_SECONDS = 10.0
RUN_SECONDS = 900.0
_INSTRUCTION = """\
{program} has a defect, in one line: its tests in {tests} do not all pass. Find the defect and \
repair it. Change no other file."""
_DESCRIBED = " The text in that file says what the program is to do."


def open_suite(place: str) -> "QuixBugs":
    """The suite in the checkout at `place`. Raises UsageError when it is none."""
    top = open_folder("quixbugs", place)
    for folder in (PROGRAMS, CORRECT, TESTS):
        if not (top / folder).is_dir():
            raise UsageError(
                f"{top} is no checkout of QuixBugs: it has no folder {folder}.",
                f"Name the folder that {PROGRAMS}, {CORRECT} and {TESTS} are in.",
            )
    return QuixBugs(top)


class QuixBugs:
    """The programs of one checkout as a `tasks.suites.suite.Suite`."""

    def __init__(self, top: Path) -> None:
        self.reference = f"quixbugs:{top}"
        self._top = top

    @cached_property
    def version(self) -> str:
        return version_of(self._top)

    @cached_property
    def _files(self) -> Mapping[str, Found]:
        """What tasks are made of: the Python and JSON files in the folders above, and conftest."""
        return {
            path: file
            for path, file in read_folder(self._top).items()
            if path == "conftest.py"
            or (path.startswith(_FOLDERS) and path.endswith((".py", ".json")))
        }

    def names(self) -> tuple[str, ...]:
        return tuple(
            name
            for path in sorted(self._files)
            if path.startswith(f"{PROGRAMS}/") and path.count("/") == 1
            for name in [path.removeprefix(f"{PROGRAMS}/").removesuffix(".py")]
            # A name is a folder of a run, and a line of what is printed.
            if name.isidentifier()
            and f"{CORRECT}/{name}.py" in self._files
            and f"{TESTS}/test_{name}.py" in self._files
        )

    def load(self, name: str, store: TreeStore) -> Task:
        self._check(name)
        program, tests = f"{PROGRAMS}/{name}.py", f"{TESTS}/test_{name}.py"
        if _meaning(self._files[program]) == _meaning(self._files[f"{CORRECT}/{name}.py"]):
            raise Unsupported(f"{name}: the program is the correct one; there is no defect.")
        base = self._base(name)
        tree = store.add_tree((path, file.mode, file.content) for path, file in base.items())
        given = [path for path in base if path != program]
        return Task(
            id=f"quixbugs/{name}",
            instruction=_instruction(program, tests, self._files[program].text),
            base=Base(store, tree, (("", IGNORED),)),
            image=ImageSpec(),
            checks=Checks(
                test_command=f"python3 -m pytest {tests}",
                framework="pytest",
                timeout=RUN_SECONDS,
                per_test_timeout=TEST_SECONDS,
                expected=self._expected(name),
                protected=protected_patterns("python", map(exactly, given)),
                forbidden_additions=forbidden_patterns("python"),
            ),
            policy=Policy(),
        )

    def gold(self, name: str) -> bytes | None:
        self._check(name)
        program = f"{PROGRAMS}/{name}.py"
        correct = self._files[f"{CORRECT}/{name}.py"]
        return diff({program: self._files[program]}, {program: Found(correct.content)})

    def _check(self, name: str) -> None:
        check_name(name, self.names(), "program with tests in this checkout called")

    def _base(self, name: str) -> dict[str, Found]:
        """The program, its tests, their data, and what any of these import of the checkout, but
        for the correct versions."""
        wanted = ["conftest.py", f"{PROGRAMS}/{name}.py", f"{TESTS}/test_{name}.py"]
        wanted += [f"{CASES}/{name}.json", f"{TESTS}/conftest.py", f"{TESTS}/__init__.py"]
        wanted += [f"{PROGRAMS}/__init__.py"]
        base: dict[str, Found] = {}
        while wanted:
            path = wanted.pop()
            if path in self._files and path not in base:
                base[path] = self._files[path]
                wanted += self._imported(path)
        return dict(sorted(base.items()))

    def _imported(self, path: str) -> Iterator[str]:
        """The files that one may import: from its own folder, or by a folder's name."""
        folder = path.rpartition("/")[0]
        for module in _imports(self._files[path].text) if path.endswith(".py") else ():
            place = module.replace(".", "/")
            for found in (f"{folder}/{place}.py", f"{place}.py"):
                if not found.startswith(f"{CORRECT}/"):
                    yield found

    def _expected(self, name: str) -> tuple[str, ...]:
        path = f"{TESTS}/test_{name}.py"
        try:
            ids = told_ids(path, self._files[path].text, lambda _: self._cases(name))
        except UntoldError as error:
            raise Unsupported(f"{name}: {error}, so nothing says which have to pass.") from None
        if not ids:
            raise Unsupported(f"{name}: {path} has no test that has to pass.")
        return ids

    def _cases(self, name: str) -> Sequence[Any] | None:
        """The program's cases, one a line of its JSON file."""
        file = self._files.get(f"{CASES}/{name}.json")
        if file is None:
            return None
        try:
            return [json.loads(line) for line in file.text.split("\n") if line.strip()]
        except (ValueError, RecursionError):
            return None


def _instruction(program: str, tests: str, source: str) -> str:
    described = '"""' in source or "'''" in source
    return _INSTRUCTION.format(program=program, tests=tests) + (_DESCRIBED if described else "")


def _imports(source: str) -> Iterator[str]:
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}".lstrip(".") for alias in node.names)


def _meaning(file: Found) -> str:
    """A program without its texts and comments."""
    try:
        tree = ast.parse(file.text)
    except (SyntaxError, ValueError, RecursionError):
        return file.text
    tree.body = [node for node in tree.body if not _is_text(node)]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
