import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "starter.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmarks_starter", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def stand_in(folder: Path, text: str) -> Path:
    """A program in place of `greenroom`, which is tested elsewhere."""
    program = folder / "greenroom"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return program


def attempt(benchmark: ModuleType, **changes: Any) -> Any:
    fields = {
        "task": "line-wrap",
        "kind": "off by one",
        "size": 1,
        "solvable": True,
        "seed": 1,
        "status": "solved",
        "grade": "proved",
        "reason": "",
        "wall_seconds": 12.0,
        "seconds": 10.0,
        "turns": 2,
        "candidates": 0,
    }
    return benchmark.Attempt(**{**fields, **changes})


def test_the_document_of_a_run_is_read(benchmark: ModuleType, tmp_path: Path) -> None:
    program = stand_in(tmp_path, """echo note >&2; echo '{"status": "not solved"}'; exit 1""")
    document, problem = benchmark.CommandLine(program, tmp_path, tmp_path).document([], 10)
    assert document == {"status": "not solved"}
    assert problem == ""


def test_a_run_that_could_not_begin_says_why(benchmark: ModuleType, tmp_path: Path) -> None:
    program = stand_in(
        tmp_path, "echo note >&2; printf 'no engine answers\\n  Start it.\\n' >&2; exit 3"
    )
    document, problem = benchmark.CommandLine(program, tmp_path, tmp_path).document([], 10)
    assert document is None
    assert problem == "exit code 3: no engine answers"


def test_a_run_that_hangs_is_given_up(benchmark: ModuleType, tmp_path: Path) -> None:
    program = stand_in(tmp_path, "exec sleep 30")
    document, problem = benchmark.CommandLine(program, tmp_path, tmp_path).document([], 0.2)
    assert document is None
    assert "still ran" in problem


def test_settings_of_the_user_play_no_part(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENROOM_TURN_LIMIT", "1")
    monkeypatch.setenv("OPENAI_API_KEY", "kept")
    program = stand_in(
        tmp_path, """printf '["%s", "%s"]' "$GREENROOM_TURN_LIMIT" "$OPENAI_API_KEY" """
    )
    document, _ = benchmark.CommandLine(program, tmp_path, tmp_path).document([], 10)
    assert document == ["", "kept"]


def test_the_summary_counts_by_seed(benchmark: ModuleType) -> None:
    text = benchmark.summary(
        [
            attempt(benchmark),
            attempt(benchmark, task="url-routes", status="not solved", grade=None),
            attempt(benchmark, task="todo-repeat", size=9),
            attempt(benchmark, seed=2),
        ]
    )
    assert text.splitlines() == [
        "seed 1: 1 of 2 one-line defects solved (slowest 12 s), 2 of 3 of all solvable tasks",
        "seed 2: 1 of 1 one-line defects solved (slowest 12 s), 1 of 1 of all solvable tasks",
    ]


def test_a_solved_impossible_task_is_pointed_out(benchmark: ModuleType) -> None:
    text = benchmark.summary([attempt(benchmark, task="odd", size=0, solvable=False)])
    assert "solved, and must not be: odd" in text


def test_what_was_not_measured_does_not_count(benchmark: ModuleType) -> None:
    broken = attempt(benchmark, task="url-routes", status="error", grade=None, reason="no engine")
    text = benchmark.summary([attempt(benchmark), broken])
    assert "1 of 1 one-line defects" in text
    assert "not measured: url-routes, seed 1: no engine" in text


def test_results_are_written_as_json(
    benchmark: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    solved = {"run": "r1", "status": "solved", "grade": "proved", "reason": "all tests pass"}
    events = {"events": [{"type": "candidate"}, {"type": "turn"}, {"type": "candidate"}]}
    (tmp_path / "solve").write_text(json.dumps({**solved, "seconds": 3.5, "turns": 1}))
    (tmp_path / "show").write_text(json.dumps(events))
    stand_in(tmp_path, f'cat "{tmp_path}/$1"')
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    results = tmp_path / "results.json"
    words = ["starter.py", "-m", "script:x", "--task", "line-wrap", "--json", str(results)]
    monkeypatch.setattr(sys, "argv", words)
    assert benchmark.main() == 0
    (row,) = json.loads(results.read_text())["attempts"]
    assert (row["task"], row["status"], row["turns"], row["candidates"]) == (
        "line-wrap",
        "solved",
        1,
        2,
    )
    assert "| line-wrap | off by one | 1 | 1 | solved (proved) |" in capsys.readouterr().out
