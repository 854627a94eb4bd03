import json
from pathlib import Path
from typing import Any

import pytest
from defusedxml.ElementTree import parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from agent.bench.record import Result
from agent.bench.report import write_report
from agent.bench.report.attempts import open_run
from agent.bench.report.evidence import evidence
from sandbox.patch import FILE
from sandbox.trees import TreeStore
from tests.agent.bench_report.conftest import Made
from tests.agent.bench_report.sample import (
    DIFF,
    Sample,
    manifest,
    started,
    write_manifest,
    write_trajectory,
)

NAMES = ["predictions.jsonl", "report.html", "report.json", "report.xml", "swebench.json"]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Sample(tmp_path_factory.mktemp("bench") / "run", tasks=12, attempts=2, turns=3).write()
    write_report(folder)
    return folder


def document(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return data


def test_the_document_has_every_attempt_and_the_manifest(sample: Path) -> None:
    data = document(sample)
    assert data["schema"] == "greenroom.report/1"
    assert data["finished"] is True
    assert data["manifest"] == json.loads((sample / "manifest.json").read_text())
    assert [len(task["attempts"]) for task in data["tasks"]] == [2] * 12
    statuses = [each["status"] for task in data["tasks"] for each in task["attempts"]]
    assert sum(data["summary"]["statuses"].values()) == len(statuses) == 24
    assert data["summary"]["statuses"]["solved"] == statuses.count("solved")


def test_writing_it_again_gives_the_same(sample: Path) -> None:
    before = {name: (sample / name).read_bytes() for name in NAMES}
    write_report(sample)
    assert {name: (sample / name).read_bytes() for name in NAMES} == before
    assert not list(sample.glob(".*"))


def test_predictions_have_a_file_for_the_attempts_of_each_number(sample: Path) -> None:
    for name in ("predictions.jsonl", "predictions.2.jsonl"):
        lines = [json.loads(line) for line in (sample / name).read_text().splitlines()]
        assert len({line["instance_id"] for line in lines}) == len(lines)
        assert {line["model_name_or_path"] for line in lines} == {"gpt-oss-20b"}
        assert DIFF in {line["model_patch"] for line in lines} <= {DIFF, ""}


def test_junit_has_a_case_for_each_attempt(made: Made) -> None:
    folder = made(
        Result("a", 1, "solved", seconds=1.5),
        Result("b", 1, "failed", reason='"<&>\x00\x1b'),
        Result("c", 1, "infrastructure failed", reason="gone"),
        Result("d", 1, "unsupported", reason="no Java"),
        Result("e", 1, "tampered"),
    )
    write_report(folder)
    suites = parse(folder / "report.xml").getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("5", "2")
    assert (suites.get("errors"), suites.get("skipped")) == ("1", "1")
    cases = {case.get("name"): list(case) for case in suites.iter("testcase")}
    assert [child.tag for child in cases["b"]] == ["failure"]
    assert cases["b"][0].get("message") == '"<&>\ufffd\ufffd'
    assert [[child.tag for child in cases[name]] for name in "acde"] == [
        [],
        ["error"],
        ["skipped"],
        ["failure"],
    ]


def test_the_run_report_counts_as_swebench_does(made: Made) -> None:
    folder = made(
        Result("a", 1, "solved"),
        Result("b", 1, "failed"),
        Result("c", 1, "infrastructure failed", reason="The engine went away."),
        Result("d", 1, "unsupported"),
        Result("e", 1, "tampered"),
        Result("f", 1, "no patch"),
        Result("g", 1, "invalid patch"),
        tasks=("h",),
    )
    write_report(folder)
    data = json.loads((folder / "swebench.json").read_text())
    assert data["schema_version"] == 2
    assert data["total_instances"] == 8
    assert data["resolved_ids"] == ["a"]
    assert data["unresolved_ids"] == ["b", "e"]
    assert data["completed_ids"] == ["a", "b", "e"]
    assert data["empty_patch_ids"] == ["f"]
    assert data["error_ids"] == ["c", "g"]
    assert data["infra_failure_ids"] == ["c"]
    assert data["failure_reasons"] == {"c": "The engine went away."}
    assert data["incomplete_ids"] == ["d", "h"]
    assert data["submitted_instances"] == len(data["submitted_ids"]) == 6


def test_what_was_not_handed_in_is_no_prediction_and_no_empty_patch(made: Made) -> None:
    folder = made(*(Result(name, 1, "no patch") for name in "ab"))
    write_manifest(folder, manifest(["a", "b"], 1, way="given", made_by="x"))
    (folder / "given").mkdir()
    (folder / "given" / "a-1.diff").write_text("")
    write_report(folder)
    data = json.loads((folder / "swebench.json").read_text())
    assert data["submitted_ids"] == data["empty_patch_ids"] == ["a"]
    assert data["incomplete_ids"] == ["b"]
    (line,) = (folder / "predictions.jsonl").read_text().splitlines()
    assert json.loads(line)["instance_id"] == "a"


def test_the_change_is_the_difference_of_an_attempts_trees(made: Made) -> None:
    folder = made(Result("a", 1, "solved", folder="attempts/a/1"))
    attempt = folder / "attempts/a/1"
    attempt.mkdir(parents=True)
    store = TreeStore.create(attempt / "trees.git")
    base = store.add_tree([("x.py", FILE, b"a\n")])
    tree = store.add_tree([("x.py", FILE, "b\xff\n".encode("latin-1"))])
    ended = {"type": "run.ended", "status": "solved", "reason": "", "tree": tree}
    write_trajectory(attempt, [started(base), ended])
    write_report(folder)
    (line,) = (folder / "predictions.jsonl").read_text().splitlines()
    patch = json.loads(line)["model_patch"].encode("utf-8", "surrogateescape")
    assert patch == store.diff(base, tree)
    assert b"+b\xff\n" in patch


def test_an_empty_run_has_a_report(made: Made) -> None:
    folder = made(tasks=("a", "b"))
    write_report(folder)
    data = document(folder)
    assert (data["finished"], data["summary"]["rate"]) == (False, None)
    page = (folder / "report.html").read_text()
    assert "No attempt counts yet." in page
    assert "0 of 2 attempts" in page
    assert (folder / "predictions.jsonl").read_text() == ""


def test_a_folder_without_anything_has_a_report(tmp_path: Path) -> None:
    write_report(tmp_path)
    assert "There is no manifest.json" in document(tmp_path)["damages"][0]


def test_damaged_lines_are_named_and_the_others_counted(made: Made) -> None:
    folder = made(Result("a", 1, "solved"), Result("b", 1, "failed"))
    log = folder / "results.jsonl"
    first, second = log.read_text().splitlines()
    wrong = json.dumps({**json.loads(first), "task": "w", "seconds": "long"})
    endless = json.dumps({**json.loads(first), "task": "n", "cost": float("nan")})
    huge = json.dumps({**json.loads(first), "task": "h", "seconds": 1e308})
    log.write_text("\n".join([first, "{not json", wrong, endless, huge, huge, second, first[:30]]))
    write_report(folder)
    data = document(folder)
    assert data["summary"]["attempts"] == 2
    assert "results.jsonl, line 2: not a result of a benchmark run." in data["damages"]
    assert [damage for damage in data["damages"] if "wrong kind" in damage] == [
        "The result of w has fields of a wrong kind.",
        "The result of n has fields of a wrong kind.",
        *["The result of h has fields of a wrong kind."] * 2,
    ]
    assert str(folder) not in (folder / "report.html").read_text()


@pytest.mark.parametrize("content", ["{half", '{"v":1,"seq":1}\n', "\x00\xff\n", "[1]\n"])
def test_a_damaged_attempt_is_named_in_its_story(made: Made, content: str) -> None:
    folder = made(
        Result("a", 1, "solved", folder="attempts/a/1"),
        Result("b", 1, "failed", folder="attempts/b/1"),
    )
    (folder / "attempts/a/1").mkdir(parents=True)
    (folder / "attempts/a/1/trajectory.jsonl").write_text(content)
    write_report(folder)
    damaged = content.endswith("\n")
    page = (folder / "report.html").read_text()
    assert page.count("Its trajectory cannot be read") == (2 if damaged else 0)
    named = [damage for damage in document(folder)["damages"] if damage.startswith("a, attempt 1:")]
    assert len(named) == damaged
    assert len((folder / "predictions.jsonl").read_text().splitlines()) == 2


def test_a_store_that_is_gone_is_named(made: Made) -> None:
    folder = made(Result("a", 1, "failed", folder="attempts/a/1"))
    ended = {"type": "run.ended", "status": "not solved", "reason": "", "tree": "b" * 40}
    write_trajectory(folder / "attempts/a/1", [started(), ended])
    write_report(folder)
    assert "Its change cannot be read: There is no tree store" in (
        (folder / "report.html").read_text()
    )


JUNK = some.none() | some.integers() | some.text(max_size=5) | some.just([None]) | some.just({})


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(some.data())
def test_events_of_any_form_are_no_end_of_a_report(tmp_path: Path, data: some.DataObject) -> None:
    run = Sample(tmp_path / "run", tasks=1, attempts=1, turns=2).write()
    (log,) = run.glob("attempts/*/1/trajectory.jsonl")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    for _ in range(data.draw(some.integers(1, 4))):
        place: Any = data.draw(some.sampled_from(events))
        key: Any = "type"
        while key in ("type", "v", "seq", "time"):
            key = data.draw(some.sampled_from(sorted(place)))
        while isinstance(place[key], dict) and place[key] and data.draw(some.booleans()):
            place, key = place[key], data.draw(some.sampled_from(sorted(place[key])))
        place[key] = data.draw(JUNK)
    log.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    if data.draw(some.booleans()):
        (log.parent / "patch.diff").unlink()
    write_report(run)
    assert document(run)["summary"]["attempts"] == 1


@pytest.mark.parametrize("place", ["/etc", "../x", "attempts/../../x"])
def test_no_file_outside_of_the_run_is_read(made: Made, tmp_path: Path, place: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "run/attempts").mkdir(parents=True)
    (tmp_path / "x" / "patch.diff").write_text("secret")
    run = open_run(made(Result("a", 1, "solved", folder=place)))
    assert evidence(run, next(iter(run.attempts))).patch is None


def test_the_last_result_of_an_attempt_counts(made: Made) -> None:
    folder = made(Result("a", 1, "failed"), Result("a", 1, "solved"))
    write_report(folder)
    assert document(folder)["summary"]["statuses"]["solved"] == 1
    assert document(folder)["summary"]["attempts"] == 1
