"""What a sandbox may use: plain frozen data, with one hardened default.

`Policy()` is the strict preset. Each thing that a task may ask for beyond it is a field of its own,
and `relaxations` puts it into words, which every run says and records.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from sandbox.allowlist import Allowlist
from sandbox.errors import UsageError

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
# The kernel charges about this much for a file, even an empty one.
INODE_BYTES = KIB
# Files allowed in /dev/shm.
SHM_INODES = 4096
# /run/greenroom without the copy of a resettable sandbox: support files, account entries.
PRIVATE_BYTES = 16 * MIB
# What the supervisor and the smallest useful command need beside the file systems.
PROCESS_BYTES = 128 * MIB


Preset = Literal["strict", "compat"]
Isolation = Literal["container", "gvisor"]
Workspace = Literal["memory", "disk", "image"]
# More than this, and the supervisor's own descriptors become the bound.
MOST_BACKGROUND = 64


@dataclass(frozen=True)
class Policy:
    """Limits of one sandbox. Sizes in bytes, times in seconds.

    `memory_bytes` bounds processes and the in-memory file systems together (workspace, /tmp, home,
    /dev/shm); no swap. `file_bytes` bounds one file. `output_bytes` is what is kept of a command's
    output, half from its start and half from its end; output beyond `output_stop_bytes` ends it.
    `network` are the places that it may reach, as `sandbox.allowlist` reads them, `network_bytes`
    what it may exchange with them in all.

    `preset`: with `compat`, for images made to be worked in as root, commands are root inside (with
    few capabilities) and the image's folders can be written, on the engine's disk; everything else
    holds. `workspace`: on `disk`, for trees too large for memory, nothing bounds its size; with
    `image`, for tasks whose outcome is a whole file system, commands work in a folder of the image.
    `emptied` are folders of the image that are empty at the start and in memory, each bounded as a
    workspace.
    `isolation`: `gvisor` puts a kernel of its own between commands and the machine's (a runtime
    named runsc has to be registered with the engine). `background` is how many commands may run on
    after their start.
    """

    preset: Preset = "strict"
    isolation: Isolation = "container"
    workspace: Workspace = "memory"
    background: int = 0
    memory_bytes: int = 2 * GIB
    cpus: float = 2.0
    pids: int = 256
    workspace_bytes: int = 512 * MIB
    workspace_inodes: int = 131072
    tmp_bytes: int = 256 * MIB
    home_bytes: int = 128 * MIB
    shm_bytes: int = 32 * MIB
    open_files: int = 4096
    file_bytes: int = GIB
    command_timeout: float = 300.0
    output_bytes: int = 64 * KIB
    output_stop_bytes: int = GIB
    network: tuple[str, ...] = ()
    network_bytes: int = GIB
    emptied: tuple[str, ...] = ()

    @classmethod
    def within(cls, memory_bytes: int) -> "Policy":
        """The usual policy in that much memory: with less than usual, its file systems are smaller
        in proportion."""
        usual = cls()
        share = min(1.0, memory_bytes / usual.memory_bytes)
        return replace(
            usual,
            memory_bytes=memory_bytes,
            workspace_bytes=int(usual.workspace_bytes * share),
            workspace_inodes=int(usual.workspace_inodes * share),
            tmp_bytes=int(usual.tmp_bytes * share),
            home_bytes=int(usual.home_bytes * share),
        )

    @property
    def scratch_inodes(self) -> int:
        """Files allowed in /tmp, and in home."""
        return max(4096, self.workspace_inodes // 4)

    @property
    def in_memory(self) -> bool:
        """Whether the workspace is kept in memory."""
        return self.workspace == "memory"

    @property
    def on_disk(self) -> bool:
        """Whether the workspace is a volume on the engine's disk."""
        return self.workspace == "disk"

    @property
    def in_image(self) -> bool:
        """Whether commands work in a folder of the image."""
        return self.workspace == "image"

    @property
    def as_root(self) -> bool:
        """Whether commands are root inside."""
        return self.preset == "compat"

    def private_bytes(self, resettable: bool) -> int:
        """The size of /run/greenroom, which holds a resettable sandbox's copy of its base."""
        return PRIVATE_BYTES + (self.workspace_bytes if resettable and self.in_memory else 0)

    def spare_bytes(self, *, resettable: bool = False) -> int:
        """Memory that no file system and no process was counted for."""
        return self.memory_bytes - sum(self._parts(resettable).values())

    def _parts(self, resettable: bool) -> dict[str, int]:
        scratch = 0 if self.as_root else 2 * self.scratch_inodes
        workspaces = (1 if self.in_memory else 0) + len(self.emptied)
        inodes = scratch + SHM_INODES + workspaces * self.workspace_inodes
        return {
            "workspace": workspaces * self.workspace_bytes,
            "tmp": 0 if self.as_root else self.tmp_bytes,
            "home": 0 if self.as_root else self.home_bytes,
            "shm": self.shm_bytes,
            "support files": self.private_bytes(resettable),
            "files at 1 KiB each": inodes * INODE_BYTES,
            "processes": PROCESS_BYTES,
        }

    def check(self, *, resettable: bool = False) -> None:
        """Raise UsageError, with the arithmetic, for limits that contradict each other, and for an
        entry of `network` that cannot be one."""
        Allowlist.parse(self.network)
        for name in ("memory_bytes", "pids", "workspace_bytes", "workspace_inodes", "open_files"):
            if getattr(self, name) < 1:
                raise UsageError(f"The sandbox's {name} is {getattr(self, name)}.", "Raise it.")
        for name, kinds in (("preset", Preset), ("isolation", Isolation), ("workspace", Workspace)):
            if getattr(self, name) not in get_args(kinds):
                raise UsageError(
                    f"The sandbox's {name} is {getattr(self, name)!r}.",
                    f"It is one of: {', '.join(get_args(kinds))}.",
                )
        if not 0 <= self.background <= MOST_BACKGROUND:
            raise UsageError(
                f"The sandbox's background is {self.background}; it is 0 to {MOST_BACKGROUND}."
            )
        if self.in_image and not self.as_root:
            raise UsageError(
                "Work in the image's own folders takes the preset `compat`.",
                "Leave --preset and --workspace out for such a task.",
            )
        if resettable and self.as_root:
            raise UsageError(
                "A sandbox with the preset `compat` cannot be put back: its commands may change "
                "the image's folders.",
                "Work with one candidate, or with the preset `strict`.",
            )
        if self.cpus <= 0 or self.command_timeout <= 0:
            raise UsageError("The sandbox's cpus and command_timeout have to be above zero.")
        if self.network_bytes < 1:
            raise UsageError("The sandbox's network_bytes have to be above zero.")
        if self.pids < 16:
            raise UsageError(f"The sandbox's pids is {self.pids}; at least 16 are needed.")
        parts = self._parts(resettable)
        total = sum(parts.values())
        if total > self.memory_bytes:
            terms = " + ".join(f"{name} {size / MIB:,.0f}" for name, size in parts.items())
            raise UsageError(
                "The sandbox's file systems are kept in memory and do not fit: "
                f"{terms} = {total / MIB:,.0f} MiB, but memory is {self.memory_bytes / MIB:,.0f}.",
                "Raise `memory`, or lower `workspace_size`.",
            )

    def relaxations(self) -> tuple[str, ...]:
        """In words, each thing that this policy allows beyond the strict preset."""
        strict = Policy()
        found = []
        if self.as_root:
            found.append("commands are root inside and may write to the image's folders (compat)")
        if self.on_disk:
            found.append("the workspace is on the engine's disk, without a bound on its size")
        if self.isolation == "gvisor":
            found.append("in gVisor only memory bounds how many processes and files there are")
        if self.background:
            found.append(f"up to {self.background} commands may run in the background")
        if self.network:
            found.append(f"it may reach {Allowlist.parse(self.network)}, which clean rooms may not")
        for field in fields(self):
            mine, usual = getattr(self, field.name), getattr(strict, field.name)
            if field.name in _BOUNDS and mine > usual:
                found.append(f"{_BOUNDS[field.name]}: {_plain(field.name, mine, usual)}")
        return tuple(found)

    def for_a_clean_room(self) -> "Policy":
        """The same without what tests that count must not depend on: a network, other commands."""
        return replace(self, network=(), background=0)

    def as_dict(self) -> Mapping[str, Any]:
        """The limits by name, for the trajectory."""
        return asdict(self)


#: The bounds whose raising is a relaxation, as they are named to a user.
_BOUNDS = {
    "memory_bytes": "memory",
    "cpus": "cores",
    "pids": "processes",
    "workspace_bytes": "workspace",
    "workspace_inodes": "files in the workspace",
    "tmp_bytes": "/tmp",  # noqa: S108 - the sandbox's own
    "home_bytes": "home",
    "shm_bytes": "shared memory",
    "open_files": "open files",
    "file_bytes": "one file",
    "network_bytes": "bytes exchanged with the network",
}


def _plain(name: str, mine: float, usual: float) -> str:
    if name.endswith("_bytes"):
        return f"{mine / MIB:,.0f} MiB instead of {usual / MIB:,.0f}"
    return f"{mine:,g} instead of {usual:,g}"
