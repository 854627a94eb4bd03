"""Exercism's practice exercises from a checkout: of one track, or of several as Aider's polyglot
benchmark lays them out. See docs/suites.md."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.image import ImageSpec
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks.protection import exactly, forbidden_patterns, protected_patterns
from tasks.repository import Overrides, detect
from tasks.screening import ECOSYSTEMS
from tasks.suites.exercism.exercise import CONFIG, Exercise
from tasks.suites.exercism.languages import LANGUAGES, OTHER_NAMES, Language
from tasks.suites.folders import (
    IGNORED,
    Files,
    Found,
    diff,
    open_folder,
    patch_of,
    read_folder,
    version_of,
)
from tasks.suites.suite import Unsupported, check_name
from tasks.task import Checks, Task

PRACTICE = "exercises/practice"
TRIES = 2
# What Aider's benchmark gives the tests of one exercise.
TIMEOUT = 180.0
_INSTRUCTION = """\
{words}

Implement this in {files}. Keep the names of functions, classes and files that are there: tests \
that you do not see use them. Use the language's standard library only."""


def open_suite(place: str) -> "Exercism":
    """The suite in the checkout at `place`. Raises UsageError when it is none."""
    top = open_folder("exercism", place)
    tracks = {_language_of(top): f"{PRACTICE}"} if (top / PRACTICE).is_dir() else {}
    for folder in () if tracks else sorted(top.iterdir()):
        if (folder / PRACTICE).is_dir():
            tracks[folder.name] = f"{folder.name}/{PRACTICE}"
    if not tracks:
        raise UsageError(
            f"{top} has no exercises: neither {PRACTICE} nor LANGUAGE/{PRACTICE} is a folder.",
            "Name the checkout of a track, or of the polyglot benchmark.",
        )
    return Exercism(top, tracks)


class Exercism:
    """The exercises of a checkout as a `tasks.suites.suite.Suite`. `tracks` are their folders by
    language; where there are several, a task is called LANGUAGE.EXERCISE."""

    def __init__(self, top: Path, tracks: Mapping[str, str]) -> None:
        self.reference = f"exercism:{top}"
        self._top = top
        self._tracks = tracks

    @cached_property
    def version(self) -> str:
        return version_of(self._top)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._folders))

    @cached_property
    def _folders(self) -> dict[str, tuple[str, str]]:
        """The language and the folder of each task."""
        found = {}
        for language, track in self._tracks.items():
            prefix = f"{language}." if len(self._tracks) > 1 or track != PRACTICE else ""
            for folder in (self._top / track).iterdir():
                name = prefix + folder.name
                if (folder / CONFIG).is_file() and re.fullmatch(r"[\w.-]+", name, re.ASCII):
                    found[name] = (language, f"{track}/{folder.name}")
        return found

    def load(self, name: str, store: TreeStore) -> Task:
        language, exercise = self._exercise(name)
        if language.lacks:
            raise Unsupported(f"{name}: {language.lacks}.")
        tests = _placed(language, exercise, language.run_tests(exercise))
        seen = _placed(language, exercise, exercise.seen)
        solution = tuple(_placed(language, exercise, dict.fromkeys(exercise.solution, Found(b""))))
        ecosystem = ECOSYSTEMS.get(language.framework, "")
        return Task(
            id=f"exercism/{name}",
            instruction=_INSTRUCTION.format(words=exercise.words, files=_listed(solution)),
            base=_base(store, seen, language),
            image=_image(store, {**seen, **tests}, language, exercise),
            checks=Checks(
                test_command=language.command(exercise),
                framework=language.framework,
                timeout=TIMEOUT,
                expected=tuple(dict.fromkeys(language.expected(exercise, exercise.tests))),
                protected=protected_patterns(ecosystem, _given(seen, solution)),
                forbidden_additions=forbidden_patterns(ecosystem),
                hidden=patch_of(tests),
                visible=False,
                tries=TRIES,
            ),
            policy=Policy(),
        )

    def gold(self, name: str) -> bytes | None:
        language, exercise = self._exercise(name)
        if exercise.gold is None:
            return None
        seen = _placed(language, exercise, exercise.seen)
        return diff(seen, {**seen, **_placed(language, exercise, exercise.gold)})

    def _exercise(self, name: str) -> tuple[Language, Exercise]:
        check_name(name, self.names(), "exercise in this checkout called")
        language, folder = self._folders[name]
        known = LANGUAGES.get(OTHER_NAMES.get(language, language))
        if known is None:
            raise Unsupported(f"{name}: there is no way here to test exercises in {language}.")
        return known, Exercise(folder.rpartition("/")[2], read_folder(self._top, folder))


def _language_of(top: Path) -> str:
    """The language of a track: what its configuration says, or the name of its folder."""
    try:
        found = json.loads((top / "config.json").read_bytes())
        if isinstance(found, dict) and isinstance(found.get("slug"), str):
            return str(found["slug"])
    except (OSError, ValueError, RecursionError):
        pass
    return top.name


def _placed(language: Language, exercise: Exercise, files: Files) -> dict[str, Found]:
    """Files where they lie in the workspace."""
    folder = f"{exercise.name}/" if language.in_folder else ""
    return {f"{folder}{path}": file for path, file in sorted(files.items())}


def _base(store: TreeStore, files: Files, language: Language) -> Base:
    tree = store.add_tree((path, file.mode, file.content) for path, file in files.items())
    return Base(store, tree, (("", (*IGNORED, *language.ignored)),))


def _image(store: TreeStore, files: Files, language: Language, exercise: Exercise) -> ImageSpec:
    """What the files ask for, tests among them, with the language's tools."""
    if language.name == "python":
        return ImageSpec()
    base = _base(store, language.image_files(files), language)
    spec = detect(base, Overrides(test_cmd=language.command(exercise))).image
    return replace(spec, apt=tuple(dict.fromkeys((*spec.apt, *language.tools))))


def _given(seen: Files, solution: tuple[str, ...]) -> tuple[str, ...]:
    """Patterns of what is not to be changed: all that is there but the solution's files, which
    patterns for a whole language must not hold either."""
    held = [exactly(path) for path in seen if path not in solution]
    return (*held, *(f"!{exactly(path)}" for path in solution))


def _listed(paths: tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(paths[:-1]), paths[-1]]))
