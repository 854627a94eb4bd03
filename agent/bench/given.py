"""Patches that any tool made, to be judged: predictions of SWE-bench's form, a folder of diffs, or
the attempts of an earlier run.

Predictions are JSON lines, a JSON list, or a JSON object by instance (package `swebench`, harness):
`instance_id`, `model_patch` (null or empty: none was made), `model_name_or_path`. Several of one
task are attempts at it, in their order; each task has as many.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from agent.bench import manifest, record
from agent.proving import read_diff
from agent.runs import Run
from sandbox.errors import UsageError
from tasks.jsonfiles import json_lines, parsed, read_text
from tasks.suites.suite import check_name

#: Where an attempt's folder has the patch that was judged, if no turns of a model made it.
PATCH = "patch.diff"
#: Of those who made patches so many are named.
_NAMED = 3
_DIFFS = (".diff", ".patch")


@dataclass(frozen=True)
class Given:
    """Diffs by task and attempt (from 1); `made_by` names who made them, `source` where they are
    from. An empty diff is a patch that was not made. `tasks` are those to be judged (None: all of
    the suite), `lost` says of attempts that do not count why there is nothing to judge."""

    patches: Mapping[tuple[str, int], bytes]
    made_by: str
    source: str
    tasks: frozenset[str] | None = None
    lost: Mapping[tuple[str, int], str] = field(default_factory=dict)

    @property
    def attempts(self) -> int:
        """Those at each task."""
        return max((attempt for _, attempt in (*self.patches, *self.lost)), default=1)

    @property
    def named(self) -> frozenset[str]:
        """The tasks of which there are patches."""
        return frozenset(task for task, _ in self.patches)

    @property
    def digest(self) -> str:
        """Names exactly these patches."""
        digest = hashlib.sha256()
        for (task, attempt), diff in sorted(self.patches.items()):
            digest.update(f"{task}\0{attempt}\0{len(diff)}\0".encode() + diff)
        return f"sha256:{digest.hexdigest()}"

    def check(self, names: Sequence[str], suite: str) -> None:
        """Raises UsageError for a task that is none of `names`."""
        for task in sorted(self.named | (self.tasks or frozenset())):
            check_name(task, names, f"task of {suite} called")


def read_given(path: Path) -> Given:
    """The predictions of a file, or the diffs of a folder, each named by its task. Raises
    UsageError, with the place, for what cannot be read as such."""
    if path.is_dir():
        if (path / "manifest.json").is_file():
            raise UsageError(f"{path} is a benchmark run", f"Write: greenroom bench rescore {path}")
        return _from_folder(path)
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is neither a file nor a folder", "Write predictions to a file.")
    if not path.exists():
        raise UsageError(f"there is no file or folder {path}", "Give predictions or diffs.")
    makers: dict[str, None] = {}
    found: defaultdict[str, list[bytes]] = defaultdict(list)
    for where, prediction in _predictions(path):
        task, diff, name = _prediction(prediction, where)
        found[task].append(diff)
        makers |= {name: None} if name else {}
    _check_numbers(found, path)
    return Given(_numbered(found), _together(list(makers)) or path.stem, str(path.absolute()))


def _together(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _check_numbers(found: Mapping[str, Sequence[bytes]], path: Path) -> None:
    """A row too many of one task would give every other task an attempt without a patch."""
    if not found:
        raise UsageError(f"{path} holds no prediction", "Is it the right file?")
    most = max(found, key=lambda task: len(found[task]))
    least = min(found, key=lambda task: len(found[task]))
    if len(found[most]) > len(found[least]):
        raise UsageError(
            f"{path} has {len(found[most])} predictions of {most}, {len(found[least])} of {least}",
            "Several of one task are attempts at it, and each task needs as many. Remove those that"
            " are too many, or add what is missing with a model_patch of null.",
        )


def of_run(folder: Path) -> tuple[str, Given]:
    """The suite of an earlier run, and the patches of its attempts, at its tasks alone. Raises
    UsageError for a folder that holds none."""
    old = manifest.read(folder / "manifest.json")
    patches, lost, never = {}, {}, set()
    for result in record.read(folder / "results.jsonl"):
        if not handed_in(folder, old, *result.key) and result.status == "no patch":
            never.add(result.key)
            continue
        diff = _diff_of(folder, result)
        if diff is None:
            lost[result.key] = f"the earlier run has no patch: {result.status}, {result.reason}"
        else:
            patches[result.key] = diff
    if not patches:
        raise UsageError(f"{folder} has no result yet", "Go on with that run first.")
    made_by, reference = _said(old, folder)
    given = Given(patches, made_by, str(folder.absolute()))
    given = replace(given, tasks=frozenset(task for task, _ in (*patches, *lost, *never)))
    for key in product(given.tasks or (), range(1, given.attempts + 1)):
        if key not in patches and key not in never:
            lost.setdefault(key, "the earlier run did not come to this attempt")
    return reference, replace(given, lost=lost)


def _said(manifest: Mapping[str, Any], folder: Path) -> tuple[str, str]:
    """Who made the patches of a run, and of which suite it is. Raises UsageError."""
    try:
        made_by = (manifest.get("model") or {}).get("name") or manifest.get("made_by")
        return str(made_by or manifest["way"]), str(manifest["suite"]["reference"])
    except (AttributeError, KeyError, TypeError):
        raise UsageError(
            f"{folder / 'manifest.json'} does not say what the run is of",
            "It was changed or damaged: judge the run's predictions.jsonl with "
            "`greenroom bench verify`.",
        ) from None


def handed_in(folder: Path, manifest: Mapping[str, Any], task: str, attempt: int) -> bool:
    """Whether a run had anything to judge, if only an empty patch: who makes patches elsewhere may
    make none for a task."""
    return manifest.get("way") != "given" or place(folder, task, attempt).is_file()


def place(folder: Path, task: str, attempt: int) -> Path:
    """Where a run keeps a patch that it was given."""
    return folder / "given" / f"{task}-{attempt}.diff"


def _diff_of(folder: Path, result: record.Result) -> bytes | None:
    """What an attempt handed in; None where something other than the attempt ended it before."""
    for handed_in in (place(folder, *result.key), folder / result.folder / PATCH):
        if handed_in.is_file():
            return handed_in.read_bytes()
    nothing = b"" if result.counts else None
    run = Run(folder / result.folder)
    if not result.folder or not run.trajectory.exists():
        return nothing
    events = run.events()
    ends = [event for event in events if event["type"] == "run.ended"]
    if not ends:
        return nothing
    base = events[0]["task"]["base"]["tree"]
    return run.store().diff(base, ends[-1]["tree"]) if ends[-1]["tree"] != base else b""


def _from_folder(folder: Path) -> Given:
    files = sorted(path for path in folder.iterdir() if path.suffix in _DIFFS)
    if not files:
        raise UsageError(f"{folder} holds no .diff and no .patch", "Name each TASK.diff.")
    found: dict[str, list[bytes]] = {}
    for path in files:
        if path.stem in found:
            raise UsageError(f"{folder} has two diffs of {path.stem}", "Remove one.")
        found[path.stem] = [read_diff(path)]
    patches = _numbered(found)
    return Given(patches, folder.name, str(folder.absolute()))


def _predictions(path: Path) -> Iterator[tuple[str, Any]]:
    if path.suffix == ".jsonl":
        yield from json_lines(path)
        return
    lines = "Lines of JSON are read from a file whose name ends in .jsonl."
    whole = parsed(read_text(path), str(path), lines)
    if isinstance(whole, dict):
        for name, prediction in whole.items():
            named = isinstance(prediction, dict)
            yield f"{path}, {name}", {"instance_id": name, **prediction} if named else prediction
    elif isinstance(whole, list):
        yield from ((f"{path}, prediction {n}", each) for n, each in enumerate(whole, 1))
    else:
        raise UsageError(f"{path}: a list of predictions, or an object of them, is expected")


def _prediction(data: Any, where: str) -> tuple[str, bytes, str]:
    if not isinstance(data, dict) or not isinstance(data.get("instance_id"), str):
        raise UsageError(f"{where}: a prediction with an instance_id is expected")
    if "model_patch" not in data:
        raise UsageError(
            f"{where}: the prediction has no model_patch",
            "It is the diff's text; null or an empty one says that no patch was made.",
        )
    patch = data["model_patch"]
    if patch is not None and not isinstance(patch, str):
        raise UsageError(f"{where}: model_patch has to be a diff's text, or null")
    name = data.get("model_name_or_path")
    try:
        diff = (patch or "").encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UsageError(f"{where}: model_patch holds what is no text") from None
    return data["instance_id"], diff, name if isinstance(name, str) else ""


def _numbered(found: Mapping[str, Iterable[bytes]]) -> dict[tuple[str, int], bytes]:
    return {
        (task, number): diff
        for task, diffs in found.items()
        for number, diff in enumerate(diffs, 1)
    }
