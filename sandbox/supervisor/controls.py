"""What the kernel tells of the controls around this container, and taking over its folders."""

from __future__ import annotations

import os
import resource
import struct

from sandbox.supervisor.light import get_errno
from sandbox.supervisor.processes import libc, set_process_option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PR_CAPBSET_DROP = 24
CAPABILITY_VERSION = 0x20080522
CGROUP = "/sys/fs/cgroup/"
# Of each limit the files of version 2 and of version 1; there the one that is there counts.
LIMITS = {
    "memory": ("memory.max", "memory/memory.limit_in_bytes"),
    "memory and swap": ("", "memory/memory.memsw.limit_in_bytes"),
    "swap": ("memory.swap.max", ""),
    "processes": ("pids.max", "pids/pids.max"),
}
RESOURCES = ("NOFILE", "FSIZE", "CORE", "MEMLOCK")


def hand_over(places: list[dict[str, Any]], given_up: list[int]) -> None:
    """Give folders that the engine made for root to their owners; then give up, for good, the
    capabilities that only this took."""
    for place in places:
        os.chmod(place["path"], place["mode"])
        os.chown(place["path"], place["uid"], place["uid"])
    if given_up:
        _give_up(given_up)


def _give_up(numbers: list[int]) -> None:
    for number in numbers:
        set_process_option(PR_CAPBSET_DROP, number)
    kept = _status()["CapPrm"]
    for number in numbers:
        kept &= ~(1 << number)
    halves = (kept & 0xFFFFFFFF, kept >> 32)
    # Effective, permitted, inheritable: the lower 32 of each, then the upper.
    sets = struct.pack("=6I", halves[0], halves[0], 0, halves[1], halves[1], 0)
    header = struct.pack("=Ii", CAPABILITY_VERSION, 0)
    if libc.capset(header, sets):
        raise OSError(get_errno(), "capset")


def seen(folders: list[str], masked: list[str], fixed: list[str]) -> dict[str, Any]:
    """The controls as they are here; what cannot be known is left out. `masked` are paths that
    should have no content, `fixed` folders that should be read-only."""
    return {
        **_status(),
        **_cgroup(),
        "processor time": _share(),
        "folders": {path: _bounds(path) for path in folders if os.path.isdir(path)},
        "readable": [path for path in masked if _has_content(path)],
        "writable": [path for path in fixed if _is_writable(path)],
        "resources": {
            n: resource.getrlimit(getattr(resource, "RLIMIT_" + n))[1] for n in RESOURCES
        },
        "has swap": _has_swap(),
    }


def _status() -> dict[str, int]:
    found = {}
    with open("/proc/self/status") as stream:
        for line in stream:
            name, _, text = line.partition(":")
            if name in ("Seccomp", "NoNewPrivs"):
                found[name] = int(text)
            elif name in ("CapPrm", "CapBnd"):
                found[name] = int(text, 16)
    return found


def _cgroup() -> dict[str, int | None]:
    """Limits by name; None: there is none."""
    found: dict[str, int | None] = {}
    for name, files in LIMITS.items():
        for file in filter(None, files):
            text = _read(CGROUP + file)
            if text:
                found[name] = None if text[0] == "max" else int(text[0])
    return found


def _share() -> float | None:
    """Of how many processors the time may be had; None: all. 0 where that is not known."""
    both = _read(CGROUP + "cpu.max") or [
        *_read(CGROUP + "cpu/cpu.cfs_quota_us"),
        *_read(CGROUP + "cpu/cpu.cfs_period_us"),
    ]
    if len(both) != 2:
        return 0
    return None if both[0] in ("max", "-1") else int(both[0]) / int(both[1])


def _bounds(path: str) -> list[int]:
    """Of a file system: bytes, and files (0 where that is not bounded)."""
    found = os.statvfs(path)
    return [found.f_blocks * found.f_frsize, found.f_files]


def _has_content(path: str) -> bool:
    try:
        if os.path.isdir(path):
            return bool(os.listdir(path))
        with open(path, "rb", 0) as stream:
            return bool(stream.read(1))
    except OSError:
        return False


def _is_writable(path: str) -> bool:
    try:
        return not os.statvfs(path).f_flag & os.ST_RDONLY
    except OSError:
        return False


def _has_swap() -> bool:
    return ["SwapTotal:", "0", "kB"] not in _lines("/proc/meminfo")


def _lines(path: str) -> list[list[str]]:
    try:
        with open(path) as stream:
            return [line.split() for line in stream]
    except OSError:
        return []


def _read(path: str) -> list[str]:
    """The words of a file, none when it cannot be read."""
    return [word for line in _lines(path) for word in line]
