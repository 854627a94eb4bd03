"""A user's checkout as a task: what it is, how it is tested, what its image needs."""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict

from packaging.requirements import InvalidRequirement, Requirement

from sandbox.errors import UsageError
from sandbox.image import ImageSpec
from sandbox.patch import Patch
from sandbox.policy import Policy
from sandbox.rebuild import Rebuild
from sandbox.trees import PAGE_BYTES, Base, TreeStore
from tasks.build import find_build
from tasks.dependencies import find_dependencies
from tasks.detect import TestSetup, detect_tests, setup_for
from tasks.devcontainer import spec_of, trusted_devcontainer
from tasks.imagepython import newest_of, not_provided, official_image
from tasks.protection import forbidden_patterns, protected_patterns
from tasks.python_project import IMAGE_PACKAGES, IMAGE_PYTHON, PythonProject
from tasks.reading import RepositoryFiles
from tasks.requirements import agreeing
from tasks.task import Checks, Task
from tasks.workspace import Prepared, named, prepare_base

ADVICE_FILE = "AGENTS.md"
MAX_ADVICE = 16 << 10
# Of the workspace, what the base may fill: the rest is for what tests and builds write.
BASE_SHARE = 0.75
# On disk nothing bounds the workspace; a base is read and kept by this machine all the same.
DISK_BASE_BYTES = 8 << 30
DISK_BASE_FILES = 1_000_000
DEFAULT_POLICY = Policy()


@dataclass(frozen=True)
class Overrides:
    """What settings say instead of what is detected; None or empty where they say nothing.

    `include`, `exclude` and `protected` are gitignore patterns. `test_timeout` is in seconds. With
    an `image` or a `dockerfile` (its path in the checkout), nothing is installed but what `apt`,
    `pip` and `setup` name; `python` is the version that the image has to have, such as "3.12". One
    of the three silences a devcontainer.json, which counts with the digest `trusted_devcontainer`.
    """

    test_cmd: str | None = None
    quick_test_cmd: str | None = None
    lint_cmd: str | None = None
    rebuild: str | None = None
    test_timeout: float = 600.0
    expected: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    forbidden_additions: tuple[str, ...] = ()
    hidden: Patch | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    image: str | None = None
    dockerfile: str | None = None
    python: str | None = None
    trusted_devcontainer: str = ""
    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()


NO_OVERRIDES = Overrides()


@dataclass(frozen=True)
class Detected:
    """What was found out about a repository.

    `reasons` say what was found where, in a few words each; `notes` are for the user to know.
    """

    tests: TestSetup
    image: ImageSpec
    rebuild: Rebuild | None
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FromCheckout:
    """A task with the checkout that it was made of, and what was detected there."""

    task: Task
    prepared: Prepared
    detected: Detected = field(repr=False)


def detect(base: Base, overrides: Overrides = NO_OVERRIDES, *, version: str = "") -> Detected:
    """How the repository in `base` is tested and what that needs, as far as `overrides` do not say.

    `version` is the newest tag of its history, for builds that ask git. Raises UsageError when no
    test command is found, or the repository does not take the image's Python.
    """
    files = RepositoryFiles(base)
    tests = setup_for(overrides.test_cmd, files) if overrides.test_cmd else detect_tests(files)
    ground = _ground(files, overrides)
    brought, reasons = ground.brought, [*tests.reasons, *ground.reasons]
    provided = IMAGE_PACKAGES if ground.spec == ImageSpec() else {}
    project = PythonProject(files, provided, newest_of(overrides.python or IMAGE_PYTHON))
    needed = find_dependencies(files, tests, project)
    own = list(own_requirements(overrides.pip))
    apt, pip = list(needed.apt), [*own, *needed.pip]
    rebuild = (
        Rebuild(overrides.rebuild, timeout=overrides.test_timeout) if overrides.rebuild else None
    )
    if tests.ecosystem == "python":
        if not brought:
            project.check_python()
        build = None if rebuild else find_build(project, version)
        if build is not None:
            rebuild = build.rebuild
            reasons.append(f"installed for its tests: {', '.join(build.reasons)}")
            apt += build.apt
            pip += build.pip
        if ground.spec.base is not None:
            pip += not_provided(project, tests, pip)
    installs = needed.installs
    if brought:
        apt, pip, installs = [], own, ()
    wanted, left_out = agreeing(pip)
    notes = [*ground.notes, *needed.notes, *files.problems]
    if left_out:
        notes.append(f"These requirements contradict others and are not used: {named(left_out)}.")
    if brought and overrides.python:
        notes.append(f"`python` is not used: {brought} brings its own.")
    image = replace(
        ground.spec,
        apt=tuple(dict.fromkeys([*apt, *overrides.apt])),
        installs=installs,
        pip=wanted,
        setup=overrides.setup,
    )
    return Detected(tests, image, rebuild, tuple(reasons), tuple(notes))


@dataclass(frozen=True)
class _Ground:
    """What an image stands on. `brought` names it where it brings what tests need, so that nothing
    is installed there but what settings name.
    """

    spec: ImageSpec
    brought: str = ""
    notes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def _ground(files: RepositoryFiles, overrides: Overrides) -> _Ground:
    """By the first that says it: the settings `image`, `dockerfile` and `python`, a trusted
    devcontainer.json; else our own image.
    """
    if overrides.image is not None:
        return _Ground(ImageSpec(base=overrides.image), overrides.image)
    if overrides.dockerfile is not None:
        path = posixpath.normpath(overrides.dockerfile)
        return _Ground(ImageSpec(dockerfile=path), path)
    if overrides.python is not None:
        return _Ground(ImageSpec(base=official_image(overrides.python)))
    container, notes = trusted_devcontainer(files, overrides.trusted_devcontainer)
    if container is None:
        return _Ground(ImageSpec(), notes=tuple(notes))
    reason = f"the image: {container.path} names {container.image or container.dockerfile}"
    return _Ground(spec_of(container, files), container.path, tuple(notes), (reason,))


class BaseLimits(TypedDict):
    """See `prepare_base`."""

    limit_bytes: int
    limit_files: int
    in_memory: bool


def base_limits(policy: Policy) -> BaseLimits:
    """What a base may have of the workspace: `limit_bytes`, `limit_files` and `in_memory`."""
    if not policy.in_memory:
        return {
            "limit_bytes": DISK_BASE_BYTES,
            "limit_files": DISK_BASE_FILES,
            "in_memory": False,
        }
    return {
        "limit_bytes": int(policy.workspace_bytes * BASE_SHARE) // PAGE_BYTES * PAGE_BYTES,
        "limit_files": int(policy.workspace_inodes * BASE_SHARE),
        "in_memory": True,
    }


def task_from_checkout(
    folder: Path,
    store: TreeStore,
    instruction: str,
    *,
    overrides: Overrides = NO_OVERRIDES,
    policy: Policy = DEFAULT_POLICY,
    id: str = "",
) -> FromCheckout:
    """The task to work on the checkout that `folder` is in, its files copied into `store`.

    Raises UsageError, with what to do, for whatever the checkout lacks: see `prepare_base` and
    `detect`.
    """
    prepared = prepare_base(
        folder,
        store,
        include=overrides.include,
        exclude=overrides.exclude,
        **base_limits(policy),
    )
    try:
        detected = detect(prepared.base, overrides, version=prepared.checkout.latest_tag())
    except UsageError as error:  # what was left out may be what is missing
        error.hint = " ".join([error.hint, *prepared.notes]).strip()
        raise
    task = task_on(
        prepared.base,
        detected,
        instruction,
        overrides=overrides,
        policy=policy,
        id=id or f"{prepared.checkout.top.name}-{prepared.base.tree[:8]}",
    )
    notes = (*_taken(prepared), *prepared.notes, *task.notes)
    return FromCheckout(replace(task, notes=notes), prepared, detected)


def task_on(
    base: Base,
    detected: Detected,
    instruction: str,
    *,
    overrides: Overrides = NO_OVERRIDES,
    policy: Policy = DEFAULT_POLICY,
    id: str = "",
) -> Task:
    """The task to work on any base, tested and built as was detected there."""
    tests = detected.tests
    return Task(
        id=id or base.tree[:8],
        instruction=instruction,
        base=base,
        image=detected.image,
        rebuild=detected.rebuild,
        checks=Checks(
            test_command=tests.command,
            framework=tests.framework,
            quick_test_command=overrides.quick_test_cmd,
            lint_command=overrides.lint_cmd,
            timeout=overrides.test_timeout,
            expected=overrides.expected,
            protected=protected_patterns(tests.ecosystem, overrides.protected),
            forbidden_additions=(
                *forbidden_patterns(tests.ecosystem),
                *overrides.forbidden_additions,
            ),
            hidden=overrides.hidden,
        ),
        policy=policy,
        advice=_advice(base),
        notes=detected.notes,
    )


def _taken(prepared: Prepared) -> list[str]:
    """Notes on the files that are in no commit and are taken nevertheless."""
    notes = []
    if prepared.untracked:
        notes.append(f"Untracked files are taken too: {named(prepared.untracked)}.")
    if prepared.included:
        notes.append(f"Ignored files are taken, as `include` asks: {named(prepared.included)}.")
    return notes


def _advice(base: Base) -> str:
    """The repository's advice to agents, from its top, bounded."""
    text = RepositoryFiles(base).text(ADVICE_FILE)
    if len(text) > MAX_ADVICE:
        return text[:MAX_ADVICE] + f"\n[{ADVICE_FILE} goes on; its file has the rest]\n"
    return text


def own_requirements(texts: Iterable[str]) -> Iterator[str]:
    """The user's own requirements. Raises UsageError for one that is none."""
    for text in texts:
        try:
            yield str(Requirement(text))
        except InvalidRequirement as error:
            raise UsageError(
                f"{text!r} in `pip` is not a Python requirement: {str(error).splitlines()[0]}",
                'Write each by itself, a name with an optional version: pip = ["requests>=2.31", '
                '"rich"], or --pip requests --pip rich.',
            ) from error
