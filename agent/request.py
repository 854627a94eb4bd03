"""What the user asked for, made into a task: from a checkout, a suite or a task file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent import settings
from agent.keys import Value
from agent.settings import Settings
from sandbox.policy import Policy
from sandbox.trees import TreeStore
from tasks.files import read_task_file
from tasks.repository import Overrides, task_from_checkout
from tasks.suites import suite
from tasks.task import Task


@dataclass(frozen=True)
class Request:
    """The words and flags of a command. `flags` are settings given on the command line."""

    folder: Path
    words: str = ""
    suite_task: str | None = None
    task_file: Path | None = None
    expected: tuple[str, ...] = ()
    flags: Mapping[str, Value] = field(default_factory=dict)

    def checkout_folder(self) -> Path | None:
        """The folder whose settings file counts; None for a task of a suite."""
        return None if self.suite_task else settings.top_of(self.folder)


@dataclass(frozen=True)
class Checkout:
    """The user's checkout that a task was made from, and what it was like then."""

    folder: Path
    fingerprint: str
    head: str | None

    def as_data(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "fingerprint": self.fingerprint, "head": self.head}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Checkout":
        return cls(Path(data["folder"]), data["fingerprint"], data["head"])
