"""The runs on this machine: one private folder each, with its trajectory and its trees.

<state>/greenroom/runs/<id>/trajectory.jsonl   the event log
<state>/greenroom/runs/<id>/trees.git          base and every state since, as git objects
<state>/greenroom/runs/<id>/lock               held by the process that works on the run
"""

import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent import paths, trajectory
from agent.folderlock import held
from agent.settings import top_of
from sandbox.errors import UsageError
from sandbox.trees import TreeStore

#: A run is made a moment before its work begins.
_BEGINNING = timedelta(minutes=1)


@dataclass(frozen=True)
class Run:
    """One attempt's folder."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def trajectory(self) -> Path:
        return self.folder / "trajectory.jsonl"

    def store(self) -> TreeStore:
        return TreeStore.open(self.folder / "trees.git")

    def events(self) -> list[dict[str, Any]]:
        return trajectory.read(self.trajectory)

    def proved(self) -> str | None:
        """The tree of the change that was proved last, also where the run went on after it."""
        return trajectory.proved_tree(self.events())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run for this process. Raises UsageError while another process holds it."""
        with held(self.folder, f"run {self.id}"):
            yield

    def checkout(self) -> Path | None:
        """The checkout that it works on; None for a suite's task or an unreadable log."""
        try:
            with self.trajectory.open(encoding="utf-8") as stream:
                folder = json.loads(stream.readline())["checkout"]["folder"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Path(folder)

    def busy(self) -> bool:
        """Whether a process works on the run now."""
        if not (self.folder / "lock").exists():
            return False
        try:
            with self.lock():
                return False
        except UsageError:
            return True

    def touched(self) -> float:
        """When something was last recorded of it, in seconds since the epoch."""
        place = self.trajectory if self.trajectory.exists() else self.folder
        return place.stat().st_mtime

    def began(self) -> bool:
        """Whether its log has at least its first event."""
        return self.trajectory.exists() and b"\n" in self.trajectory.read_bytes()

    def remove(self) -> None:
        shutil.rmtree(self.folder)


@dataclass(frozen=True)
class Summary:
    """A run in one line. `status` is that of its end, or `interrupted` or `running`; `checkout` is
    the folder that it works on, empty for a suite's task."""

    id: str
    started: str
    status: str
    checkout: str
    task: str
    model: str
    turns: int
    seconds: float


def create(words: str) -> Run:
    """A new run, named by the time, by `words` and by chance; its repository is empty."""
    slug = re.sub(r"[^a-z0-9]+", "-", words.lower())[:32].strip("-") or "task"
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return begin(paths.private_folder(paths.runs_folder()) / f"{now}-{slug}-{secrets.token_hex(2)}")


def begin(folder: Path) -> Run:
    """A new run in a folder that is not there yet; its repository is empty."""
    folder.mkdir(mode=0o700)
    TreeStore.create(folder / "trees.git")
    return Run(folder)


def every() -> list[Run]:
    """All runs, the oldest first."""
    root = paths.runs_folder()
    if not root.is_dir():
        return []
    return [Run(folder) for folder in sorted(root.iterdir()) if folder.is_dir()]


def older_than(age: timedelta) -> list[Run]:
    """The runs that nobody has worked on for `age`, nor does now."""
    return [run for run in _idle(age) if run.began()]


def unbegun() -> list[Run]:
    """The runs whose process was killed before their work began: there is nothing to go on with."""
    return [run for run in _idle(_BEGINNING) if not run.began()]


def _idle(age: timedelta) -> list[Run]:
    limit = time.time() - age.total_seconds()
    return [run for run in every() if run.touched() <= limit and not run.busy()]


def find(name: str | None) -> Run:
    """The run of that id or of an unambiguous part of it; None means the latest: in a checkout the
    latest that works on it or on a suite's task.

    Raises UsageError, shown to the user.
    """
    runs = every()
    if not runs:
        raise UsageError("there are no runs yet", "`greenroom solve` makes one.")
    if name is None:
        return _latest(runs)
    exact = [run for run in runs if run.id == name]
    fitting = exact or [run for run in runs if name and name in run.id]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ids = ", ".join(run.id for run in fitting[:5])
        raise UsageError(f"{name!r} fits {len(fitting)} runs: {ids}", "Give more of the id.")
    raise UsageError(f"no run {name!r}", "`greenroom runs` lists them.")


def _latest(runs: Sequence[Run]) -> Run:
    # One that was killed before its first event has nothing to show or to go on from.
    runs = [run for run in runs if run.began()] or runs
    top = top_of(Path.cwd())
    if not (top / ".git").exists():
        return runs[-1]
    for run in reversed(runs):
        if run.checkout() in (None, top):
            return run
    raise UsageError(
        f"there is no run of the checkout {top}",
        f"Name one; `greenroom runs` lists them. The latest is {runs[-1].id}.",
    )


def summarise(run: Run) -> Summary:
    """Reads a run's log; a log that cannot be read is summarised as damaged."""
    try:
        events = trajectory.live(run.events()) if run.trajectory.exists() else []
        if events and events[0]["type"] == "run.started":
            return _summary(run, events)
        status = "running" if run.busy() else "not begun"
    except (UsageError, KeyError, TypeError, AttributeError):
        status = "damaged"
    return Summary(run.id, "", status, "", "", "", 0, 0.0)


def _summary(run: Run, events: Sequence[dict[str, Any]]) -> Summary:
    started = events[0]
    ends = [event for event in events if event["type"] == "run.ended"]
    turns = [event for event in events if event["type"] == "turn.ended"]
    last = (ends or turns or [{}])[-1]
    status = ends[-1]["status"] if ends and events[-1]["type"] != "resumed" else ""
    return Summary(
        id=run.id,
        started=started["time"],
        status=status or ("running" if run.busy() else "interrupted"),
        checkout=str(run.checkout() or ""),
        task=started["task"]["instruction"] or "make the failing tests pass",
        model=started["model"]["name"] if started["model"]["real"] else "none: a script",
        turns=turns[-1]["turn"] if turns else 0,
        seconds=last.get("seconds", 0.0),
    )
