"""Why a container has ended, or says nothing any more: what the engine knows of it, in words.

The engine removes a sandbox's container as soon as it ends; what stays are the engine's events.
It tells of an end a moment after the stream has ended, and forgets everything when it is restarted.
"""

import json
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sandbox.errors import Cause

INSPECT_SECONDS = 10.0
# How long the news of an end may take; of a container that is removed already, they are all there.
EVENT_SECONDS, TOLD_SECONDS = 10.0, 2.0
RECENT_SECONDS = 3600.0
# An engine that is being stopped ends its containers first, and may answer for a moment after that.
CLOSING_LOOKS, CLOSING_SECONDS = 6, 0.25
KILLED_STATUS = 128 + signal.SIGKILL
ENDING_SIGNALS = ("", "9", "15")  # as the engine tells them, where it does
OOM_SECONDS = 5
PODMAN_DIE = "died"  # its own word for it
ENDED = ("exited", "dead", "stopped")

HINTS: Mapping[Cause, str] = {
    "killed": "Something on this machine ended it (docker kill, docker rm, a clean-up job, the "
    "system for want of memory): leave containers named greenroom-* alone.",
    "paused": "Something paused it (docker pause): leave containers named greenroom-* running.",
    "memory": "Raise --memory, or have the tests use less at a time.",
    "disk": "Free some space on the engine's disk (`docker system df` shows what uses it; "
    "`greenroom prune --images` removes ours).",
    "engine": "See that the engine runs (`docker info`). What it left of the sandbox is removed at "
    "the next start.",
    "protocol": "Nothing that runs in a sandbox should be able to do this: please report it.",
    "silent": "The machine may have too much to do, or was asleep.",
    "supervisor": "This is a fault of ours: please report it.",
}


@dataclass(frozen=True)
class Ending:
    """`words` go on after "The sandbox NAME is gone: "."""

    cause: Cause
    words: str


def why_ended(api: Any, ident: str, diagnostics: str = "") -> Ending:
    """Why the stream of the container `ident` has ended; `diagnostics` is what its supervisor wrote
    to standard error. Blocks, for seconds where the engine does not answer."""
    try:
        state = _state(api, ident)
        events = _events_to_the_end(api, ident, EVENT_SECONDS if state else TOLD_SECONDS)
    except OSError as error:
        return Ending("engine", f"the engine does not answer ({_short(error)})")
    end = events.get("die")
    if end is None:
        # Every end is an event, and an engine that was restarted has forgotten all of them.
        return _without_event(state)
    told = _told_by(events, end, state, diagnostics)
    return (_engine_closing(api) if told.cause == "killed" else None) or told


def _engine_closing(api: Any) -> Ending | None:
    """What is to be said where the engine goes, too; None where it stays."""
    for _ in range(CLOSING_LOOKS):
        time.sleep(CLOSING_SECONDS)
        try:
            with api.get(f"{api.base_url}/_ping", timeout=INSPECT_SECONDS):
                pass
        except OSError as error:
            return Ending("engine", f"the engine does not answer ({_short(error)})")
    return None


def _told_by(
    events: Mapping[str, Mapping[str, Any]],
    end: Mapping[str, Any],
    state: Mapping[str, Any] | None,
    diagnostics: str,
) -> Ending:
    status = _exit_status(end)
    if status == 1 and "MemoryError" in diagnostics:
        return Ending("memory", "its supervisor ran out of memory")
    if _ends(events.get("kill")):
        return Ending("killed", "it was killed or stopped from outside")
    if status == KILLED_STATUS and (_just_before(events.get("oom"), end) or _out_of_memory(state)):
        return Ending("memory", "it ran out of memory")
    if status == KILLED_STATUS:
        return Ending("killed", "it was killed from outside")
    if status == 0:
        return Ending("silent", "it heard nothing from this process any more, and ended")
    return Ending("supervisor", f"its supervisor ended with status {status}")


def why_silent(api: Any, ident: str) -> Ending | None:
    """What keeps the container `ident` from answering; None when it only is busy. Blocks. Raises
    OSError when the engine does not answer."""
    state = _state(api, ident)
    if state is None or state.get("Status") in ENDED:
        return why_ended(api, ident)
    return Ending("paused", "it was paused") if state.get("Paused") else None


def _state(api: Any, ident: str) -> Mapping[str, Any] | None:
    """The container's state, None when there is no such container any more."""
    url = f"{api.base_url}/v{api.api_version}/containers/{ident}/json"
    with api.get(url, timeout=INSPECT_SECONDS) as answer:
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise OSError(f"it answers with status {answer.status_code}")
        found = answer.json()
    state = found.get("State") if isinstance(found, dict) else None
    return state if isinstance(state, dict) else None


def _events_to_the_end(api: Any, ident: str, seconds: float) -> dict[str, Mapping[str, Any]]:
    """The container's events by name, the last of each, up to its end; `seconds` for each."""
    found: dict[str, Mapping[str, Any]] = {}
    # No more of them come, or not in time: what is known then is all there is.
    with suppress(OSError, ValueError):
        for event in _events(api, ident, seconds):
            name = str(event.get("Action") or event.get("status") or "")
            name = "die" if name == PODMAN_DIE else name
            found[name] = event
            if name == "die":
                break
    return found


def _events(api: Any, ident: str, seconds: float) -> Iterator[Mapping[str, Any]]:
    wanted = {"container": [ident], "event": ["oom", "kill", "die", PODMAN_DIE]}
    since = int(time.time() - RECENT_SECONDS)
    url = f"{api.base_url}/v{api.api_version}/events"
    with api.get(
        url,
        params={"since": since, "filters": json.dumps(wanted)},
        stream=True,
        timeout=seconds,
    ) as answer:
        for line in answer.iter_lines():
            event = json.loads(line)
            if isinstance(event, dict):
                yield event


def _without_event(state: Mapping[str, Any] | None) -> Ending:
    if state is None:
        return Ending("engine", "the engine was restarted, and knows nothing of it any more")
    if state.get("Running"):
        return Ending("engine", "the engine has closed the stream to it")
    return Ending("engine", "the engine was restarted, which ended it")


def _attributes(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return (event.get("Actor") or {}).get("Attributes") or {}


def _exit_status(event: Mapping[str, Any]) -> int:
    given = _attributes(event)
    # Podman's own name for it comes second.
    text = str(given.get("exitCode") or given.get("containerExitCode") or "0")
    return int(text) if text.isdecimal() else -1


def _ends(kill: Mapping[str, Any] | None) -> bool:
    """Whether a signal was one that ends a supervisor."""
    return kill is not None and str(_attributes(kill).get("signal", "")) in ENDING_SIGNALS


def _just_before(event: Mapping[str, Any] | None, end: Mapping[str, Any]) -> bool:
    """Whether an event belongs to the end; memory may have been short at other times, too."""
    return event is not None and int(end.get("time", 0)) - int(event.get("time", 0)) <= OOM_SECONDS


def _out_of_memory(state: Mapping[str, Any] | None) -> bool:
    """With version 2 of control groups the engine may have no event of it, and only a container
    that is not yet removed tells."""
    return bool(state and state.get("OOMKilled"))


def _short(error: OSError) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 120 else text[:120] + "..."
