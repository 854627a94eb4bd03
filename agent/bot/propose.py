"""The job that runs code: from a trigger to a proposal and its report, whatever happens.

It holds a token that reads. The token is given to git alone; what runs the repository's code is a
sandbox, which has neither the token nor a network.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from agent.bot import ground, report
from agent.bot.attempt import Say, Seen, attempt
from agent.bot.config import Config
from agent.bot.forge import FailedJob, Forge
from agent.bot.ground import Ground
from agent.bot.instruction import failing_tests, instruction
from agent.bot.proposal import Proposal
from agent.bot.redaction import Redaction
from agent.bot.trigger import Trigger
from agent.keys import Value
from sandbox.errors import GreenroomError
from sandbox.scratch import scratch_folder
from tasks.discovery import find_checkout
from tasks.revision import of_commit

#: Seconds between two looks at whether somebody wants it to stop.
EVERY = 15.0
#: Where each forge's token is found, and as whose password git sends it.
_TOKENS = {"github": ("GITHUB_TOKEN", "x-access-token"), "gitlab": ("GITLAB_TOKEN", "oauth2")}
#: Stands for the commit where none was found.
NO_COMMIT = "0" * 40
Result = TypeVar("Result")


class Stopped(Exception):
    """Somebody asked for the attempt to end."""


async def propose(
    forge: Forge,
    trigger: Trigger,
    config: Config,
    flags: Mapping[str, Value],
    folder: Path,
    say: Say,
    *,
    stopped: Callable[[], bool] = lambda: False,
    environ: Mapping[str, str] = os.environ,
) -> Proposal:
    """Makes an attempt and writes `proposal.json` and `report.html` into `folder`. `stopped` is
    asked now and then, in a thread of its own. Nothing is raised but for what ends this process:
    what cannot be done is a proposal that says so."""
    variable, login = _TOKENS[forge.name]
    token = environ.get(variable, "")
    seen = Seen()
    places: list[Ground] = []

    async def work() -> Proposal:
        place = await asyncio.to_thread(ground.find, forge, trigger)
        places.append(place)
        jobs = await _jobs(forge, trigger)
        remarks = await asyncio.to_thread(forge.remarks, trigger) if trigger.review else ()
        with scratch_folder() as scratch:
            say(f"fetching {place.commit[:12]} of {place.branch}")
            await asyncio.to_thread(place.fetch, scratch, token, login)
            read = of_commit(find_checkout(scratch), place.commit)
            words = instruction(trigger, read, jobs, remarks)
            must_fail = _must_fail(jobs) if trigger.build else None
            return await attempt(
                scratch, place, trigger, words, flags, say, seen, must_fail=must_fail
            )

    return await concluded(
        work, trigger, config, folder, say, seen, places, stopped=stopped, more=(token,)
    )


async def concluded(
    work: Callable[[], Coroutine[Any, Any, Proposal]],
    trigger: Trigger,
    config: Config,
    folder: Path,
    say: Say,
    seen: Seen,
    places: list[Ground],
    *,
    stopped: Callable[[], bool] = lambda: False,
    more: tuple[str, ...] = (),
) -> Proposal:
    """Runs `work` to its end and writes what came of it, without secrets. `places` gets the ground
    once it is known."""
    found = _ended(trigger, places, seen, "stopped", "The job was ended from outside.")
    try:
        found = await until(work(), stopped, say)
    except Stopped:
        found = _ended(trigger, places, seen, "stopped", "Somebody asked for it to stop.")
    except GreenroomError as error:
        found = _ended(trigger, places, seen, "broken", str(error))
    except Exception as error:  # a fault of ours must not leave the other job without an answer
        reason = f"An error inside of greenroom: {type(error).__name__}: {error}"
        found = _ended(trigger, places, seen, "broken", reason)
    finally:
        # Also where a signal has cancelled this.
        full = bool(places and places[0].private) or config.public_report == "full"
        found = _write(found, trigger, seen, folder, Redaction((*more, *seen.secrets)), full=full)
    return found


def _write(
    found: Proposal, trigger: Trigger, seen: Seen, folder: Path, hide: Redaction, *, full: bool
) -> Proposal:
    """Writes the proposal, whose words are without secrets then, and its report."""
    found = _hidden(found, hide)
    folder.mkdir(parents=True, exist_ok=True)
    found.write(folder)
    report.write(found, trigger, seen, folder, hide, full=full)
    return found


async def until(work: Coroutine[Any, Any, Result], stopped: Callable[[], bool], say: Say) -> Result:
    """The result of `work`. Raises Stopped once `stopped` says so; what works then is closed."""
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_watch(stopped, say))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        watch.result()
        raise Stopped
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _watch(stopped: Callable[[], bool], say: Say) -> None:
    """Returns when the attempt is to stop."""
    while True:
        await asyncio.sleep(EVERY)
        try:
            if await asyncio.to_thread(stopped):
                return
        except GreenroomError as error:  # the forge does not answer; the next look may
            say(f"whether to stop is not known: {error.message}")


async def _jobs(forge: Forge, trigger: Trigger) -> tuple[FailedJob, ...]:
    if trigger.build is None:
        return ()
    return tuple(await asyncio.to_thread(forge.failed_jobs, trigger.build))


def _must_fail(jobs: tuple[FailedJob, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(id for job in jobs for id in failing_tests(job.log)))


def _ended(
    trigger: Trigger, places: list[Ground], seen: Seen, status: Any, reason: str
) -> Proposal:
    """The proposal of an attempt that came to no end of its own."""
    place = places[0] if places else None
    turns = [event for event in seen.events if event["type"] == "turn.ended"]
    spent = turns[-1] if turns else {}
    usage = spent.get("usage", {})
    return Proposal(
        key=trigger.key,
        status=status,
        reason=reason,
        branch=place.branch if place else "",
        commit=place.commit if place else NO_COMMIT,
        model=seen.model,
        run=seen.run,
        version=version("greenroom"),
        turns=spent.get("turn", 0),
        seconds=spent.get("seconds", 0.0),
        tokens=usage.get("input_tokens", 0) + usage.get("output_tokens", 0),
        cost=spent.get("cost"),
    )


def _hidden(found: Proposal, hide: Redaction) -> Proposal:
    """A proposal without secrets in its words. Its patch stays as it is: the other job looks
    there for them."""
    return replace(
        found,
        reason=hide(found.reason),
        summary=hide(found.summary),
        notes=tuple(hide(note) for note in found.notes),
    )
