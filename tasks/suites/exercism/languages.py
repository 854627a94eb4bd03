"""How an exercise is tested in each language, and how its tests are called."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tasks.suites.exercism.exercise import Exercise
from tasks.suites.folders import Found
from tasks.suites.pytestids import UntoldError, told_ids

Files = Mapping[str, Found]
_UNESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class Language:
    """One language's way of testing.

    `command` and `expected` (the ids that have to pass, as far as the tests' text tells them) are
    told by an exercise and its tests as they are run. `unskip` are patterns, with what takes their
    place, of what keeps a test from running until a learner is ready for it. `tools` are Debian
    packages beside those that the files ask for. With `in_folder`, an exercise has to lie in a
    folder of its name. `lacks` says what no image of ours has.
    """

    name: str
    framework: str
    command: Callable[[Exercise], str]
    expected: Callable[[Exercise, Files], Iterator[str]]
    unskip: tuple[tuple[str, str], ...] = ()
    tools: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    in_folder: bool = False
    lacks: str = ""
    image_files: Callable[[Files], Files] = field(default=lambda files: files)

    def run_tests(self, exercise: Exercise) -> dict[str, Found]:
        """The tests as they are run: all of them."""
        return {path: self._unskipped(file) for path, file in exercise.tests.items()}

    def _unskipped(self, file: Found) -> Found:
        text = file.content
        for pattern, place in self.unskip:
            text = re.sub(pattern.encode(), place.encode(), text)
        return Found(text, file.mode)


def _python_command(exercise: Exercise) -> str:
    tests = [
        path for path in exercise.tests if re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", path)
    ]
    return shlex.join(["python3", "-m", "pytest", *sorted(tests)])


def _python_ids(exercise: Exercise, tests: Files) -> Iterator[str]:
    for path, file in tests.items():
        if path.endswith(".py"):
            try:
                yield from told_ids(path, file.text)
            except UntoldError:  # every test counts all the same: see docs/suites.md
                continue


def _rust_ids(exercise: Exercise, tests: Files) -> Iterator[str]:
    for path, file in tests.items():
        if re.fullmatch(r"tests/[^/]+\.rs", path):
            for name in re.findall(r"#\[test\]\s*(?:#\[[^\n]*\]\s*)*fn (\w+)", file.text):
                yield f"{path}::{name}"


def _go_ids(exercise: Exercise, tests: Files) -> Iterator[str]:
    manifest = exercise.files.get("go.mod", Found(b"")).text
    module = re.search(r"(?m)^module\s+(\S+)", manifest)
    for path, file in tests.items():
        if module and re.fullmatch(r"[^/]+_test\.go", path):
            for name in re.findall(r"(?m)^func (Test\w+)\(\w+ \*testing\.T\)", file.text):
                if name != "TestMain":
                    yield f"{module[1]}::{name}"


def _javascript_packages(files: Files) -> Files:
    """The files with the packages that tests need, under the same names for all exercises of a
    track, so that they share one image."""
    try:
        found = json.loads(files["package.json"].content)
        listed = {**found.get("dependencies", {}), **found.get("devDependencies", {})}
    except (KeyError, ValueError, AttributeError, TypeError, RecursionError):
        return files
    needed = {name: text for name, text in listed.items() if not re.search("eslint|prettier", name)}
    manifest = {"name": "exercise", "private": True, "devDependencies": needed}
    return {**files, "package.json": Found(json.dumps(manifest, sort_keys=True).encode())}


def _cpp_command(exercise: Exercise) -> str:
    folder = shlex.quote(exercise.name)
    return (
        f"cmake -S {folder} -B build -DEXERCISM_RUN_ALL_TESTS=1 && "
        f"cmake --build build --target {folder} && "
        f"./build/{folder} --reporter junit --out junit.xml"
    )


def _cpp_ids(exercise: Exercise, tests: Files) -> Iterator[str]:
    for path, file in tests.items():
        if not path.endswith("_test.cpp"):
            continue
        for case in file.text.split("TEST_CASE(")[1:]:
            name = re.match(r'\s*"((?:[^"\\]|\\.)*)"', case)
            # A case with sections has an id for each of them, which a run makes.
            if name and "SECTION(" not in case:
                called = _UNESCAPED.sub(r"\1", name[1])
                yield f"{exercise.name}.global::{called}"


def _none(exercise: Exercise, tests: Files) -> Iterator[str]:
    return iter(())


LANGUAGES = {
    language.name: language
    for language in (
        Language("python", "pytest", _python_command, _python_ids),
        Language(
            "rust",
            "cargo",
            lambda _: "cargo test --offline -- --include-ignored",
            _rust_ids,
            ignored=("target/", "Cargo.lock"),
        ),
        Language("go", "go", lambda _: "go test ./...", _go_ids),
        Language(
            "javascript",
            "node",
            lambda _: "jest --verbose",
            _none,
            unskip=((r"\bxtest\(", "test("), (r"\bxit\(", "it("), (r"\bxdescribe\(", "describe(")),
            ignored=("node_modules/",),
            image_files=_javascript_packages,
        ),
        Language(
            "cpp",
            "unknown",
            _cpp_command,
            _cpp_ids,
            tools=("cmake", "g++", "make", "libboost-date-time-dev"),
            ignored=("build/", "junit.xml"),
            in_folder=True,
        ),
        Language(
            "java",
            "gradle",
            lambda _: "gradle --offline test",
            _none,
            lacks="its tests need a Gradle with their artifacts, which no image of Greenroom's has",
        ),
    )
}
#: What else the languages are called.
OTHER_NAMES = {"c++": "cpp", "js": "javascript", "golang": "go"}
