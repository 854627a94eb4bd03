"""Harbor's and Terminal-Bench's task directories: `harbor:PATH[,network=public]`, a folder of them
or one. The outcome of such a task is a whole file system. See docs/harbor.md."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sandbox.errors import PatchError, UsageError
from sandbox.image import ImageSpec
from sandbox.patch import EXECUTABLE
from sandbox.trees import EMPTY_TREE, Base, TreeStore
from tasks.suites.folders import Files, open_folder, read_folder, version_of
from tasks.suites.harbor.config import Config, Place, read_config
from tasks.suites.harbor.limits import verifier_policy, work_policy
from tasks.suites.suite import Script, Unsupported, check_name
from tasks.task import Checks, Task, Verifier

CONFIG, INSTRUCTION = "task.toml", "instruction.md"
_TESTS, _ENVIRONMENT, _SOLUTION = "tests", "environment", "solution"
_TEST_SCRIPT, _SOLUTION_SCRIPT, _DOCKERFILE = "test.sh", "solve.sh", "Dockerfile"
_COMPOSE = ("docker-compose.yaml", "docker-compose.yml")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NETWORKS = ("none", "public")
# Seconds for a solution whose task gives no time.
_SOLUTION_SECONDS = 3600.0


def open_suite(place: str) -> "Harbor":
    """The suite of a folder. Raises UsageError when there is no task in it."""
    name, _, rest = place.partition(",")
    top = open_folder("harbor", name)
    key, _, network = rest.partition("=")
    if rest and (key != "network" or network not in _NETWORKS):
        raise UsageError(
            f"harbor:{place}: {rest!r} is no key of a harbor suite.",
            "There is network=public: tasks that say nothing of a network may reach the web.",
        )
    folders = {top.name: top} if (top / CONFIG).is_file() else _tasks_in(top)
    if not folders:
        raise UsageError(
            f"{top} has no tasks: neither {CONFIG} nor NAME/{CONFIG} is a file.",
            "Name a task's folder, or one that holds such folders.",
        )
    return Harbor(top, folders, network == "public")


def _tasks_in(top: Path) -> dict[str, Path]:
    return {
        folder.name: folder
        for folder in sorted(top.iterdir())
        if (folder / CONFIG).is_file() and _NAME.fullmatch(folder.name)
    }


@dataclass(frozen=True)
class Harbor:
    """Task directories as a `tasks.suites.suite.Suite` with scripts as solutions."""

    top: Path
    folders: Mapping[str, Path]
    public: bool = False

    @property
    def reference(self) -> str:
        return f"harbor:{self.top}{',network=public' if self.public else ''}"

    @cached_property
    def version(self) -> str:
        return version_of(self.top)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.folders))

    def load(self, name: str, store: TreeStore) -> Task:
        folder = self._folder(name)
        config = _config(folder)
        _refuse(folder, config)
        context = _tree(store, folder, _ENVIRONMENT)
        tests = _files(folder, _TESTS)
        if _TEST_SCRIPT not in tests and not config.separate:
            raise UsageError(f"{folder} has no {_TESTS}/{_TEST_SCRIPT}.")
        image = _image(config.place, folder / _ENVIRONMENT)
        tree = _stored(store, folder, tests)
        return Task(
            id=f"harbor/{name}",
            instruction=_instruction(folder),
            base=Base(store, context),
            image=image,
            checks=Checks(
                test_command=f"/{_TESTS}/{_TEST_SCRIPT}",
                framework="unknown",
                timeout=config.verifier_seconds,
                visible=False,
                tries=1,
            ),
            policy=work_policy(config, self._network(config.agent_network, config.place)),
            notes=_notes(config),
            verifier=self._verifier(config, folder, tests, tree, image, context),
            time_limit=config.agent_seconds,
        )

    def gold(self, name: str) -> bytes | None:
        """No solution here is a diff."""
        self._folder(name)
        return None

    def script(self, name: str, store: TreeStore) -> Script | None:
        folder = self._folder(name)
        config = _config(folder)
        files = _files(folder, _SOLUTION)
        if _SOLUTION_SCRIPT not in files:
            return None
        return Script(
            files=_stored(store, folder, files),
            variables=config.solution_variables,
            timeout=config.agent_seconds or _SOLUTION_SECONDS,
        )

    def _verifier(
        self,
        config: Config,
        folder: Path,
        tests: Files,
        tree: str,
        image: ImageSpec,
        context: str,
    ) -> Verifier:
        shared = Verifier(
            tests=tree,
            policy=verifier_policy(
                config,
                config.place,
                self._network(config.verifier_network, config.place),
                sum(len(file.content) for file in tests.values()),
            ),
            timeout=config.verifier_seconds,
            work=config.place.workdir,
            variables=config.place.variables,
            own_variables=config.verifier_variables,
        )
        if not config.separate:
            return shared
        place = config.verifier_place or config.place
        own = config.verifier_place.image if config.verifier_place else ""
        bundled = bool(own) or _DOCKERFILE in tests
        if not bundled:
            if _TEST_SCRIPT not in tests:
                raise UsageError(f"{folder} has no {_TESTS}/{_TEST_SCRIPT}.")
            spec, files = image, context
        elif own:
            spec, files = ImageSpec(base=own), EMPTY_TREE
        else:
            spec, files = ImageSpec(dockerfile=_DOCKERFILE), tree
        return replace(
            shared,
            policy=verifier_policy(
                config,
                place,
                self._network(config.verifier_network, place),
                sum(len(file.content) for file in tests.values()),
                bundled=bundled,
            ),
            work=place.workdir,
            variables=place.variables,
            image=spec,
            image_files=files,
            bundled=bundled,
            artifacts=config.artifacts,
        )

    def _network(self, phase: tuple[str, ...] | None, place: Place) -> tuple[str, ...]:
        """What a phase may reach: as it says, or as its place says, or as the suite was opened."""
        for said in (phase, place.network):
            if said is not None:
                return said
        return ("public-web",) if self.public else ()

    def _folder(self, name: str) -> Path:
        check_name(name, self.names(), f"task in {self.top} called")
        return self.folders[name]


def _config(folder: Path) -> Config:
    path = folder / CONFIG
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} cannot be read: {problem}") from None
    return read_config(text, str(path))


def _refuse(folder: Path, config: Config) -> None:
    """Raises Unsupported for what the files of a task ask for in vain."""
    for place in (_ENVIRONMENT, *((_TESTS,) if config.separate else ())):
        for name in _COMPOSE:
            if (folder / place / name).exists():
                raise Unsupported(
                    f"{folder}/{place}/{name}: a task of several containers, or of one that only"
                    " Compose can make, is not run.",
                    "Tasks of one Dockerfile or one docker_image are.",
                )
    if (folder / "trajectory.json").exists():
        raise Unsupported(f"{folder}/trajectory.json: a conversation before the task is not read.")


def _instruction(folder: Path) -> str:
    try:
        return (folder / INSTRUCTION).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{folder / INSTRUCTION} cannot be read: {problem}") from None


def _image(place: Place, folder: Path) -> ImageSpec:
    if place.image:
        return ImageSpec(base=place.image)
    if not (folder / _DOCKERFILE).is_file():
        raise UsageError(f"{folder} has no {_DOCKERFILE}, and no docker_image is named.")
    return ImageSpec(dockerfile=_DOCKERFILE)


def _files(folder: Path, below: str) -> Files:
    """The files of a folder of the task; its scripts can be started."""
    found = read_folder(folder, below)
    scripts = (_TEST_SCRIPT, _SOLUTION_SCRIPT)
    return {
        path: replace(file, mode=EXECUTABLE) if path in scripts else file
        for path, file in found.items()
    }


def _tree(store: TreeStore, folder: Path, below: str) -> str:
    return _stored(store, folder, read_folder(folder, below, links=True))


def _stored(store: TreeStore, folder: Path, files: Files) -> str:
    """A tree of some files. Raises Unsupported where no tree can hold one of them."""
    try:
        return store.add_tree((path, f.mode, f.content) for path, f in sorted(files.items()))
    except PatchError as problem:
        raise Unsupported(f"{folder} holds a file that cannot be carried: {problem}") from None


def _notes(config: Config) -> tuple[str, ...]:
    notes = []
    if config.place.storage is not None:
        notes.append("storage is not bounded: what is written to the image is on the engine's disk")
    return tuple(notes)
