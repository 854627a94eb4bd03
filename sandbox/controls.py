"""The controls around one sandbox: what its supervisor is asked of them, and which are lacking.

The answer comes from inside, from an image that is not trusted, so it can hide a lack. What it
cannot hide is what the engine said of itself (`Abilities.lacking`), and what `greenroom doctor`
tries with Greenroom's own image.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.abilities import DELEGATE, Abilities
from sandbox.errors import InfrastructureError, SetupError
from sandbox.podman import HANDING_OVER
from sandbox.policy import Policy
from sandbox.profile import (
    HOME,
    MASKED,
    READ_ONLY,
    SHARED_MEMORY,
    WORKSPACE,
    bounds,
    capabilities,
)

# The kernel's numbers of capabilities.
NUMBERS = {
    **{"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4},
    **{"KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8},
}
ROOT = "/"
PAGE = 1 << 16  # limits are rounded to pages, of 64 KiB at most


def opening(uid: int, policy: Policy, abilities: Abilities) -> dict[str, Any]:
    """What the supervisor's first request has to hold: which folders to hand over and which
    capabilities to give up, and what to look at."""
    places = tuple(bounds(policy, 0))
    own = [{"path": p, "uid": uid, "mode": 0o755} for p in places if p in (WORKSPACE, HOME)]
    shared = ("/tmp", SHARED_MEMORY)  # noqa: S108 - the sandbox's own
    others = [{"path": p, "uid": 0, "mode": 0o1777} for p in places if p in shared]
    spare = set(HANDING_OVER) - set(capabilities(policy))
    return {
        "hand_over": own + others if abilities.libpod else [],
        "give_up": sorted(NUMBERS[name] for name in spare) if abilities.libpod else [],
        "look_at": {
            "folders": list(places),
            "masked": list(MASKED),
            "fixed": [*(() if policy.as_root else (ROOT,)), *READ_ONLY],
        },
    }


def lacking(
    reply: Mapping[str, Any], policy: Policy, abilities: Abilities, private_bytes: int
) -> tuple[str, ...]:
    """The controls that do not hold in a sandbox, in words, from the reply to its first request.

    Raises SetupError when one is missing without which no sandbox is safe, InfrastructureError for
    a reply that is none.
    """
    try:
        seen = reply["seen"]
        unsafe = list(_unsafe(seen, policy))
        found = [*abilities.lacking, *_lacking(seen, policy, abilities, private_bytes)]
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise InfrastructureError(
            f"The sandbox's supervisor did not tell its controls: {error!r}"
        ) from error
    if unsafe:
        without = " and without ".join(unsafe)
        raise SetupError(
            f"The {abilities.engine} engine started a sandbox without {without}.",
            f"Do not run code that you do not trust on this engine. {DELEGATE}",
        )
    return tuple(dict.fromkeys(found))


def _unsafe(seen: Mapping[str, Any], policy: Policy) -> Iterator[str]:
    ours = sum(1 << NUMBERS[name] for name in capabilities(policy))
    if (int(seen["CapPrm"]) | int(seen["CapBnd"])) & ~ours:
        yield "dropping all capabilities"
    if policy.isolation == "gvisor":
        return  # the filter and the limits are around it, and cannot be seen from inside
    if int(seen.get("Seccomp", 2)) != 2:
        yield "its system call filter"
    if int(seen.get("NoNewPrivs", 1)) != 1:
        yield "no-new-privileges"
    if not _within(seen, "memory", policy.memory_bytes + PAGE):
        yield "a limit of memory"
    if not _within(seen, "processes", policy.pids):
        yield "a limit of processes"


def _lacking(
    seen: Mapping[str, Any], policy: Policy, abilities: Abilities, private_bytes: int
) -> Iterator[str]:
    if policy.isolation == "gvisor":
        return  # `Policy.relaxations` says what it does not bound
    cpus = min(policy.cpus, abilities.cpus)
    if not _within(seen, "processor time", cpus + 0.01):
        yield "processor time"
    if seen["has swap"] and not (_no_swap(seen, policy)):
        yield "swap"
    wanted = bounds(policy, private_bytes)
    folders = seen["folders"]
    if any(not _bounded(folders[path][0], most) for path, (most, _) in wanted.items()):
        yield "bytes in files"
    if any(not _bounded(folders[path][1], most) for path, (_, most) in wanted.items()):
        yield "number of files"
    resources = seen["resources"]
    most = {"NOFILE": policy.open_files, "FSIZE": policy.file_bytes, "CORE": 0, "MEMLOCK": 0}
    if any(not 0 <= int(resources[name]) <= limit for name, limit in most.items()):
        yield "per process"
    if seen["readable"]:
        yield "masked files"
    if ROOT in seen["writable"]:
        yield "read-only root"
    if set(seen["writable"]) - {ROOT}:
        yield "read-only settings of the kernel"


def _within(seen: Mapping[str, Any], name: str, most: float) -> bool:
    """Whether a limit is there and no higher than `most`; one that is not known counts as there."""
    if name not in seen:
        return True
    return seen[name] is not None and float(seen[name]) <= most


def _no_swap(seen: Mapping[str, Any], policy: Policy) -> bool:
    if "swap" in seen:
        return _within(seen, "swap", 0)
    return "memory and swap" in seen and _within(
        seen, "memory and swap", policy.memory_bytes + PAGE
    )


def _bounded(found: Any, most: int) -> bool:
    return 0 < int(found) <= most + PAGE
