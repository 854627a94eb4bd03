"""What a run's folder holds, read tolerantly: a report must be possible of whatever is there."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.bench import record
from agent.bench.given import handed_in
from agent.bench.record import Result, Status

#: No count and no number of seconds of an attempt comes near this.
_LARGEST = 10**15
#: A reason is shown up to this length; the whole one is in the log.
_REASON = 600


@dataclass(frozen=True, slots=True)
class Attempt:
    """A result in short, so that those of a large run fit in memory. `tokens` are all that were
    spent, `cached` those of the input that a server had already; `patch_bytes` 0: no patch."""

    task: str
    number: int
    status: Status
    grade: str
    reason: str
    limit: str
    turns: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    tokens: int
    estimated: bool
    cost: float | None
    seconds: float
    verify_seconds: float
    retries: int
    malformed: int
    failing: int
    flaky: int
    patch_bytes: int
    folder: str
    started: str
    ended: str

    @property
    def solved(self) -> bool:
        return self.status == "solved"

    @property
    def counts(self) -> bool:
        """Whether it says something about who made the patch."""
        return self.status not in ("infrastructure failed", "unsupported")


@dataclass(frozen=True)
class RunFolder:
    """A run as it stands. `tasks` has every task of the manifest and of the log, sorted, with its
    attempts; `planned` is how many attempts each shall have; `damages` says in sentences what
    could not be read."""

    path: Path
    manifest: Mapping[str, Any]
    tasks: Mapping[str, tuple[Attempt, ...]]
    planned: int
    damages: list[str] = field(default_factory=list)

    @property
    def attempts(self) -> Iterable[Attempt]:
        return (attempt for attempts in self.tasks.values() for attempt in attempts)

    @property
    def expected(self) -> int:
        """How many results the run has when it is finished."""
        return sum(max(self.planned, len(attempts)) for attempts in self.tasks.values())

    @property
    def finished(self) -> bool:
        return all(len(attempts) >= self.planned for attempts in self.tasks.values())

    def handed_in(self, attempt: Attempt) -> bool:
        """Whether there was anything to judge, if only an empty patch."""
        return handed_in(self.path, self.manifest, attempt.task, attempt.number)

    @property
    def model(self) -> str:
        """The model's name, or what made the patches instead of one."""
        model = self.manifest.get("model")
        name = model.get("name") if isinstance(model, Mapping) else model
        made_by = self.manifest.get("made_by")
        return str(name or made_by or self.manifest.get("way") or "unknown")

    @property
    def author(self) -> str:
        """Who made the patches, for people."""
        model = self.manifest.get("model")
        if isinstance(model, Mapping) and model.get("real") is False:
            return f"Script {self.model}, no model"
        names = {"gold": "Reference solutions", "empty": "No patch"}
        return names.get(self.model, self.model)

    @property
    def suite(self) -> str:
        suite = self.manifest.get("suite")
        name = suite.get("reference") if isinstance(suite, Mapping) else suite
        return str(name or self.path.name)


def open_run(path: Path) -> RunFolder:
    """The run in that folder. What is damaged is named in its `damages`; nothing is fatal."""
    damages: list[str] = []
    manifest = _manifest(path / "manifest.json", damages)
    found: dict[str, dict[int, Attempt]] = {name: {} for name in _names(manifest)}
    for result in record.scan(path / "results.jsonl"):
        if isinstance(result, Result):
            try:
                attempt = _attempt(result)
            except (TypeError, ValueError, AttributeError, OverflowError):
                damages.append(f"The result of {result.task!s:.100} has fields of a wrong kind.")
                continue
            found.setdefault(attempt.task, {})[attempt.number] = attempt
        else:
            damages.append(f"{result.message.replace(f'{path}/', '')}.")
    tasks = {
        name: tuple(attempts[number] for number in sorted(attempts))
        for name, attempts in sorted(found.items())
    }
    most = max((len(attempts) for attempts in tasks.values()), default=1)
    planned = _number(manifest.get("attempts"))
    return RunFolder(path, manifest, tasks, planned or max(1, most), damages)


def _number(value: Any) -> int:
    """How many attempts a manifest plans; 0 where it does not say."""
    return value if isinstance(value, int) and value > 0 else 0


def _manifest(path: Path, damages: list[str]) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        damages.append("There is no manifest.json: what ran is not known.")
        return {}
    except (OSError, ValueError, RecursionError) as problem:
        damages.append(f"manifest.json cannot be read: {problem}.")
        return {}
    if isinstance(data, dict):
        return data
    damages.append("manifest.json is no manifest.")
    return {}


def _names(manifest: Mapping[str, Any]) -> list[str]:
    """The names of the tasks that the run is about."""
    tasks = manifest.get("tasks")
    if isinstance(tasks, Mapping):
        return [str(name) for name in tasks]
    if isinstance(tasks, list):
        names = [task.get("name") if isinstance(task, dict) else task for task in tasks]
        return [str(name) for name in names if name]
    return []


def _attempt(result: Result) -> Attempt:
    usage = result.usage
    read, written = _whole(usage.get("input_tokens", 0)), _whole(usage.get("output_tokens", 0))
    return Attempt(
        task=str(result.task),
        number=_whole(result.attempt),
        status=result.status,
        grade=str(result.grade or ""),
        reason=shortened(str(result.reason), _REASON),
        limit=str(result.limit),
        turns=_whole(result.turns),
        input_tokens=read,
        output_tokens=written,
        cached_tokens=_whole(usage.get("cached_tokens", 0)),
        tokens=read + written + _whole(usage.get("abandoned_tokens", 0)),
        estimated=bool(usage.get("estimated", False)),
        cost=None if result.cost is None else _finite(result.cost),
        seconds=_finite(result.seconds),
        verify_seconds=_finite(result.verify_seconds),
        retries=_whole(result.retries),
        malformed=sum(_whole(number) for number in result.malformed.values()),
        failing=len(result.tests_failing),
        flaky=len(result.flaky),
        patch_bytes=_whole(result.patch_bytes),
        folder=str(result.folder),
        started=str(result.started),
        ended=str(result.ended),
    )


def _finite(value: Any) -> float:
    number = float(value)
    if not abs(number) < _LARGEST:
        raise ValueError(number)
    return number


def _whole(value: Any) -> int:
    number = int(value)
    if abs(number) >= _LARGEST:
        raise ValueError(number)
    return number


def shortened(text: str, length: int) -> str:
    """The text, or as much of its start as fits, with `...`."""
    return text if len(text) <= length else text[: max(0, length - 4)] + " ..."
