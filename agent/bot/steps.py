"""The three steps of one run, for whichever forge: accept, propose, publish.

Each reads the same event and the same configuration of the default branch for itself, so none has
to believe what another one hands on; but for the proposal, which publishing judges anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from agent.bot import config, proposal
from agent.bot.accept import Decision, accept, stopped
from agent.bot.config import Config
from agent.bot.forge import Forge
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
        found, trigger = self.opened()
        if isinstance(trigger, NotForUs):
            return Decision(False, trigger.reason)
        return accept(self.forge, trigger, found, datetime.now(UTC), self.run_url)

    async def propose(self) -> Proposal | None:
        """None where the event asks for no attempt."""
        found, trigger = self.opened()
        if reason := self._none(trigger, found):
            self.say(f"no attempt: {reason}")
            return None
        assert isinstance(trigger, Trigger)  # noqa: S101 - `_none` has a reason for any other
        return await propose(
            *(self.forge, trigger, found, self.flags, self.folder, self.say),
            stopped=lambda: stopped(self.forge, trigger),
        )

    def publish(self) -> Published:
        found, trigger = self.opened()
        if isinstance(trigger, NotForUs):
            return Published("", trigger.reason)
        return publish(self.forge, trigger, found, self._proposal(trigger), self.run_url)

    def _none(self, trigger: Trigger | NotForUs, found: Config) -> str:
        if isinstance(trigger, NotForUs):
            return trigger.reason
        if trigger.action == "stop":
            return "a stop"
        return refusal(self.forge, trigger, found)

    def _proposal(self, trigger: Trigger) -> Proposal:
        """What the job that makes the attempt left. Where that is nothing, or no proposal of this
        event, somebody waits for an answer all the same."""
        reason = "The job that makes the attempt left no result; its log says why."
        if (self.folder / proposal.FILE).exists():
            try:
                found = proposal.read(self.folder)
            except UsageError as problem:
                reason = f"What the job that makes the attempt left is no result: {problem.message}"
            else:
                if found.key == trigger.key:
                    return found
                reason = "What the job that makes the attempt left is of another event."
        return Proposal(trigger.key, "broken", reason, "", "")
