import json
from pathlib import Path

import pytest

from agent.cli.main import main
from benchmarks import checkouts

TASK = '[[task]]\nid = "a"\ninstruction = "Do."\nbase = "base"\n'


def test_each_problem_of_a_file_is_printed_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "suite.toml").write_text(TASK + "expcted = []\n")
    assert main(["bench", "validate", str(tmp_path / "suite.toml")]) == 1
    said = capsys.readouterr().out
    assert "suite.toml: task 1 (a): base: there is no folder" in said
    assert "did you mean 'expected'?" in said
    assert "Name the tests" in said


def test_a_suite_is_checked_task_by_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkouts.exercism(tmp_path, 1, ("java",))
    assert main(["bench", "validate", f"exercism:{tmp_path}", "--json"]) == 0
    tasks = json.loads(capsys.readouterr().out)["tasks"]
    assert [(task["task"], task["status"]) for task in tasks] == [
        ("java.twice", "unsupported"),
        ("python.count-even", "good"),
    ]


def test_a_task_without_a_solution_is_said_not_to_be_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/a.py").write_text("A = 1\n")
    (tmp_path / "suite.toml").write_text(f'{TASK}expected = ["t.py::test"]\ntest_cmd = "pytest"\n')
    assert main(["bench", "validate", str(tmp_path / "suite.toml"), "--run"]) == 0
    said = "".join(capsys.readouterr())
    assert "good a: it has no reference solution: nothing was run" in said


def test_other_names_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkouts.quixbugs(tmp_path, 1)
    assert main(["bench", "validate", f"quixbugs:{tmp_path}", "cont_even"]) == 2
    assert "Did you mean 'count_even'?" in capsys.readouterr().err
    assert main(["bench", "validate", str(tmp_path / "none.toml")]) == 2


@pytest.mark.docker
def test_a_task_whose_base_passes_already_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkouts.quixbugs(tmp_path, 1)
    (tmp_path / "json_testcases/count_even.json").write_text("[[[]], 0]\n")
    assert main(["bench", "validate", f"quixbugs:{tmp_path}", "--run"]) == 1
    assert "passes already count_even: no test that fails" in capsys.readouterr().out
