"""Patches that any tool made, to be judged: predictions of SWE-bench's form, a folder of diffs, or
the attempts of an earlier run.

Predictions are JSON lines, a JSON list, or a JSON object by instance (package `swebench`, harness):
`instance_id`, `model_patch` (null or empty: none was made), `model_name_or_path`.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.bench import manifest, record
from agent.proving import read_diff
from agent.runs import Run
from sandbox.errors import UsageError
from tasks.suites.suite import check_name

_DIFFS = (".diff", ".patch")


@dataclass(frozen=True)
class Given:
    """Diffs by task and attempt (from 1); `made_by` names who made them, `source` where they are
    from. An empty diff is a patch that was not made."""

    patches: Mapping[tuple[str, int], bytes]
    made_by: str
    source: str

    @property
    def attempts(self) -> int:
        """The most that any task has."""
        return max((attempt for _, attempt in self.patches), default=1)

    @property
    def digest(self) -> str:
        """Names exactly these patches."""
        digest = hashlib.sha256()
        for (task, attempt), diff in sorted(self.patches.items()):
            digest.update(f"{task}\0{attempt}\0{len(diff)}\0".encode() + diff)
        return f"sha256:{digest.hexdigest()}"

    def check(self, names: Sequence[str], suite: str) -> None:
        """Raises UsageError for a patch whose task is none of `names`."""
        for task, _ in self.patches:
            check_name(task, names, f"task of {suite} called")


def read_given(path: Path) -> Given:
    """The predictions of a file, or the diffs of a folder, each named by its task. Raises
    UsageError, with the place, for what cannot be read as such."""
    if path.is_dir():
        if (path / "manifest.json").is_file():
            raise UsageError(f"{path} is a benchmark run", f"Write: greenroom bench rescore {path}")
        return _from_folder(path)
    if not path.is_file():
        raise UsageError(f"there is no file or folder {path}", "Give predictions or diffs.")
    made_by = ""
    found: defaultdict[str, list[bytes]] = defaultdict(list)
    for where, prediction in _predictions(path):
        task, diff, name = _prediction(prediction, where)
        found[task].append(diff)
        made_by = made_by or name
    return Given(_numbered(found), made_by or path.stem, str(path.absolute()))


def of_run(folder: Path) -> tuple[str, Given]:
    """The suite of an earlier run, and the patches of its attempts. Raises UsageError for a folder
    that holds none."""
    old = manifest.read(folder / "manifest.json")
    patches = {}
    for result in record.read(folder / "results.jsonl"):
        if result.status != "unsupported":
            patches[result.key] = _diff_of(folder / result.folder) if result.folder else b""
    if not patches:
        raise UsageError(f"{folder} has no result yet", "Go on with that run first.")
    made_by = str((old.get("model") or {}).get("name") or old.get("made_by") or old["way"])
    return str(old["suite"]["reference"]), Given(patches, made_by, str(folder.absolute()))


def _diff_of(folder: Path) -> bytes:
    run = Run(folder)
    events = run.events()
    ends = [event for event in events if event["type"] == "run.ended"]
    if not ends:
        return b""
    base = events[0]["task"]["base"]["tree"]
    return run.store().diff(base, ends[-1]["tree"]) if ends[-1]["tree"] != base else b""


def _from_folder(folder: Path) -> Given:
    files = sorted(path for path in folder.iterdir() if path.suffix in _DIFFS)
    if not files:
        raise UsageError(f"{folder} holds no .diff and no .patch", "Name each TASK.diff.")
    patches = _numbered({path.stem: [read_diff(path)] for path in files})
    return Given(patches, folder.name, str(folder.absolute()))


def _predictions(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path} is not UTF-8 text: {problem}") from None
    if path.suffix == ".jsonl":
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield f"{path}, line {number}", _json(line, f"{path}, line {number}")
        return
    whole = _json(text, str(path))
    if isinstance(whole, dict):
        for name, prediction in whole.items():
            named = isinstance(prediction, dict)
            yield f"{path}, {name}", {"instance_id": name, **prediction} if named else prediction
    elif isinstance(whole, list):
        yield from ((f"{path}, prediction {n}", each) for n, each in enumerate(whole, 1))
    else:
        raise UsageError(f"{path}: a list of predictions, or an object of them, is expected")


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise UsageError(f"{where}: this is not JSON: {problem}") from None


def _prediction(data: Any, where: str) -> tuple[str, bytes, str]:
    if not isinstance(data, dict) or not isinstance(data.get("instance_id"), str):
        raise UsageError(f"{where}: a prediction with an instance_id is expected")
    patch = data.get("model_patch")
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
