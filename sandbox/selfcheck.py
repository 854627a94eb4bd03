"""Whether this engine holds what a sandbox promises: each control is tried in a real sandbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.container import CommandResult, Sandbox
from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.probes import NOT_TO_BE_TRUSTED, POLICY, PROBES
from sandbox.trees import Base, TreeStore


@dataclass(frozen=True)
class Control:
    """A control as it was found: `tried` is what was tried, `seen` what came of it, `advice` what
    to do where it does not hold."""

    name: str
    tried: str
    holds: bool
    seen: str
    advice: str


async def check_controls(image: Image, engine: Engine, scratch: Path) -> list[Control]:
    """Try every control in a sandbox of `image`. `scratch` is an empty folder to work in.

    Raises what `Sandbox.open` raises.
    """
    store = TreeStore.create(scratch / "trees.git")
    base = Base(store, store.add_tree([("probe.txt", 0o100644, b"")]))
    found = []
    async with Sandbox.open(image, base, POLICY, resettable=True, engine=engine) as box:
        for probe in PROBES:
            result = await box.run(probe.command, timeout=30)
            words = result.output.text.split()
            holds = probe.holds(words, result.reason)
            advice = "" if holds else probe.advice
            found.append(Control(probe.name, probe.tried, holds, _seen(words, result), advice))
            await box.reset()
        found.append(await _time(box))
    return found


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
