import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bench.given import of_run, read_given
from agent.bench.manifest import SCHEMA
from agent.bench.record import Result, ResultLog
from sandbox.errors import UsageError

DIFF = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
ONE = {"instance_id": "a-1", "model_patch": DIFF, "model_name_or_path": "tool"}


def write(folder: Path, name: str, data: Any) -> Path:
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("p.jsonl", json.dumps(ONE)),
        ("p.json", [ONE]),
        ("p.json", {"a-1": ONE}),
        ("p.json", {"a-1": {"model_patch": DIFF, "model_name_or_path": "tool"}}),
    ],
)
def test_each_form_of_predictions_is_read(tmp_path: Path, name: str, data: Any) -> None:
    found = read_given(write(tmp_path, name, data))
    assert found.patches == {("a-1", 1): DIFF.encode()}
    assert found.made_by == "tool"


def test_several_predictions_of_a_task_are_its_attempts(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(each) for each in (ONE, {**ONE, "model_patch": None}))
    found = read_given(write(tmp_path, "p.jsonl", lines))
    assert found.patches == {("a-1", 1): DIFF.encode(), ("a-1", 2): b""}
    assert found.attempts == 2


def test_a_line_of_predictions_may_hold_what_unicode_calls_a_line_break(tmp_path: Path) -> None:
    odd = {**ONE, "model_patch": DIFF + "+\u2028\x85\u2029\n"}
    found = read_given(write(tmp_path, "p.jsonl", json.dumps(odd, ensure_ascii=False)))
    assert found.patches == {("a-1", 1): odd["model_patch"].encode()}


def test_a_file_may_begin_with_the_mark_of_some_editors(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ONE).encode())
    assert read_given(path).patches == {("a-1", 1): DIFF.encode()}


def test_all_who_made_the_patches_are_named(tmp_path: Path) -> None:
    rows = [{**ONE, "instance_id": n, "model_name_or_path": f"m{n}"} for n in "abcdd"]
    found = read_given(write(tmp_path, "p.json", rows[:2]))
    assert found.made_by == "ma, mb"
    found = read_given(write(tmp_path, "p.json", rows[:4]))
    assert found.made_by == "ma, mb, mc and 1 more"


def test_a_pipe_is_said_to_be_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        read_given(tmp_path / "pipe")


def test_two_diffs_of_one_task_in_a_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a-1.diff", DIFF)
    write(tmp_path, "a-1.patch", DIFF)
    with pytest.raises(UsageError, match="two diffs of a-1"):
        read_given(tmp_path)


def earlier_run(folder: Path, *results: Result) -> Path:
    old = {"schema": SCHEMA, "suite": {"reference": "s"}, "way": "given", "made_by": "x"}
    write(folder, "manifest.json", old)
    log = ResultLog(folder / "results.jsonl")
    for result in results:
        log.append(result)
    log.close()
    (folder / "given").mkdir()
    write(folder / "given", "a-1.diff", DIFF)
    return folder


def test_an_earlier_run_is_judged_again_at_its_own_tasks_alone(tmp_path: Path) -> None:
    ends = Result("a", 1, "invalid patch"), Result("b", 1, "no patch")
    reference, found = of_run(earlier_run(tmp_path, *ends))
    assert reference == "s"
    assert found.patches == {("a", 1): DIFF.encode()}
    assert found.tasks == {"a", "b"}
    assert not found.lost


@pytest.mark.parametrize("change", [{"suite": 3}, {"suite": {}}, {"model": "m"}])
def test_a_manifest_that_was_damaged_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = earlier_run(tmp_path, Result("a", 1, "solved"))
    old = json.loads((folder / "manifest.json").read_text())
    write(folder, "manifest.json", {**old, **change})
    with pytest.raises(UsageError, match="does not say what the run is of"):
        of_run(folder)


def test_what_was_handed_in_empty_is_handed_in_empty_again(tmp_path: Path) -> None:
    folder = earlier_run(tmp_path, Result("a", 1, "solved"), Result("b", 1, "no patch"))
    write(folder / "given", "b-1.diff", "")
    _, found = of_run(folder)
    assert found.patches == {("a", 1): DIFF.encode(), ("b", 1): b""}


def test_what_infrastructure_kept_an_earlier_run_from_is_no_failure(tmp_path: Path) -> None:
    ends = (
        *(Result("a", 1, "infrastructure failed"), Result("a", 2, "failed")),
        *(Result("b", 2, "infrastructure failed", reason="no disk"), Result("c", 1, "unsupported")),
    )
    _, found = of_run(earlier_run(tmp_path, *ends))
    assert found.patches == {("a", 1): DIFF.encode(), ("a", 2): b""}
    assert found.lost.keys() == {("b", 1), ("b", 2), ("c", 1), ("c", 2)}
    assert "no disk" in found.lost["b", 2]


def test_a_folder_of_diffs_is_read_by_their_names(tmp_path: Path) -> None:
    write(tmp_path, "a-1.diff", DIFF)
    write(tmp_path, "b.2.patch", DIFF)
    write(tmp_path, "README", "no diff")
    assert set(read_given(tmp_path).patches) == {("a-1", 1), ("b.2", 1)}


def test_the_digest_names_exactly_these_patches(tmp_path: Path) -> None:
    first = read_given(write(tmp_path, "p.json", [ONE]))
    again = read_given(write(tmp_path, "q.json", {"a-1": ONE}))
    other = read_given(write(tmp_path, "r.json", [{**ONE, "model_patch": DIFF + "\n"}]))
    assert first.digest == again.digest != other.digest


def test_a_patch_for_no_task_of_the_suite_is_named(tmp_path: Path) -> None:
    found = read_given(write(tmp_path, "p.json", [ONE]))
    with pytest.raises(UsageError, match="called 'a-1'") as caught:
        found.check(["a-2"], "swebench:x")
    assert "Did you mean 'a-2'?" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("p.jsonl", "{", r"line 1: this is not JSON"),
        ("p.json", "3", "a list of predictions"),
        ("p.json", [{}], "prediction 1: a prediction with an instance_id"),
        ("p.json", [{**ONE, "model_patch": 3}], "model_patch has to be"),
        ("p.json", [{"instance_id": "a-1", "patch": DIFF}], "has no model_patch"),
        ("p.json", [], "holds no prediction"),
        ("p.jsonl", "", "holds no prediction"),
        ("p.json", [ONE, ONE, {**ONE, "instance_id": "b"}], "2 predictions of a-1, 1 of b"),
        ("p.json", [{**ONE, "model_patch": "\ud800"}], "what is no text"),
    ],
)
def test_bad_predictions_are_refused_with_the_place(
    tmp_path: Path, name: str, data: Any, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        read_given(write(tmp_path, name, data))


def test_what_is_not_there_or_another_thing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        read_given(tmp_path / "none")
    with pytest.raises(UsageError, match=r"no \.diff"):
        read_given(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="is a benchmark run") as caught:
        read_given(tmp_path)
    assert "bench rescore" in caught.value.hint


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


@given(data=JSON)
def test_any_json_gives_patches_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    path = write(tmp_path_factory.getbasetemp(), "any.json", data)
    with suppress(UsageError):
        read_given(path)
