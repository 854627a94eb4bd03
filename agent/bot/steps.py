"""The three steps of one run, for whichever forge: accept, propose, publish.

Each reads the same event and the same configuration of the default branch for itself, so none has
to believe what another one hands on; but for the proposal, which publishing judges anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from agent.bot import config, proposal, state
from agent.bot.accept import Decision, accept, stopped
from agent.bot.config import Config
from agent.bot.forge import Forge, Issue
from agent.bot.permission import refusal
from agent.bot.proposal import Proposal
from agent.bot.propose import propose
from agent.bot.publish import Published, publish
from agent.bot.trigger import NotForUs, Trigger
from agent.keys import Value
from agent.settingsfile import OWN, PROJECT
from sandbox.errors import UsageError

Step = Literal["accept", "propose", "publish"]
STEPS = get_args(Step)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """One run of the bot: its forge, how the event is read, where the proposal goes and stands."""

    forge: Forge
    read: Callable[[Config], Trigger | NotForUs]
    folder: Path
    run_url: str
    say: Say
    flags: Mapping[str, Value] = field(default_factory=dict)

    def opened(self) -> tuple[Config, Trigger | NotForUs]:
        """The default branch's configuration, and what the event asks by it. Raises UsageError for
        a configuration or an event that is none, ForgeError."""
        forge = self.forge
        commit = forge.base_commit(forge.repository().default_branch)
        found = config.read(forge.file(OWN, commit), forge.file(PROJECT, commit))
        forge.use_fork(found.fork)
        return found, self.read(found)

    def accept(self) -> Decision:
        """Raises UsageError and ForgeError, as all steps do."""
        found, trigger = self._worded()
        if isinstance(trigger, NotForUs):
            return Decision(False, trigger.reason)
        return accept(self.forge, trigger, found, datetime.now(UTC), self.run_url)

    async def propose(self) -> Proposal | None:
        """None where the event asks for no attempt."""
        found, trigger = self._worded()
        reason = trigger.reason if isinstance(trigger, NotForUs) else self._none(trigger, found)
        if reason or isinstance(trigger, NotForUs):
            self.say(f"no attempt: {reason}")
            return None
        return await propose(
            *(self.forge, trigger, found, self.flags, self.folder, self.say),
            stopped=lambda: stopped(self.forge, trigger),
        )

    def publish(self) -> Published:
        found, trigger = self.opened()
        if isinstance(trigger, NotForUs):
            return Published("", trigger.reason)
        reason = ""
        if issue := self._issue(trigger):
            reason = self._unused(trigger, issue)
            # What was made of the old words is still good; the new ones are shown nowhere.
            trigger = trigger if reason else _with_words(trigger, issue)
        made = self._proposal(trigger, reason)
        if issue and issue.confidential:
            made = _broken(trigger, reason)
        return publish(self.forge, trigger, found, made, self.run_url)

    def _worded(self) -> tuple[Config, Trigger | NotForUs]:
        """As `opened`, with the words of the issue that a dispatch names."""
        found, trigger = self.opened()
        if isinstance(trigger, NotForUs) or (issue := self._issue(trigger)) is None:
            return found, trigger
        if reason := self._unused(trigger, issue):
            return found, NotForUs(reason)
        return found, _with_words(trigger, issue)

    def _issue(self, trigger: Trigger) -> Issue | None:
        """The issue whose words a trigger lacks: a dispatch's. All other events bring their own,
        as these were then."""
        if trigger.source != "dispatch" or trigger.place is None:
            return None
        return self.forge.issue(trigger.place)

    def _unused(self, trigger: Trigger, issue: Issue) -> str:
        """Why the words of an issue are not used for a dispatch; empty where they are."""
        assert trigger.place is not None  # noqa: S101 - it has an issue
        where = f"issue #{trigger.place.number}"
        if issue.confidential:
            return f"{where} is confidential, and what the bot makes of it would show it"
        kept = state.latest(self.forge.my_comments(trigger.place), self.forge.me())
        known = kept[1] if kept else state.State()
        # Forges tell times in whole seconds.
        asked = known.asked_at(trigger).replace(microsecond=0)
        if issue.edited_at and issue.edited_at >= asked:
            return f"{where} was edited after this was asked: read what it says now, and ask anew"
        return ""

    def _none(self, trigger: Trigger, found: Config) -> str:
        """Why a trigger asks for no attempt, empty where it does."""
        return "a stop" if trigger.action == "stop" else refusal(self.forge, trigger, found)

    def _proposal(self, trigger: Trigger, reason: str) -> Proposal:
        """The other job's proposal; where that left none, or none of this event, one that says so,
        with `reason` if there is one: somebody waits for an answer all the same."""
        left = "What the job that makes the attempt left is"
        if (self.folder / proposal.FILE).exists():
            try:
                found = proposal.read(self.folder)
            except UsageError as problem:
                return _broken(trigger, f"{left} no result: {problem.message}")
            if found.key == trigger.key:
                return found
            return _broken(trigger, f"{left} of another event.")
        missing = "The job that makes the attempt left no result; its log says why."
        return _broken(trigger, reason or missing)


def _with_words(trigger: Trigger, issue: Issue) -> Trigger:
    return replace(trigger, title=issue.title, text=issue.text, author=issue.author)


def _broken(trigger: Trigger, reason: str) -> Proposal:
    return Proposal(trigger.key, "broken", reason, "", "")
