"""Containers that a dead process left behind: known by their labels, removed at the next open.

Normally none is left: a supervisor exits when its stream ends, and the engine removes the
container. But a process killed between create and start leaves a container that never started.
"""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

OWNER_LABEL = "greenroom.owner"
OPENED_LABEL = "greenroom.opened"
#: For an image made of a container: a container of it must not be taken for that one.
DISOWNED = {OWNER_LABEL: "", OPENED_LABEL: ""}
# Opening takes seconds; a container that another host created so long ago is nobody's.
FOREIGN_AGE = 24 * 3600.0
# An image may have labels of any text, and containers of it have them too.
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Owner:
    """A process that opened a sandbox: its host's boot, its pid namespace, pid and start time."""

    boot: str
    namespace: str
    pid: int
    started: str

    def label(self) -> str:
        return f"{self.boot}/{self.namespace}/{self.pid}/{self.started}"

    @classmethod
    def parse(cls, label: str) -> "Owner | None":
        """The owner that a label names, None for a label that names none."""
        parts = label.split("/")
        if len(parts) != 4 or not _NUMBER.fullmatch(parts[2]):
            return None
        return cls(parts[0], parts[1], int(parts[2]), parts[3])

    def alive(self) -> bool | None:
        """Whether the process still lives; None when that cannot be known from here."""
        here = this_process()
        if (self.boot, self.namespace) != (here.boot, here.namespace):
            return None
        return _start_time(self.pid) == self.started


@cache
def _this_process(pid: int) -> Owner:
    return Owner(_boot(), _namespace(), pid, _start_time(pid))


def this_process() -> Owner:
    """This process as an owner."""
    return _this_process(os.getpid())


def owner_labels() -> dict[str, str]:
    """The labels of a container that this process opens."""
    return {OWNER_LABEL: this_process().label(), OPENED_LABEL: str(int(time.time()))}


def remove_leftovers(api: Any, *, dry_run: bool = False) -> list[str]:
    """Remove the containers whose owner is dead; their names. One whose owner lives is never
    touched, nor a young one of an owner that cannot be seen from here. With `dry_run` only tells
    them. Blocks."""
    import docker  # noqa: PLC0415

    removed = []
    for found in api.containers(all=True, filters={"label": OWNER_LABEL}):
        if not _is_leftover(found["Labels"], time.time()):
            continue
        name = (found["Names"] or [found["Id"][:12]])[0].lstrip("/")
        try:
            if dry_run:
                api.inspect_container(found["Id"])
            else:
                api.remove_container(found["Id"], force=True, v=True)
        except docker.errors.NotFound:
            # Gone already. An engine that was killed may list it until its next start but one.
            continue
        except docker.errors.APIError as error:
            if error.status_code != 409:  # somebody else is removing it
                raise
        removed.append(name)
    return removed


def _is_leftover(labels: dict[str, str], now: float) -> bool:
    owner = Owner.parse(labels.get(OWNER_LABEL, ""))
    alive = owner.alive() if owner else None
    if alive is not None:
        return not alive
    opened = labels.get(OPENED_LABEL, "")
    return bool(_NUMBER.fullmatch(opened)) and now - int(opened) > FOREIGN_AGE


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return _said("sysctl", "-n", "kern.bootsessionuuid")


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return sys.platform


def _start_time(pid: int) -> str:
    """What tells a process from a later one with its pid: its start; "" when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        # No such process, or a system without /proc.
        return "" if Path("/proc/self").exists() else _said("ps", "-o", "lstart=", "-p", str(pid))
    except OSError:
        return ""
    fields = stat.rpartition(b")")[2].split()
    # A process that ended stays to be seen until its parent has asked for its end.
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode("ascii")


def _said(*command: str) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip().replace("/", "-")
