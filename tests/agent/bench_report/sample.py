"""Run folders as the runner writes them, made up: for tests, and to look at
(`python -m tests.agent.bench_report.sample FOLDER TASKS ATTEMPTS [TURNS]`)."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from agent.bench.record import VERSION, Result, ResultLog
from agent.trajectory import EVENTS

NAMES = ("line-wrap", "door-access", "coin-change", "shelf-codes", "tide-table", "queue-order")
MODEL = {
    "name": "gpt-oss-20b",
    "backend": "openai",
    "address": "http://127.0.0.1:8000/v1",
    "real": True,
    "revision": "6cee5e81ee83",
    "quantisation": "MXFP4",
    "server": "vLLM",
    "server_version": "0.32.0",
}


def manifest(names: list[str], attempts: int, **other: Any) -> dict[str, Any]:
    return {
        "schema": "greenroom.bench-run/1",
        "created": "2026-11-27T08:00:00+00:00",
        "greenroom": "0.1.0",
        "engine": {"name": "Docker", "version": "20.10.24", "runtime": "runc", "lacking": []},
        "way": "model",
        "suite": {"reference": "quixbugs:/data/QuixBugs", "version": "4257f44b0ff1"},
        "model": MODEL,
        "sampling": {"temperature": 1.0, "top_p": 1.0, "seed": None, "reasoning_effort": "medium"},
        "limits": {"turns": 50, "tokens": 2000000, "seconds": 3600.0, "cost": None},
        "policies": [{"preset": "strict", "isolation": "container", "network": []}],
        "images": {"a3f1": {"base": "greenroom", "id": "sha256:7b043051e8bf"}},
        "candidates": 1,
        "settings": {"reasoning_limit": None, "protocol": "auto"},
        "toolset": {"name": "generic", "digest": "sha256:0be1"},
        "prompts": "sha256:5f1c0a",
        "attempts": attempts,
        "tasks": {name: f"sha256:{number:08x}" for number, name in enumerate(names)},
        **other,
    }


def write_manifest(folder: Path, data: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(data))


def write_results(folder: Path, results: list[Result]) -> None:
    """Writes a log as ResultLog does, without waiting for the disk at each line."""
    log = ResultLog(folder / "results.jsonl")
    log.append(results[0])
    log.close()
    lines = [json.dumps({"v": VERSION, **vars(result)}) for result in results[1:]]
    with (folder / "results.jsonl").open("a") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def write_trajectory(folder: Path, events: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "trajectory.jsonl").open("w") as stream:
        for number, event in enumerate(events, 1):
            required, optional = EVENTS[event["type"]]
            assert required <= event.keys() - {"type"} <= required | optional, event["type"]
            head = {"v": 1, "seq": number, "time": "2026-11-27T08:00:00.000+00:00"}
            stream.write(json.dumps({**head, **event}) + "\n")


def started(tree: str = "a" * 40) -> dict[str, Any]:
    return {
        "type": "run.started",
        "run": "r",
        "greenroom": "0.1.0",
        "task": {"id": "t", "instruction": "mend it", "base": {"tree": tree, "ignore": []}},
        "model": MODEL,
        "sampling": {},
        "limits": {},
        "settings": {},
    }


USAGE = {"input_tokens": 900, "output_tokens": 120, "reasoning_tokens": 60, "cached_tokens": 300}


def report(passed: int, failing: list[str]) -> dict[str, Any]:
    results = [{"id": f"tests/test_it.py::test_{n}", "status": "passed"} for n in range(passed)]
    results += [{"id": name, "status": "failed"} for name in failing]
    return {"results": results, "errors": [], "seconds": 0.7, "complete": True, "reason": ""}


def verdict(status: str, reasons: list[str]) -> dict[str, Any]:
    tests = {"passed": 7, "total": 9, "failing": []}
    return {"status": status, "grade": None, "reasons": reasons, "seconds": 1.4, "tests": tests}


def turn(number: int, random: Random) -> list[dict[str, Any]]:
    """What one turn leaves: some words, a call, its result, and a test run."""
    lines = "\n".join(
        f" {n}|     if queue[{n}] is None or queue[{n}].rank > rank:" for n in range(12, 40)
    )
    call = {"id": f"c{number}", "name": random.choice(["shell", "read_file", "edit_file"])}
    arguments = {"path": "src/queue_order.py", "start_line": 12, "end_line": 40}
    said = "The failing assertion compares ranks, and the loop ends one item too early. "
    message = {
        "role": "assistant",
        "text": "I look at the code that the failing tests ran." if number % 2 else "",
        "reasoning": said * random.randint(1, 6),
        "calls": [{**call, "arguments": json.dumps(arguments)}],
    }
    failing = [f"tests/test_it.py::test_rank_{n}" for n in range(random.randint(0, 5))]
    return [
        {"type": "turn.started", "turn": number},
        {
            "type": "turn",
            "turn": number,
            "message": message,
            "usage": USAGE,
            "finish": "calls",
            "problem": "",
        },
        {"type": "call", "turn": number, **call, "arguments": json.dumps(arguments)},
        {
            "type": "result",
            "turn": number,
            **call,
            "ok": number % 7 != 0,
            "text": lines,
            "seconds": 0.02,
        },
        {"type": "tests", "purpose": "inner", "report": report(7, failing)},
        {
            "type": "turn.ended",
            "turn": number,
            "tree": "a" * 40,
            "usage": USAGE,
            "seconds": 3.0,
            "cost": 0.01,
        },
    ]


DIFF = """\
diff --git a/src/queue_order.py b/src/queue_order.py
index 1f0c2b1..77aa012 100644
--- a/src/queue_order.py
+++ b/src/queue_order.py
@@ -12,7 +12,8 @@ def insert(queue, item):
     rank = item.rank
-    for place in range(len(queue) - 1):
-        if queue[place].rank < rank:
+    for place in range(len(queue)):
+        # Equal ranks keep the order in which they came.
+        if queue[place].rank > rank:
             queue.insert(place, item)
             return
     queue.append(item)
"""


@dataclass
class Sample:
    """A made-up run: tasks of different difficulty, some that break down."""

    folder: Path
    tasks: int
    attempts: int
    turns: int = 8
    seed: int = 7
    strength: float = 0.0
    stories: bool = True

    def write(self, **other: Any) -> Path:
        random = Random(self.seed)
        names = [f"{NAMES[n % len(NAMES)]}-{n:04d}" for n in range(self.tasks)]
        write_manifest(self.folder, manifest(names, self.attempts, **other))
        (self.folder / "results.jsonl").unlink(missing_ok=True)
        ease = Random(11)
        results = []
        for name in names:
            chance = min(0.98, ease.betavariate(1.1, 0.8) + self.strength)
            for number in range(1, self.attempts + 1):
                result = self._result(name, number, chance, random)
                results.append(result)
                if self.stories and result.folder:
                    self._leave(result, random)
        write_results(self.folder, results)
        return self.folder

    def _result(self, name: str, number: int, chance: float, random: Random) -> Result:
        draw, odd = random.random(), random.random()
        status, reason, limit = "solved", "2 tests failed without the patch and pass with it.", ""
        if odd < 0.02:
            status, reason = "infrastructure failed", "The engine went away while tests ran."
        elif odd < 0.03:
            status, reason = "unsupported", "It needs a Java toolchain, which the image lacks."
        elif odd < 0.04:
            status, reason = "tampered", "A test with a wrong expectation passes with the patch."
        elif odd < 0.05:
            status, reason = "suspect", "The tests cannot be perturbed, and one ended early."
        elif draw > chance:
            status, reason = "failed", "2 of the expected tests fail: test_rank_1, test_rank_2."
            if odd > 0.8:
                status, reason = "no patch", "The model gave up without a change."
            elif odd > 0.75:
                status, reason = (
                    "invalid patch",
                    "It adds conftest.py, which changes how tests run.",
                )
            elif odd > 0.5:
                limit = random.choice(["turn", "token", "time"])
        turns = max(1, round(random.gammavariate(2, self.turns / 2)))
        seconds = round(random.lognormvariate(4, 0.8), 2)
        read = turns * random.randint(2000, 9000)
        none = status in ("no patch", "infrastructure failed", "unsupported")
        there = status not in ("unsupported",)
        return Result(
            task=name,
            attempt=number,
            status=status,  # type: ignore[arg-type]
            grade="proved" if status == "solved" else None,
            reason=reason,
            limit=limit,
            turns=turns if there else 0,
            usage={"input_tokens": read, "output_tokens": read // 9, "cached_tokens": read // 2}
            if there
            else {},
            cost=round(read * 4e-7, 6) if there else None,
            seconds=seconds if there else 0.0,
            verify_seconds=round(seconds * 0.07, 2) if there else 0.0,
            retries=int(odd < 0.02),
            patch_bytes=0 if none else len(DIFF),
            folder=f"attempts/{name}/{number}" if there else "",
            started="2026-11-27T08:00:00+00:00",
            ended="2026-11-27T09:41:00+00:00",
        )

    def _leave(self, result: Result, random: Random) -> None:
        folder = self.folder / result.folder
        events = [started()]
        for number in range(1, result.turns + 1):
            events += turn(number, random)
        if result.patch_bytes:
            judged = verdict(result.status, [result.reason])
            events.append({"type": "verdict", "verdict": judged, "tree": "b" * 40})
        status = "solved" if result.status == "solved" else "not solved"
        events.append({"type": "run.ended", "status": status, "reason": result.reason})
        write_trajectory(folder, events)
        (folder / "patch.diff").write_text(DIFF if result.patch_bytes else "")


if __name__ == "__main__":
    place, *numbers = sys.argv[1:]
    Sample(Path(place), *map(int, numbers)).write()
