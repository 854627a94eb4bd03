"""What a sandbox may use: plain frozen data, with one hardened default."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

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


@dataclass(frozen=True)
class Policy:
    """Limits of one sandbox. Sizes in bytes, times in seconds.

    `memory_bytes` bounds processes and the in-memory file systems together (workspace, /tmp, home,
    /dev/shm); no swap. `file_bytes` bounds one file. `output_bytes` is what is kept of a command's
    output, half from its start and half from its end; output beyond `output_stop_bytes` ends it.
    """

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
    network: Literal["none"] = "none"

    @property
    def scratch_inodes(self) -> int:
        """Files allowed in /tmp, and in home."""
        return max(4096, self.workspace_inodes // 4)

    def private_bytes(self, resettable: bool) -> int:
        """The size of /run/greenroom, which holds a resettable sandbox's copy of its base."""
        return PRIVATE_BYTES + (self.workspace_bytes if resettable else 0)

    def spare_bytes(self, *, resettable: bool = False) -> int:
        """Memory that no file system and no process was counted for."""
        return self.memory_bytes - sum(self._parts(resettable).values())

    def _parts(self, resettable: bool) -> dict[str, int]:
        inodes = self.workspace_inodes + 2 * self.scratch_inodes + SHM_INODES
        return {
            "workspace": self.workspace_bytes,
            "tmp": self.tmp_bytes,
            "home": self.home_bytes,
            "shm": self.shm_bytes,
            "support files": self.private_bytes(resettable),
            "files at 1 KiB each": inodes * INODE_BYTES,
            "processes": PROCESS_BYTES,
        }

    def check(self, *, resettable: bool = False) -> None:
        """Raise UsageError, with the arithmetic, for limits that contradict each other."""
        for name in ("memory_bytes", "pids", "workspace_bytes", "workspace_inodes", "open_files"):
            if getattr(self, name) < 1:
                raise UsageError(f"The sandbox's {name} is {getattr(self, name)}.", "Raise it.")
        if self.cpus <= 0 or self.command_timeout <= 0:
            raise UsageError("The sandbox's cpus and command_timeout have to be above zero.")
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

    def as_dict(self) -> Mapping[str, Any]:
        """The limits by name, for the trajectory."""
        return asdict(self)
