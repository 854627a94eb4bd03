"""What an attempt left in its folder: its events, and the change that it handed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from agent import trajectory
from agent.bench.given import PATCH
from agent.bench.report.attempts import Attempt, RunFolder
from agent.runs import Run
from agent.trajectory import Event
from sandbox.errors import GreenroomError
from sandbox.git import GitError


@dataclass(frozen=True)
class Evidence:
    """`events` are those that count; `patch` is a diff in git's format, None for none. `problems`
    says in sentences what of it cannot be read."""

    events: Sequence[Event]
    patch: bytes | None
    problems: tuple[str, ...]


def evidence(run: RunFolder, attempt: Attempt) -> Evidence:
    """What is there of an attempt; whatever is damaged is named and left out."""
    folder = folder_of(run, attempt)
    if folder is None:
        return Evidence((), None, ())
    problems: list[str] = []
    events: Sequence[Event] = ()
    kept = Run(folder)
    if kept.trajectory.exists():
        try:
            events = trajectory.live(kept.events())
        except (GreenroomError, OSError, ValueError, KeyError, TypeError) as problem:
            problems.append(_said("Its trajectory cannot be read", problem, run))
    patch = None
    try:
        patch = _patch(kept, events)
    except (GreenroomError, GitError, OSError, ValueError, KeyError, TypeError) as problem:
        problems.append(_said("Its change cannot be read", problem, run))
    return Evidence(events, patch or None, tuple(problems))


def folder_of(run: RunFolder, attempt: Attempt) -> Path | None:
    """The attempt's folder, None where none was kept, or where the log names one outside of the
    run's."""
    place = PurePosixPath(attempt.folder)
    if not attempt.folder or place.is_absolute() or ".." in place.parts:
        return None
    folder = run.path / place
    return folder if folder.is_dir() else None


def _patch(kept: Run, events: Sequence[Event]) -> bytes:
    given = kept.folder / PATCH
    if given.exists():
        return given.read_bytes()
    trees = [event["tree"] for event in events if event.get("tree")]
    if not trees:
        return b""
    base = events[0]["task"]["base"]["tree"]
    return b"" if trees[-1] == base else kept.store().diff(base, trees[-1])


def _said(what: str, problem: Exception, run: RunFolder) -> str:
    named = isinstance(problem, GreenroomError)
    said = str(problem) if named else f"{type(problem).__name__}: {problem}"
    return f"{what}: {said.replace(f'{run.path}/', '').strip().rstrip('.')}."
