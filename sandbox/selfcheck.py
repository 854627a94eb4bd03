"""Whether this engine holds what a sandbox promises: each control is tried in a real sandbox."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.container import CommandResult, Sandbox
from sandbox.engine import Engine
from sandbox.errors import InfrastructureError
from sandbox.image import Image
from sandbox.policy import Isolation
from sandbox.probes import NOT_TO_BE_TRUSTED, POLICY, PROBES, Probe
from sandbox.trees import Base, TreeStore


@dataclass(frozen=True)
class Control:
    """A control as it was found: `tried` is what was tried, `seen` what came of it, `advice` what
    to do where it does not hold, `instead` what holds where the isolation has no such bound."""

    name: str
    tried: str
    holds: bool
    seen: str
    advice: str
    instead: str = ""


async def check_controls(
    image: Image, engine: Engine, scratch: Path, isolation: Isolation = "container"
) -> list[Control]:
    """Try every control in a sandbox of `image`, another one where a try ended the whole sandbox.
    `scratch` is an empty folder to work in.

    Raises what `Sandbox.open` raises.
    """
    store = TreeStore.create(scratch / "trees.git")
    base = Base(store, store.add_tree([("probe.txt", 0o100644, b"")]))
    policy = replace(POLICY, isolation=isolation)
    found: list[Control] = []
    waiting: list[Probe | None] = [*PROBES, None]
    while waiting:
        async with Sandbox.open(image, base, policy, resettable=True, engine=engine) as box:
            while waiting:
                probe = waiting.pop(0)
                try:
                    found.append(await (_try(box, probe, isolation) if probe else _time(box)))
                except InfrastructureError as error:
                    if probe is None:
                        raise
                    found.append(_ended(probe, error, isolation))
                    break
                await box.reset()
    return found


async def _try(box: Sandbox, probe: Probe, isolation: Isolation) -> Control:
    result = await box.run(probe.command, timeout=30)
    words = result.output.text.split()
    holds = probe.holds(words, result.reason, isolation)
    return _control(probe, holds, _seen(words, result), isolation)


def _ended(probe: Probe, error: InfrastructureError, isolation: Isolation) -> Control:
    """What a try is worth that ended the whole sandbox, as too much memory does in gVisor."""
    holds = probe.reason == error.cause
    return _control(probe, holds, f"ended the sandbox: {error.cause}", isolation)


def _control(probe: Probe, holds: bool, seen: str, isolation: Isolation) -> Control:
    instead = probe.without if isolation == "gvisor" and not holds else ""
    return Control(probe.name, probe.tried, holds, seen, "" if holds else probe.advice, instead)


async def _time(box: Sandbox) -> Control:
    """A command that is over its time, with a daemon that has left its session."""
    result = await box.run("setsid sleep 300 & sleep 300", timeout=0.5)
    left = (await box.run(["pgrep", "-c", "sleep"])).output.text.split()
    holds = result.reason == "timeout" and left == ["0"]
    return Control(
        "time",
        "go on after the time is up, leave a daemon",
        holds,
        f"{_seen([], result)}; left: {' '.join(left)}",
        "" if holds else NOT_TO_BE_TRUSTED,
    )


def _seen(words: Sequence[str], result: CommandResult) -> str:
    """What came of a try, in a few words."""
    said = " ".join(dict.fromkeys(words))[-200:]
    ended = "" if result.reason == "exit" else f"ended by {result.reason}"
    return "; ".join(part for part in (said, ended) if part)
