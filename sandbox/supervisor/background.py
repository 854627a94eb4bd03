"""A command that runs on after its start: its output is kept until it is asked for."""

from __future__ import annotations

from sandbox.supervisor.commands import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Background(Command):
    """Like a command; nothing of it is sent by itself. `result` is None while it runs, `waiting`
    the request that its end answers (0: none)."""

    result: dict[str, Any] | None = None
    waiting = 0

    def output(self, since: int) -> bytes:
        """What is kept of the output from byte `since` on."""
        kept = self.kept.tail()
        return kept[max(0, since - (self.kept.total - len(kept))) :]

    def state(self) -> dict[str, Any]:
        """How the command stands."""
        return {"total": self.kept.total, "result": self.result}
