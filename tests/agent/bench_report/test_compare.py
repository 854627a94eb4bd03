import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.bench.record import Result
from agent.bench.report.attempts import open_run
from agent.bench.report.comparison import compare
from agent.bench.report.differences import differences, unasked
from agent.bench.report.telling import sentences
from agent.cli.main import main
from tests.agent.bench_report.sample import MODEL, Sample, manifest, write_manifest, write_results
from tests.agent.bench_report.test_page import Page, assert_harmless

OTHER = {**MODEL, "name": "other", "revision": "1"}


def write(folder: Path, solved: Sequence[str], failed: Sequence[str], **other: Any) -> Path:
    results = [Result(name, 1, "solved") for name in solved]
    results += [Result(name, 1, "failed") for name in failed]
    write_manifest(folder, manifest(sorted([*solved, *failed]), 1, **other))
    write_results(folder, results)
    return folder


def names(first: int, last: int) -> list[str]:
    return [f"t{number:02}" for number in range(first, last)]


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return write(tmp_path / "first", names(0, 20), names(20, 40))


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """Solves ten more, and not the first."""
    return write(tmp_path / "second", names(1, 30), ["t00", *names(30, 40)], model=OTHER)


def test_pairs_flips_and_the_difference(first: Path, second: Path) -> None:
    found = compare(open_run(first), open_run(second))
    assert found is not None
    assert found.pairs is not None
    assert (found.pairs.both, found.pairs.first) == (19, 1)
    assert (found.pairs.second, found.pairs.neither) == (10, 10)
    assert [flip.task for flip in found.lost] == ["t00"]
    assert [flip.task for flip in found.gained] == names(20, 30)
    assert found.change.value == pytest.approx(9 / 40)
    assert found.tells
    assert found.p_value == pytest.approx(0.01171875)
    said = " ".join(sentences(found, "A", "B"))
    assert "The sample can tell: B is better on tasks like these." in said


def test_a_few_tasks_cannot_tell(tmp_path: Path) -> None:
    one = write(tmp_path / "one", names(0, 3), names(3, 5))
    two = write(tmp_path / "two", names(0, 4), names(4, 5))
    found = compare(open_run(one), open_run(two))
    assert found is not None
    said = " ".join(sentences(found, "A", "B"))
    assert "The sample cannot tell" in said
    assert "5 tasks are too few to show any difference" in said
    assert f"takes about {found.wanted:,} tasks" in said


def test_tasks_without_a_counted_attempt_in_both_are_left_out(tmp_path: Path, first: Path) -> None:
    folder = tmp_path / "other"
    write_manifest(folder, manifest([*names(0, 41)], 1))
    write_results(
        folder,
        [
            Result("t00", 1, "infrastructure failed"),
            *(Result(n, 1, "solved") for n in names(1, 41)),
        ],
    )
    found = compare(open_run(first), open_run(folder))
    assert found is not None
    assert found.tasks == 39
    assert found.left_out == ("t00", "t40")


def test_several_attempts_are_compared_by_a_bootstrap(tmp_path: Path) -> None:
    one = Sample(tmp_path / "one", 60, 3, stories=False).write()
    two = Sample(tmp_path / "two", 60, 3, seed=8, strength=0.3, stories=False).write()
    found = compare(open_run(one), open_run(two))
    assert found is not None
    assert (found.method, found.pairs, found.p_value) == ("bootstrap", None, None)
    assert 0 < found.change.low < found.change.value < found.change.high < 1
    assert found.change.value == pytest.approx(found.second - found.first)
    assert found.tells
    back = compare(open_run(two), open_run(one))
    assert back is not None
    assert back.change.value == pytest.approx(-found.change.value)


def test_only_the_model_and_its_sampling_may_differ_unasked() -> None:
    one = manifest(names(0, 3), 1)
    two = manifest(names(0, 3), 2, model=OTHER, created="later", engine={}, sampling={})
    assert unasked(differences(one, two), ()) == []
    two = manifest(names(0, 3), 1, toolset={"name": "edit", "digest": "sha256:2"}, greenroom="9")
    found = differences(one, two)
    assert [each.key for each in found] == ["greenroom", "toolset.digest", "toolset.name"]
    assert [each.key for each in unasked(found, ["toolset"])] == ["greenroom"]
    assert [each.key for each in unasked(found, ["greenroom", "toolset.name"])] == [
        "toolset.digest"
    ]


def test_a_task_that_changed_is_a_difference_and_one_more_task_too() -> None:
    one, two = manifest(names(0, 3), 1), manifest(names(0, 4), 1)
    two["tasks"]["t01"] = "sha256:other"
    found = differences(one, two)
    assert [each.key for each in found] == ["tasks.t01", "tasks"]
    assert found[1].second == "4 tasks, 3 of them the same"
    assert unasked(found, ["tasks"]) == []


def test_the_command_refuses_what_is_not_meant(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write(tmp_path / "b", names(0, 30), names(30, 40), model=OTHER, prompts="sha256:new")
    assert main(["bench", "compare", str(first), str(other)]) == 2
    said = capsys.readouterr().err
    assert "prompts: sha256:5f1c0a / sha256:new" in said
    assert "--allow-differences prompts" in said
    assert main(["bench", "compare", str(first), str(other), "--allow-differences=prompts"]) == 0
    said = capsys.readouterr().out
    assert "gpt-oss-20b solves 50.0%, other 75.0% of 40 tasks: +25.0 points" in said
    assert "solved only by other (10 tasks):\n  t20\n" in said


def test_a_misspelt_key_is_no_leave(first: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "compare", str(first), str(first), "--allow-differences=promts"]) == 2
    assert "no manifest of the two has a key 'promts'" in capsys.readouterr().err


def test_the_command_writes_a_page(
    first: Path, second: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = first / "versus.html"
    assert main(["bench", "compare", str(first), str(second), "-o", str(page)]) == 0
    written = Page(page.read_text())
    assert_harmless(written)
    said = capsys.readouterr().out
    for sentence in sentences_of(first, second):
        assert sentence in said
        assert sentence in written.text
    assert "other against gpt-oss-20b" in written.text


def sentences_of(first: Path, second: Path) -> list[str]:
    found = compare(open_run(first), open_run(second))
    assert found is not None
    return sentences(found, "gpt-oss-20b", "other")[1:]


def test_the_command_prints_a_document(
    first: Path, second: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "compare", str(first), str(second), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == "greenroom.comparison/1"
    assert data["comparison"]["pairs"] == {"both": 19, "first": 1, "second": 10, "neither": 10}
    assert {each["key"] for each in data["differences"]} == {"model.name", "model.revision"}


def test_the_report_command_writes_the_report(
    first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "report", str(first)]) == 0
    said = capsys.readouterr().out
    assert "gpt-oss-20b on quixbugs:/data/QuixBugs: solved 50.0% [35.2, 64.8] of 40 tasks" in said
    assert (first / "report.html").exists()
    assert main(["bench", "report", str(first / "attempts")]) == 2
    assert "is no folder of a benchmark run" in capsys.readouterr().err
