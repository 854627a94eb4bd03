"""One exercise of an Exercism track: which of its files are what, told by its `.meta/config.json`.

What a model may see is all that is neither a test nor below a folder whose name begins with a dot:
those hold the examples, the approaches and the words of the exercise.
"""

import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tasks.screening import is_test_path
from tasks.suites.folders import Found
from tasks.suites.suite import Unsupported

CONFIG = ".meta/config.json"
WORDS = tuple(
    f".docs/{name}.md" for name in ("introduction", "instructions", "instructions.append")
)
#: Where Java's examples lie as a tree of their own, and where that tree belongs.
REFERENCE, MAIN = ".meta/src/reference/", "src/main/"
#: A manifest that an example needs in the place of the exercise's own, for packages of others.
OTHER_MANIFEST = ".meta/Cargo-example.toml"
#: What decides on how tests run, so that nobody changes it, whatever a configuration says.
MANIFESTS = ("Cargo.toml", "go.mod", "package.json", "CMakeLists.txt")


@dataclass(frozen=True)
class Exercise:
    """An exercise's name and files, by their path in its folder.

    Raises Unsupported, from whatever is asked of it, for a configuration that does not say which
    files are the solution and the tests.
    """

    name: str
    files: Mapping[str, Found]

    @cached_property
    def solution(self) -> tuple[str, ...]:
        """The files to write."""
        listed = self._listed("solution")
        found = tuple(path for path in listed if posixpath.basename(path) not in MANIFESTS)
        if not found:
            raise Unsupported(f"{self.name}: {CONFIG} names only a manifest as its solution.")
        return found

    @cached_property
    def tests(self) -> dict[str, Found]:
        """The files of its tests, helpers of theirs among them."""
        named = self._listed("test")
        missing = [path for path in named if path not in self.files]
        if missing:
            raise Unsupported(f"{self.name}: the test {missing[0]} is not there.")
        others = (path for path in self.files if path not in self.solution and is_test_path(path))
        return {path: self.files[path] for path in (*named, *others) if not _is_inner(path)}

    @cached_property
    def seen(self) -> dict[str, Found]:
        """What a model starts from."""
        hidden = {*self.tests, *self._example}
        return {
            path: file
            for path, file in self.files.items()
            if path not in hidden and not _is_inner(path)
        }

    @cached_property
    def words(self) -> str:
        """What is to be done, from `.docs`."""
        parts = [self.files[path].text.strip() for path in WORDS if path in self.files]
        if not any(parts):
            raise Unsupported(f"{self.name}: there are no instructions in .docs.")
        return "\n\n".join(filter(None, parts))

    @cached_property
    def gold(self) -> dict[str, Found] | None:
        """The example, each file at the place of what it solves; None where there is none, or one
        that needs packages beyond the exercise's own."""
        if OTHER_MANIFEST in self.files:
            return None
        solved: dict[str, Found] = {}
        for path in self._example:
            place = self._place(path, solved)
            if place:
                solved[place] = self.files[path]
        return solved or None

    @cached_property
    def _example(self) -> tuple[str, ...]:
        named = self._listed("example", "exemplar", needed=False)
        found = [path for path in named if path in self.files]
        if not found:
            found = [path for path in self.files if re.match(r"\.meta/(example|proof)\b", path)]
        also = [path for path in self.files if path.startswith(REFERENCE)]
        return tuple(dict.fromkeys([*found, *also]))

    def _place(self, example: str, taken: Iterable[str]) -> str:
        """Where a file of the example belongs; empty for what belongs nowhere."""
        if example.startswith(REFERENCE):
            return MAIN + example.removeprefix(REFERENCE)
        name, kind = posixpath.basename(example), posixpath.splitext(example)[1]
        free = [path for path in self.solution if path not in taken]
        same_name = [path for path in free if posixpath.basename(path) == name]
        same_kind = [path for path in free if posixpath.splitext(path)[1] == kind]
        return next(iter([*same_name, *same_kind]), "")

    def _listed(self, *kinds: str, needed: bool = True) -> tuple[str, ...]:
        files = self._config.get("files")
        table = files if isinstance(files, dict) else {}
        listed = [path for kind in kinds for path in _texts(table.get(kind))]
        if needed and not listed:
            raise Unsupported(f"{self.name}: {CONFIG} names no file as its {kinds[0]}.")
        return tuple(posixpath.normpath(path) for path in listed)

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        try:
            found = json.loads(self.files[CONFIG].content)
        except KeyError:
            raise Unsupported(f"{self.name}: there is no {CONFIG}.") from None
        except (ValueError, RecursionError):
            raise Unsupported(f"{self.name}: {CONFIG} is no valid JSON.") from None
        return found if isinstance(found, dict) else {}


def _is_inner(path: str) -> bool:
    """Whether a file lies below a folder that a model may not see."""
    return any(part.startswith(".") for part in path.split("/")[:-1])


def _texts(listed: object) -> list[str]:
    return (
        [one for one in listed if isinstance(one, str) and one] if isinstance(listed, list) else []
    )
