"""The first job: is this for us, may they ask, is it new; then an answer within seconds.

It runs nobody's code. Of several deliveries of one event one goes on: each leaves a comment that
claims the work, the forge gives them numbers, and the lowest number has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.bot import state
from agent.bot.config import Config
from agent.bot.forge import Comment, Forge, ForgeError
from agent.bot.permission import refusal
from agent.bot.state import State
from agent.bot.trigger import BUILD_BRANCHES, Place, Trigger

DAY = timedelta(days=1)
#: A claim that nobody has confirmed for so long is of a job that died.
_STALE = timedelta(minutes=10)


@dataclass(frozen=True)
class Decision:
    """Whether work begins, and why in a sentence for the job's log."""

    go: bool
    reason: str


def accept(forge: Forge, trigger: Trigger, config: Config, now: datetime, run_url: str) -> Decision:
    """Decides on a trigger, and answers it where its actor may ask. Raises ForgeError.

    A stranger gets no answer at all: whatever they write, nothing is set off by it.
    """
    if reason := refusal(forge, trigger, config):
        return Decision(False, reason)
    if trigger.place is None:
        return _without_place(forge, trigger)
    if trigger.action == "stop":
        return _stop(forge, trigger, trigger.place, now)
    return _begin(forge, trigger, trigger.place, config, now, run_url)


def stopped(forge: Forge, trigger: Trigger) -> bool:
    """Whether somebody has stopped what the trigger asked for. Raises ForgeError."""
    if trigger.place is None:
        return False
    kept = state.latest(forge.my_comments(trigger.place), forge.me())
    return kept is not None and kept[1].stops(trigger)


def _without_place(forge: Forge, trigger: Trigger) -> Decision:
    if trigger.build is not None:
        for pull in forge.open_pulls(BUILD_BRANCHES):
            if pull.base_branch == trigger.build.branch:
                return Decision(False, f"{pull.url} is there already for {trigger.build.branch}")
    return Decision(True, f"asked by {trigger.actor.login}")


def _stop(forge: Forge, trigger: Trigger, place: Place, now: datetime) -> Decision:
    _acknowledged(forge, trigger)
    kept = state.latest(forge.my_comments(place), forge.me())
    if kept is None:
        return Decision(False, "a stop, and nothing is at work")
    comment, known = kept
    if known.stops(trigger):
        return Decision(False, "the same stop was taken up already")
    text = f"Stopped, as `{trigger.actor.login}` asked."
    if not known.busy(now):
        return Decision(False, "a stop, and nothing is at work")
    forge.edit_comment(comment, state.body(replace(known, stopped=trigger.at).ended(), text))
    return Decision(False, "stopped what was at work")


def _begin(
    forge: Forge, trigger: Trigger, place: Place, config: Config, now: datetime, run_url: str
) -> Decision:
    me = forge.me()
    kept = state.latest(forge.my_comments(place), me)
    if kept and (reason := _old(kept[1], trigger, now, run_url)):
        return Decision(False, reason)
    limit = _limit(forge, trigger, config, now)
    if limit and kept and not kept[1].busy(now):
        forge.edit_comment(kept[0], state.body(kept[1], limit))
    if limit:
        return Decision(False, limit)
    if not _acknowledged(forge, trigger):
        return Decision(False, "what asked for it is gone")
    text = _working(trigger, run_url)
    mine = replace(State().with_trigger(trigger, now, run_url), claim=True)
    claim = forge.add_comment(place, state.body(mine, text))
    try:
        comments = forge.my_comments(place)
        if reason := _lost(claim, comments, trigger, me, now, run_url):
            forge.delete_comment(claim)
            return Decision(False, reason)
        kept = state.latest(comments, me)
        comment, known = kept or (claim, State())
        begun = known.with_trigger(trigger, now, run_url)
        forge.edit_comment(comment, state.body(begun, text))
    except ForgeError as error:
        # The job fails, and nothing is at work: its next try is not to find this one's claim.
        _taken_back(forge, claim, error)
        raise
    useless = [
        each
        for each, other in state.claims(comments, me)
        if each.id != comment.id and (each.id == claim.id or _dead(each, other, now, run_url))
    ]
    notes = _deleted(forge, useless)
    return Decision(True, "; ".join([f"asked by {trigger.actor.login}", *notes]))


def _taken_back(forge: Forge, claim: Comment, error: ForgeError) -> None:
    try:
        forge.delete_comment(claim)
    except ForgeError as second:
        error.hint = f"{error.hint} Nor could its comment be deleted: {second.message}".strip()


def _deleted(forge: Forge, comments: Sequence[Comment]) -> Sequence[str]:
    """Deletes claims that are of no use any more; what stays is told, and goes with the next."""
    notes = []
    for comment in comments:
        try:
            forge.delete_comment(comment)
        except ForgeError as error:
            notes.append(f"a comment is left: {error.message}")
    return notes


def _acknowledged(forge: Forge, trigger: Trigger) -> bool:
    """Answers with a reaction; False where what asked was taken back meanwhile."""
    try:
        forge.acknowledge(trigger)
    except ForgeError as error:
        if error.status == 404:
            return False
        raise
    return True


def _dead(comment: Comment, claim: State, now: datetime, run_url: str) -> bool:
    """Whether a claim is of a job that is no more: an earlier try of this very run, or old."""
    own = bool(run_url) and any(asked.run == run_url for asked in claim.asked)
    return own or now - comment.updated_at >= _STALE


def _old(known: State, trigger: Trigger, now: datetime, run_url: str) -> str:
    """Why a request is none that work begins for, as far as the kept comment tells."""
    if known.begun_by(trigger, run_url) and not known.replaced(trigger):
        return ""
    if known.knows(trigger):
        return "this event was taken up already"
    if known.overtaken(trigger):
        return "something asked later was taken up already"
    if known.busy(now):
        return "an attempt is at work here already; stop it first, or wait"
    return ""


def _lost(
    claim: Comment,
    comments: Sequence[Comment],
    trigger: Trigger,
    me: str,
    now: datetime,
    run_url: str,
) -> str:
    """Why another delivery has the work, empty where this one has."""
    kept = state.latest(comments, me)
    if kept and (reason := _old(kept[1], trigger, now, run_url)):
        return reason
    for comment, other in state.claims(comments, me):
        if comment.id < claim.id and not _dead(comment, other, now, run_url):
            return "another delivery has this work"
    return ""


def _limit(forge: Forge, trigger: Trigger, config: Config, now: datetime) -> str:
    """The limit of requests a day that is reached, as a sentence."""
    then = now - DAY
    me = forge.me()
    asked = [
        each
        for comment in forge.my_recent_comments(then)
        for known in [state.read(comment, me)]
        if known is not None
        for each in known.since(then)
    ]
    if len(asked) >= config.repository_limit:
        return (
            f"The limit of {config.repository_limit} requests a day of this repository is reached."
        )
    own = [each for each in asked if each.actor == trigger.actor.login]
    if len(own) >= config.author_limit:
        limit = config.author_limit
        return f"The limit of {limit} requests a day of `{trigger.actor.login}` is reached."
    return ""


def _working(trigger: Trigger, run_url: str) -> str:
    where = f" ([the run]({run_url}))" if run_url else ""
    return (
        f"Working on it{where}, as `{trigger.actor.login}` asked.\n\n"
        "`/greenroom stop` ends it. This comment will say how it went."
    )
