"""The controls of a sandbox by name, and sandboxes that lack one: each attack is seen to fail
against the control, and to work where that alone is missing."""

import asyncio
import marshal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox import container, lifecycle, protocol
from sandbox.container import CommandResult, Sandbox
from sandbox.image import Image
from sandbox.policy import MIB, Policy
from sandbox.probes import PRELUDE
from sandbox.source import FORMAT
from sandbox.trees import Base

POLICY = Policy(
    memory_bytes=600 * MIB,
    cpus=1.0,
    workspace_bytes=64 * MIB,
    workspace_inodes=20_000,
    tmp_bytes=32 * MIB,
    home_bytes=16 * MIB,
    shm_bytes=16 * MIB,
    command_timeout=60,
)
Config = dict[str, Any]


def _nothing(config: Config) -> None:
    """Change nothing."""


@dataclass(frozen=True)
class Control:
    """How a control is taken out: `config` changes what the engine is asked for, `source` is text
    of the supervisor and what replaces it, `uid` is the commands' instead of one of their own."""

    config: Callable[[Config], None] = _nothing
    source: tuple[tuple[str, str], ...] = ()
    uid: int | None = None


def setting(**values: Any) -> Control:
    """A control that other values in the engine's HostConfig take out."""
    return Control(lambda config: config["HostConfig"].update(values))


def _without_options(*dropped: str) -> Control:
    """Tmpfs mounts without some of their options."""

    def change(config: Config) -> None:
        mounts = config["HostConfig"]["Tmpfs"]
        for place, options in mounts.items():
            kept = [part for part in options.split(",") if part.partition("=")[0] not in dropped]
            mounts[place] = ",".join(kept)

    return Control(change)


def _without_seccomp(config: Config) -> None:
    config["HostConfig"]["SecurityOpt"][1] = "seccomp=unconfined"


def _without_no_new_privileges(config: Config) -> None:
    del config["HostConfig"]["SecurityOpt"][0]


def _without_cpu_limit(config: Config) -> None:
    del config["HostConfig"]["NanoCpus"]


# Where a number has to be given instead of none, it is one that keeps the machine safe.
CONTROLS: Mapping[str, Control] = {
    "seccomp": Control(_without_seccomp),
    "no new privileges": Control(_without_no_new_privileges),
    "read-only root": setting(ReadonlyRootfs=False),
    "masked paths": setting(MaskedPaths=[], ReadonlyPaths=[]),
    "no devices": setting(
        Devices=[
            {"PathOnHost": "/dev/null", "PathInContainer": "/dev/sda", "CgroupPermissions": "r"}
        ]
    ),
    "sized file systems": _without_options("size", "nr_inodes"),
    "process limit": setting(PidsLimit=600),
    "memory limit": setting(Memory=2048 * MIB, MemorySwap=2048 * MIB),
    "limits of a process": setting(Ulimits=[]),
    "limits of System V objects": setting(Sysctls={}),
    "cpu limit": Control(_without_cpu_limit),
    "no log": setting(LogConfig={"Type": "json-file", "Config": {"max-size": "1m"}}),
    "an own uid": Control(uid=0x0FFFFFFF),
    # Commands run as the supervisor does, and the kernel has no other reason to part them.
    "another uid than the supervisor's": Control(
        source=(
            ('        Account(command["uid"]).become()\n', ""),
            ("    processes.set_process_option(processes.PR_SET_DUMPABLE, 0)\n", ""),
            (
                "        os.seteuid(0)\n        os.setegid(0)\n",
                "        os.seteuid(0)\n        os.setegid(0)\n"
                "        set_process_option(PR_SET_DUMPABLE, 1)\n",
            ),
        )
    ),
    "killing what is left": Control(
        source=(
            (
                "        if status is None or reap(usage)[1] is False:\n"
                "            kill_descendants(usage)\n",
                "",
            ),
            ("        set_process_option(PR_SET_CHILD_SUBREAPER, 1)\n", "        pass\n"),
        )
    ),
    "killing what a dead shim left": Control(
        source=(
            (
                "            command.shim.close()\n"
                "        if self.adopts or not shim_lives:\n"
                "            self._kill_orphans()\n",
                "            command.shim.close()\n",
            ),
        )
    ),
    "not waiting for a command's start": Control(
        source=(
            (
                "        status = self._wait(stops, number, usage)\n",
                "        early = os.read(self._told, BEGAN.size)\n"
                "        late = os.read(self._told, FAILURE.size)\n"
                "        status = self._wait(stops, number, usage)\n",
            ),
            ("        began = os.read(self._told, BEGAN.size)\n", "        began = early\n"),
            ('os.read(self._told, FAILURE.size) if began else b""', "late"),
            ("SHIM_PATIENCE = 30.0\n", "SHIM_PATIENCE = 1.0\n"),
        )
    ),
    "commands as first victims": Control(
        source=(("        os.write(score, MOST_LIKELY_OOM_VICTIM)\n", ""),)
    ),
    "closing descriptors": Control(
        source=(
            (
                "        stage = NO_PROGRAM\n",
                "        stage = NO_PROGRAM\n        os.set_inheritable(tell, True)\n",
            ),
        )
    ),
    "pipes of root's": Control(
        source=(
            (
                "            self.events, events_write = os.pipe()\n",
                "            os.seteuid(uid)\n"
                "            self.events, events_write = os.pipe()\n"
                "            os.seteuid(0)\n",
            ),
        )
    ),
    "an end to reading": Control(
        source=(("fd >= 0 and rounds and _pending(fd) and not read()", "fd >= 0 and not read()"),)
    ),
    "following no link": Control(
        source=(
            (
                "        target = _link_target(stack[-1], name) if (through if waiting else "
                "follow) else None\n",
                "        target = None\n",
            ),
            ("PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK", "PLAIN = os.O_NONBLOCK"),
            ("os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC", "os.O_DIRECTORY | os.O_CLOEXEC"),
        )
    ),
    "opening without waiting": Control(
        source=(("os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC", "os.O_NOFOLLOW | os.O_CLOEXEC"),)
    ),
    "answering what cannot be done": Control(
        source=(
            ("UNDOABLE = (OSError, ValueError, OverflowError)\n", "UNDOABLE = (OSError,)\n"),
            (
                '        raise OSError(errno.EINVAL, "is no file name") from None\n',
                "        raise\n",
            ),
        )
    ),
    "times within reason": Control(source=(("FAR_FUTURE = 1 << 40", "FAR_FUTURE = 1 << 70"),)),
    "bounded names": Control(
        source=(
            ("MAX_NEW_TEXT = 16 << 20", "MAX_NEW_TEXT = 1 << 60"),
            ("MAX_PATH = 4096", "MAX_PATH = 1 << 60"),
            ("MAX_LISTED = 4 << 20", "MAX_LISTED = 1 << 60"),
        )
    ),
    "bounded depth": Control(source=(("MAX_DEPTH = 256", "MAX_DEPTH = 1 << 60"),)),
    "listing what is not closed": Control(
        source=(("Ignoring(FileNotFoundError, PermissionError)", "Ignoring()"),)
    ),
    "bounded searching": Control(
        source=(
            ("SEARCHED = 16 << 20", "SEARCHED = 1 << 40"),
            ("content = stream.read(SEARCHED)", "content = stream.read()"),
        )
    ),
    "comparing contents": Control(
        source=(
            (
                "        if same and (not self.suspect or known.identity is None):\n",
                "        if same:\n",
            ),
        )
    ),
    "a hidden copy of the base": Control(
        source=(
            ("os.O_EXCL | os.O_CLOEXEC, 0o600)\n        os.unlink(STORE)\n", "os.O_EXCL, 0o644)\n"),
        )
    ),
    "emptying all at a reset": Control(
        source=(
            ("                empty(mount)\n", ""),
            (
                "                os.mkdir(path, mode if",
                "                os.makedirs(path, exist_ok=True, mode=mode if",
            ),
            (
                "                fd = os.open(path, CREATE, mode)\n                try:\n",
                "                fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)\n"
                "                try:\n",
            ),
        )
    ),
    "undoing attributes at a reset": Control(
        source=(("        if name.startswith(CHANGEABLE):\n", "        if False:\n"),)
    ),
    "undoing modes at a reset": Control(
        source=(("        os.chmod(folder, 0o755)", "        pass"),)
    ),
    "killing all at a reset": Control(
        source=(
            (
                "        self._running.end_all()\n        self._background.clear()\n",
                "",
            ),
        )
    ),
    "removing objects at a reset": Control(source=(("            remove_ipc_objects()\n", ""),)),
}


@asynccontextmanager
async def sandbox_without(
    *controls: str | Control,
    image: Image,
    base: Base,
    policy: Policy = POLICY,
    resettable: bool = True,
) -> AsyncIterator[Sandbox]:
    """A sandbox as any other, but for the controls given or named."""
    removed = [CONTROLS[c] if isinstance(c, str) else c for c in controls]
    opening = Sandbox.open(image, base, policy, resettable=resettable)
    with pytest.MonkeyPatch.context() as patch:
        for control in removed:
            _take_out(control, patch)
        # Otherwise it would be noticed, and refused.
        patch.setattr(container, "lacking", lambda *_: ())
        box = await opening.__aenter__()
    try:
        yield box
    finally:
        await opening.__aexit__(None, None, None)


def _take_out(control: Control, patch: pytest.MonkeyPatch) -> None:
    config, source = lifecycle.container_config, lifecycle.supervisor_source

    def changed_config(*arguments: Any, **named: Any) -> Config:
        made = config(*arguments, **named)
        control.config(made)
        return made

    def changed_source() -> bytes:
        _, modules = marshal.loads(source()[protocol.LENGTH_DIGITS :])
        texts = {name: text for name, text, _ in modules}
        for old, new in control.source:
            (there,) = (name for name, text in texts.items() if old in text)
            assert texts[there].count(old) == 1, f"more than once in {there}: {old}"
            texts[there] = texts[there].replace(old, new)
        # A number that is no Python's has the text taken, and not the code.
        raw = marshal.dumps((b"", [(name, text, b"") for name, text in texts.items()]), FORMAT)
        return str(len(raw)).zfill(protocol.LENGTH_DIGITS).encode() + raw

    patch.setattr(lifecycle, "container_config", changed_config)
    patch.setattr(lifecycle, "supervisor_source", changed_source)
    if control.uid is not None:
        patch.setattr(lifecycle, "new_uid", lambda **_: control.uid)


@asynccontextmanager
async def meanwhile(
    box: Sandbox, script: str, **options: Any
) -> AsyncIterator[asyncio.Task[CommandResult]]:
    """Run a Python script inside while the body runs, which begins when the script has called
    `ready()`; it is killed at the end."""
    prelude = "def ready(): open('/workspace/ready', 'w').close()\n"
    task = asyncio.create_task(attack_in(box, prelude + script + "\ntime.sleep(60)\n", **options))
    try:
        await appears(box, "ready")
        await box.remove("ready")
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def appears(box: Sandbox, name: str) -> None:
    """Wait for a file at the top of the workspace. No command is run for it."""
    async with asyncio.timeout(30):
        while name not in {info.path for info in await box.list()}:
            await asyncio.sleep(0.02)


async def attack_in(box: Sandbox, script: str, **options: Any) -> CommandResult:
    """Run a Python script inside, as a command; it prints what happened."""
    return await box.run(["python3", "-c", PRELUDE + script], **options)


def verdicts(result: CommandResult) -> dict[str, str]:
    """What an attack printed, as `name verdict` lines."""
    assert result.ok, result.output.text
    return dict(line.split(maxsplit=1) for line in result.output.text.splitlines())  # type: ignore[misc]
