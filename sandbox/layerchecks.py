"""What is looked at before a layer is kept: what its steps changed, and what they wrote down."""

from collections.abc import Callable, Sequence
from typing import Protocol

from sandbox import leakcheck
from sandbox.buildjob import Job, failure
from sandbox.errors import SetupError
from sandbox.leftovers import owner_labels
from sandbox.runtimeguard import Runtime, ask, changed, libraries, replaced, runtime

_FOLDER_BIT = 1 << 31  # of Go's file modes, which the engine tells


class Execute(Protocol):
    """Runs a command in the build container: its output goes to the job, or to `take` a line at a
    time; its exit code is returned.
    """

    def __call__(
        self,
        command: Sequence[str],
        environment: dict[str, str] = ...,
        take: Callable[[str], None] | None = ...,
    ) -> int: ...


def note_runtime(job: Job, execute: Execute) -> Runtime:
    """What the supervisor would run from, before the steps. Raises SetupError where there is no
    Python that runs.
    """
    job.begin("looking at the image's Python")
    lines: list[str] = []
    if execute(("python3", "-I", "-S", "-c", ask()), take=lines.append) != 0:
        job.output("\n".join(lines))
        raise failure(job, "The image's python3 does not run")
    return runtime("\n".join(lines))


def check_changes(job: Job, container: str, guarded: Runtime) -> dict[str, int]:
    """What the steps changed, as path and the engine's kind. Raises SetupError for something that
    the supervisor runs from.
    """
    changes, path = changes_in(job, container, guarded)
    if path:
        raise _refused(path)
    return changes


def changes_in(job: Job, container: str, guarded: Runtime) -> tuple[dict[str, int], str]:
    """What differs in a container that has ended from its image, as path and the engine's kind;
    and the first of it that the supervisor runs from, empty where there is none."""
    changes = {change["Path"]: change["Kind"] for change in job.api.diff(container) or ()}
    links = (p for p in replaced(changes, guarded) if not _is_folder(job, container, p))
    return changes, changed(changes, guarded) or next(links, "")


def _is_folder(job: Job, container: str, path: str) -> bool:
    stream, found = job.api.get_archive(container, path)
    stream.close()
    return bool(found["mode"] & _FOLDER_BIT)


def check_loader(job: Job, image: str, guarded: Runtime) -> None:
    """Sees that the loader of an image that was just made finds the libraries that it found before.
    It is asked in a container of its own: nothing that a step left running is in there. Raises
    SetupError, and removes the image, when it finds others.
    """
    job.begin("looking at the libraries of the image's Python")
    if path := other_library(job, image, guarded):
        job.api.remove_image(image)
        raise _refused(path)


def other_library(job: Job, image: str, guarded: Runtime) -> str:
    """The first library that the loader of an image takes otherwise than before; empty where there
    is none."""
    for target, before in guarded.lists.items():
        now = libraries(_answer(job, image, (guarded.loader, "--list", target)))
        if now != before:
            return min((path for _name, path in now ^ before), default=target)
    return ""


def _answer(job: Job, image: str, command: Sequence[str]) -> str:
    """What a program prints in a container of an image."""
    created = job.api.create_container(
        image,
        entrypoint=[command[0]],
        command=list(command[1:]),
        labels=owner_labels(),
        user="0:0",
        working_dir="/",
        host_config=job.api.create_host_config(
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            pids_limit=64,
        ),
    )
    try:
        job.api.start(created["Id"])
        job.api.wait(created["Id"])
        return str(job.api.logs(created["Id"]).decode(errors="replace"))
    finally:
        job.api.remove_container(created["Id"], force=True, v=True)


def _refused(path: str) -> SetupError:
    return SetupError(
        f"What was installed changed {path}, which the sandbox itself runs from; the image was not "
        "kept.",
        "Leave that out. Debian packages may do so when they are named in `apt`; anything else "
        "belongs into an image of your own (--image).",
    )


def note_time(job: Job, execute: Execute) -> str:
    """The time before the steps, for `check_secrets`."""
    lines: list[str] = []
    if execute(leakcheck.NOW, take=lines.append) != 0:
        raise failure(job, "The image cannot tell the time")
    return lines[0]


def check_secrets(job: Job, execute: Execute, begun: str) -> None:
    """Raises SetupError for a secret that the steps wrote into a file of the image."""
    job.begin("looking for secrets in the new files")
    told = {leakcheck.VARIABLE: "\n".join(job.settings.secrets)}
    code = execute(leakcheck.find(begun), told)
    if code == leakcheck.FOUND:
        raise SetupError(
            f"A login or token of this machine was written to {job.tail[-1]} while the image was "
            "built; the image was not kept.",
            "Build steps find the index's address in PIP_INDEX_URL, and npm its token, so no "
            "setup command has to write them down.",
        )
    if code != 0:
        raise failure(job, "Looking for secrets in the new files failed")
