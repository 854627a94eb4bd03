"""What the bot remembers: a hidden marker in the one comment that it keeps at each place.

There is no other storage. A marker is believed only in a comment of the bot's own, at its very
beginning, where nothing that a stranger wrote and the bot quotes can come to stand.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from agent.bot.forge import Comment
from agent.bot.trigger import Trigger

#: An attempt that has said nothing for so long has died: no job of a forge runs longer.
LONGEST = timedelta(hours=6)
#: Requests that one comment remembers; older ones were long ago.
_KEPT = 30
_MARKER = re.compile(r"<!-- greenroom:1 ([A-Za-z0-9+/=]+) -->")


@dataclass(frozen=True)
class Asked:
    """A request that was taken up. `at` is when it was asked, `begun` when it was taken up, both
    in ISO 8601; `run` is the address of the run that took it up."""

    key: str
    actor: str
    at: str
    begun: str
    working: bool = True
    run: str = ""


@dataclass(frozen=True)
class State:
    """What was asked at one place, oldest first; when the last stop was asked; and the commit that
    the bot left its branch at. `claim` is one that no other job has confirmed yet."""

    asked: tuple[Asked, ...] = ()
    stopped: str = ""
    commit: str = ""
    claim: bool = False

    def knows(self, trigger: Trigger) -> bool:
        return any(asked.key == trigger.key for asked in self.asked)

    def begun_by(self, trigger: Trigger, run: str) -> bool:
        """Whether this run itself took the trigger up and did not come to its end: a job that broke
        off is run again."""
        return bool(run) and any(
            (asked.key, asked.run, asked.working) == (trigger.key, run, True)
            for asked in self.asked
        )

    def busy(self, now: datetime) -> bool:
        """Whether another attempt is at work."""
        return any(asked.working and now - moment(asked.begun) < LONGEST for asked in self.asked)

    def overtaken(self, trigger: Trigger) -> bool:
        """Whether something asked later was taken up already, or a stop asked later."""
        later = [asked.at for asked in self.asked] + [self.stopped]
        return any(moment(at) > moment(trigger.at) for at in later if at)

    def replaced(self, trigger: Trigger) -> bool:
        """Whether another request was taken up after the trigger. Where it was taken up itself
        their order tells: a dispatch does not say when it was sent."""
        keys = [asked.key for asked in self.asked]
        if trigger.key in keys:
            return keys[-1] != trigger.key
        return any(moment(asked.at) > moment(trigger.at) for asked in self.asked)

    def stops(self, trigger: Trigger) -> bool:
        """Whether a stop was asked after the trigger was, which is when it was taken up first: a
        dispatch does not say itself when it was sent."""
        return bool(self.stopped) and moment(self.stopped) >= self.asked_at(trigger)

    def asked_at(self, trigger: Trigger) -> datetime:
        """When a trigger was asked, as the job said that took it up first."""
        at = next((asked.at for asked in self.asked if asked.key == trigger.key), trigger.at)
        return moment(at)

    def with_trigger(self, trigger: Trigger, now: datetime, run: str = "") -> Self:
        asked = Asked(trigger.key, trigger.actor.login, trigger.at, now.isoformat(), run=run)
        others = (each for each in self.asked if each.key != trigger.key)
        return replace(self, asked=(*others, asked)[-_KEPT:], claim=False)

    def ended(self, key: str = "", commit: str = "") -> Self:
        """With the request of that key, or every one, no longer at work."""
        asked = tuple(
            replace(each, working=each.working and key not in ("", each.key)) for each in self.asked
        )
        return replace(self, asked=asked, commit=commit or self.commit)

    def since(self, then: datetime) -> tuple[Asked, ...]:
        return tuple(asked for asked in self.asked if moment(asked.begun) >= then)


def moment(text: str) -> datetime:
    """An ISO 8601 time; the beginning of time for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def body(state: State, text: str) -> str:
    """The comment that keeps `state` and says `text`."""
    data = json.dumps(asdict(state), ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return f"<!-- greenroom:1 {base64.b64encode(data).decode('ascii')} -->\n{text}"


def read(comment: Comment, me: str) -> State | None:
    """What a comment keeps, None for one that is no comment of the bot's or keeps nothing."""
    found = _MARKER.match(comment.body)
    if not found or comment.author != me:
        return None
    try:
        return _state(json.loads(base64.b64decode(found[1], validate=True)))
    except (binascii.Error, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None  # a person with the right to edit the bot's comments has


def latest(comments: Iterable[Comment], me: str) -> tuple[Comment, State] | None:
    """The comment that keeps a place's state: the first that is no mere claim."""
    for comment in sorted(comments, key=lambda each: each.id):
        state = read(comment, me)
        if state is not None and not state.claim:
            return comment, state
    return None


def claims(comments: Iterable[Comment], me: str) -> Iterator[tuple[Comment, State]]:
    """The comments that no job has confirmed yet."""
    for comment in comments:
        state = read(comment, me)
        if state is not None and state.claim:
            yield comment, state


def _state(data: dict[str, Any]) -> State:
    asked = tuple(
        Asked(
            str(each["key"]),
            str(each["actor"]),
            str(each["at"]),
            str(each["begun"]),
            bool(each["working"]),
            str(each.get("run", "")),
        )
        for each in data["asked"]
    )
    return State(asked, str(data["stopped"]), str(data["commit"]), bool(data["claim"]))
