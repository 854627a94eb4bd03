"""The errors that a user sees, and the exit code each one ends the program with.

Everything else that escapes is a defect of Greenroom's own and keeps its traceback.
"""

from typing import Literal

# What took a sandbox away, for programs; "" where that is not known, or where nothing did.
# docs/sandbox.md says of each what happened and what to do.
Cause = Literal[
    "", "killed", "paused", "memory", "disk", "engine", "protocol", "silent", "supervisor", "closed"
]


class GreenroomError(Exception):
    """Base of every error meant for a user: shown as one or two lines, without a traceback.

    `message` says what happened and where; `hint` says what to do next; `cause` names what took
    the sandbox away, where something did: the work can then be taken up again.
    """

    exit_code = 3

    def __init__(self, message: str, hint: str = "", *, cause: Cause = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(GreenroomError):
    """What the user gave is wrong: a flag, a path, a file, a setting."""

    exit_code = 2


class PatchError(UsageError):
    """A patch that must not be applied: a path, a mode, a size, or no patch at all."""


class SetupError(GreenroomError):
    """The machine lacks something: an engine, an image, a package, a model server."""


class InfrastructureError(GreenroomError):
    """The sandbox, engine or connection died during the work; the attempt can be resumed."""
