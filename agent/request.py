"""What the user asked for, made into a task: from a checkout, a commit, a suite or a task file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from agent import settings
from agent.keys import IMAGE, KEYS, Value
from agent.settings import Settings
from agent.settingsfile import Reader
from sandbox.buildjob import BuildSettings
from sandbox.engine import shared_engine
from sandbox.errors import UsageError
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.patch import Patch
from sandbox.policy import Policy
from sandbox.scratch import scratch_folder
from sandbox.trees import Base, TreeStore
from tasks.devcontainer import devcontainer_digest
from tasks.discovery import find_checkout
from tasks.files import read_task_file
from tasks.repository import (
    FromCheckout,
    Overrides,
    base_limits,
    detect,
    task_from_checkout,
    task_on,
)
from tasks.revision import base_of_commit, of_commit
from tasks.suites import suite
from tasks.task import Task

#: What a task of a suite brings with it, so that no flag may set it.
_SUITE_OWN = (
    *("test_cmd", "quick_test_cmd", "lint_cmd", "rebuild", "protected", "allow", "include"),
    *("exclude", *IMAGE, "test_timeout"),
)
#: The settings that decide on each of a policy's limits.
_DECIDING = {
    **{name: (name,) for name in ("preset", "workspace", "isolation", "background")},
    **{name: (name,) for name in ("cpus", "pids", "command_timeout", "network")},
    **dict.fromkeys(("memory_bytes", "workspace_inodes", "tmp_bytes", "home_bytes"), ("memory",)),
    "workspace_bytes": ("workspace_size", "memory"),
    "network_bytes": ("network_limit",),
}


@dataclass(frozen=True)
class Pin:
    """Commits of a repository that count, and not the files that lie in its folder: the one that is
    worked on, the one whose settings file is in force, and the one whose files the image is made
    of. Where `trusted`, the settings file is as good as the user's own, and so is a
    devcontainer.json of the image's commit.
    """

    work: str
    settings: str
    image: str
    trusted: bool = False


@dataclass(frozen=True)
class Request:
    """The words and flags of a command. `flags` are settings given on the command line.

    `expected`, `forbidden_additions` and `hidden` are as in `tasks.task.Checks`, `as_a_whole` as in
    `tasks.verify.verify`. With `must_fail` it is no work where the tests pass already, or where
    those of its ids that are known there do.
    """

    folder: Path
    words: str = ""
    suite_task: str | None = None
    id: str = ""
    expected: tuple[str, ...] = ()
    forbidden_additions: tuple[str, ...] = ()
    hidden: Patch | None = None
    flags: Mapping[str, Value] = field(default_factory=dict)
    pin: Pin | None = None
    as_a_whole: bool = False
    must_fail: tuple[str, ...] | None = None

    def checkout_folder(self) -> Path | None:
        """The folder whose settings file counts; None for a task of a suite."""
        return None if self.suite_task else settings.top_of(self.folder)

    def with_task_file(self, path: Path) -> Self:
        """This request with what a task file says; words and flags given beside it beat it.

        Raises UsageError for a file that is none or is missing a field, and for one that lies in a
        checkout, which is a stranger's, and wants more than a settings file of that checkout may.
        """
        read = read_task_file(path)
        own = {name: value for name, value in read.settings().items() if name not in self.flags}
        home = settings.top_of(path.resolve().parent)
        if (home / ".git").exists():
            refused = settings.refusals(own, settings.load(None, self.flags).values)
            if settings.top_of(read.repository) != home:
                refused["repository"] = "repository outside of it"
            if refused:
                raise UsageError(
                    f"{path} lies in a checkout, so it may not set: {', '.join(refused.values())}",
                    "If you trust it, copy it to a folder outside; or give these as flags.",
                )
        return replace(
            self,
            folder=read.repository,
            words=self.words or read.instruction,
            id=read.id,
            expected=self.expected or read.expected,
            forbidden_additions=read.forbidden_additions,
            hidden=read.hidden_tests(),
            flags={**read.settings(), **self.flags},
        )


@dataclass(frozen=True)
class Checkout:
    """The user's checkout that a task was made from, and what it was like then."""

    folder: Path
    fingerprint: str
    head: str | None

    def as_data(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "fingerprint": self.fingerprint, "head": self.head}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Checkout":
        return cls(Path(data["folder"]), data["fingerprint"], data["head"])


@dataclass(frozen=True)
class Asked:
    """The task that was asked for, whose image is made of `image_files`, and the checkout that it
    came from, if any."""

    task: Task
    image_files: Base
    checkout: Checkout | None = None


def settings_of(
    request: Request, say: Callable[[str], None], read: Reader | None = None
) -> Settings:
    """The settings in force for a request; what the repository's file asks in vain is said. `read`
    is as for `settings.load`.

    Raises UsageError for a file, a variable or a flag that is wrong.
    """
    pin = request.pin
    if pin:
        read = of_commit(find_checkout(request.folder), pin.settings)
    found = settings.load(
        request.checkout_folder(), request.flags, read=read, trusted=bool(pin and pin.trusted)
    )
    if found.ignored:
        asked = ", ".join(found.ignored)
        say(f"{found.repository_file} is not trusted (see `greenroom trust`), so not set: {asked}")
    return found


def build_settings(found: Settings) -> BuildSettings:
    """What image builds get from this machine. Raises UsageError for what cannot be used."""
    return BuildSettings.from_environment(
        network=found["build_network"] if found.given("build_network") else None,
        ca_bundle=found["ca_bundle"],
        apt_mirror=found["apt_mirror"],
        index_url_variable=found["index_url_variable"],
        npm_token_variable=found["npm_token_variable"],
        image_budget=found["image_budget"],
        places=found["build_places"],
    )


def ca_bundle_of(task: Task, found: Settings) -> bytes | None:
    """The certificates (PEM) that programs trust in a sandbox with a way out, the same as in image
    builds. Raises UsageError for a file that is not there."""
    ways = task.policy.network or (task.verifier.policy.network if task.verifier else ())
    path = build_settings(found).ca_bundle if ways else None
    return path.read_bytes() if path else None


async def image_of(
    spec: ImageSpec,
    found: Settings,
    say: Callable[[str], None],
    *,
    checkout: Base | None = None,
    live: Callable[[str], None] | None = None,
) -> Image:
    """The image of `spec`, built as the settings say, with `checkout` for a Dockerfile's files;
    `live` gets all that programs print in a build. What the engine cannot hold a sandbox to is
    said. Raises SetupError or UsageError.
    """
    build = build_settings(found)
    image = await ensure_image(spec, progress=say, live=live, settings=build, checkout=checkout)
    if line := shared_engine().lack:
        say(line)
    return image


def task_of(request: Request, found: Settings, store: TreeStore) -> Asked:
    """The task asked for, its base in `store`.

    Raises UsageError, with what to do, for whatever the checkout or the suite lacks.
    """
    if request.suite_task:
        task = suite_task(request, found, store)
        return Asked(task, task.base)
    if request.pin:
        return _pinned(request, request.pin, found, store)
    made = from_checkout(request, found, store)
    prepared = made.prepared
    checkout = Checkout(prepared.checkout.top, prepared.fingerprint, prepared.head_commit)
    return Asked(made.task, prepared.base, checkout)


def _pinned(request: Request, pin: Pin, found: Settings, store: TreeStore) -> Asked:
    """The task of working on a commit, on an image made of what another one may say."""
    limits = base_limits(policy_of(found))
    exclude = found["exclude"]
    work = base_of_commit(request.folder, store, pin.work, exclude=exclude, **limits)
    base = files = work.base
    if pin.image != pin.work:
        files = base_of_commit(request.folder, store, pin.image, exclude=exclude, **limits).base
    own = devcontainer_digest(files) if pin.trusted else found.trusted_devcontainer
    task = task_on_base(base, request, replace(found, trusted_devcontainer=own))
    if files is not base:
        ground = detect(files, _overrides(request, replace(found, trusted_devcontainer=own)))
        task = replace(task, image=ground.image)
    return Asked(replace(task, notes=(*work.notes, *task.notes)), files)


def from_checkout(request: Request, found: Settings, store: TreeStore) -> FromCheckout:
    """The task of working on the request's checkout, with what was detected there. Raises as
    `task_of` does.
    """
    return task_from_checkout(
        request.folder,
        store,
        request.words,
        overrides=_overrides(request, found),
        policy=policy_of(found),
        id=request.id,
    )


def suite_task(request: Request, found: Settings, store: TreeStore) -> Task:
    """A suite's task, with the words and bounds that were given; its own checks stay as they are.

    Raises UsageError for a task that does not exist, and for a flag that has no say in it.
    """
    own = [KEYS[name].flag for name in _SUITE_OWN if name in request.flags]
    if own:
        raise UsageError(
            f"{own[0]} cannot be given with --task: a suite's task has its own",
            "Leave it out, or work on a checkout.",
        )
    task = suite.load(request.suite_task or "", store)
    changes: dict[str, Any] = {}
    if request.words:
        changes["instruction"] = request.words
    if request.expected:
        changes["checks"] = replace(task.checks, expected=request.expected)
    return replace(task, policy=suite_policy(task.policy, found), **changes)


def task_on_base(base: Base, request: Request, found: Settings) -> Task:
    """The task of judging patches on a base, such as a commit's."""
    overrides = _overrides(request, found)
    detected = detect(base, overrides)
    return task_on(
        base, detected, request.words, overrides=overrides, policy=policy_of(found), id=request.id
    )


def detected(request: Request) -> Task:
    """The task as it is detected in the checkout, with the request's own `test_cmd` and `rebuild`
    and no other setting; its base is gone after."""
    given = Overrides(test_cmd=_flag(request, "test_cmd"), rebuild=_flag(request, "rebuild"))
    with scratch_folder() as folder:
        store = TreeStore.create(folder / "trees.git")
        return task_from_checkout(request.folder, store, "", overrides=given).task


def _flag(request: Request, name: str) -> str | None:
    value = request.flags.get(name)
    return value if isinstance(value, str) else None


def _overrides(request: Request, found: Settings) -> Overrides:
    return Overrides(
        test_cmd=found["test_cmd"],
        quick_test_cmd=found["quick_test_cmd"],
        lint_cmd=found["lint_cmd"],
        rebuild=found["rebuild"],
        test_timeout=found["test_timeout"],
        expected=request.expected,
        # The last pattern that matches decides, so what is allowed comes after all else.
        protected=(*found["protected"], *(f"!{pattern}" for pattern in found["allow"])),
        forbidden_additions=(
            *request.forbidden_additions,
            *(f"!{pattern}" for pattern in found["allow"]),
        ),
        hidden=request.hidden,
        include=found["include"],
        exclude=found["exclude"],
        image=found["image"],
        dockerfile=found["dockerfile"],
        python=found["python"],
        trusted_devcontainer=found.trusted_devcontainer,
        apt=found["apt"],
        pip=found["pip"],
        setup=found["setup"],
    )


def suite_policy(own: Policy, found: Settings) -> Policy:
    """A suite's own limits, where the user says nothing. Raises UsageError for limits that do not
    fit."""
    kept = {
        field: getattr(own, field)
        for field, keys in _DECIDING.items()
        if not any(found.given(key) for key in keys)
    }
    policy = replace(policy_of(found), **kept)
    policy.check()
    return policy


def policy_of(found: Settings) -> Policy:
    """The sandbox's limits as the settings have them. With less memory than usual its file systems
    are smaller in proportion. Raises UsageError, with the arithmetic, for limits that do not fit.
    """
    usual = Policy.within(found["memory"])
    policy = replace(
        usual,
        preset=found["preset"],
        workspace=found["workspace"],
        isolation=found["isolation"],
        background=found["background"],
        cpus=found["cpus"],
        pids=found["pids"],
        workspace_bytes=(
            found["workspace_size"] if found.given("workspace_size") else usual.workspace_bytes
        ),
        command_timeout=found["command_timeout"],
        network=found["network"],
        network_bytes=found["network_limit"],
    )
    policy.check()
    return policy
