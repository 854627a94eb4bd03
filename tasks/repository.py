"""A user's checkout as a task: what it is, how it is tested, what its image needs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

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
from tasks.protection import forbidden_patterns, protected_patterns
from tasks.python_project import PythonProject
from tasks.reading import RepositoryFiles
from tasks.requirements import agreeing
from tasks.task import Checks, Task
from tasks.workspace import Prepared, named, prepare_base

ADVICE_FILE = "AGENTS.md"
MAX_ADVICE = 16 << 10
# Of the workspace, what the base may fill: the rest is for what tests and builds write.
BASE_SHARE = 0.75
DEFAULT_POLICY = Policy()


@dataclass(frozen=True)
class Overrides:
    """What settings say instead of what is detected; None or empty where they say nothing.

    `include`, `exclude` and `protected` are gitignore patterns. `test_timeout` is in seconds. With
    `image`, nothing is installed but what `apt`, `pip` and `setup` name.
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
    project = PythonProject(files)
    reasons = list(tests.reasons)
    needed = find_dependencies(files, tests)
    apt, pip = list(needed.apt), list(needed.pip)
    rebuild = Rebuild(overrides.rebuild) if overrides.rebuild else None
    if tests.ecosystem == "python":
        if overrides.image is None:
            project.check_python()
        build = None if rebuild else find_build(project, version)
        if build is not None:
            rebuild = build.rebuild
            reasons.append(f"installed for its tests: {', '.join(build.reasons)}")
            apt += build.apt
            pip += build.pip
    installs = needed.installs
    if overrides.image is not None:
        apt, pip, installs = [], [], ()
    wanted, left_out = agreeing([*_requirements(overrides.pip), *pip])
    notes = [*needed.notes, *files.problems]
    if left_out:
        notes.append(f"These requirements contradict others and are not used: {named(left_out)}.")
    image = ImageSpec(
        base=overrides.image,
        apt=tuple(dict.fromkeys([*apt, *overrides.apt])),
        installs=installs,
        pip=wanted,
        setup=overrides.setup,
    )
    return Detected(tests, image, rebuild, tuple(reasons), tuple(notes))


def base_limits(policy: Policy) -> dict[str, int]:
    """What a base may have of the workspace: `limit_bytes` and `limit_files`."""
    return {
        "limit_bytes": int(policy.workspace_bytes * BASE_SHARE) // PAGE_BYTES * PAGE_BYTES,
        "limit_files": int(policy.workspace_inodes * BASE_SHARE),
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


def _requirements(texts: Iterable[str]) -> Iterator[str]:
    """The user's own requirements. Raises UsageError for one that is none."""
    for text in texts:
        try:
            yield str(Requirement(text))
        except InvalidRequirement as error:
            raise UsageError(
                f"{text!r} in `pip` is not a Python requirement: {str(error).splitlines()[0]}",
                'Write a name with an optional version, such as "requests>=2.31".',
            ) from error
