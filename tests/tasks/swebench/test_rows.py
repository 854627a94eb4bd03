import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import SetupError, UsageError
from tasks.suites.swebench.rows import read_rows

PLAIN: dict[str, Any] = {
    "instance_id": "astropy__astropy-1",
    "repo": "astropy/astropy",
    "base_commit": "abc",
    "patch": "diff",
    "test_patch": "diff --git",
    "problem_statement": "It is wrong.",
    "FAIL_TO_PASS": '["a.py::b"]',
    "PASS_TO_PASS": ["a.py::c"],
}


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_lists_may_be_json_in_a_string(tmp_path: Path, name: str) -> None:
    text = json.dumps(PLAIN) if name.endswith("l") else json.dumps([PLAIN])
    [row] = read_rows(write(tmp_path, name, text))
    assert row.fail_to_pass == ("a.py::b",)
    assert row.pass_to_pass == ("a.py::c",)
    assert row.gold == b"diff"
    assert row.variant == "swe-bench"


def test_an_older_row_has_the_image_that_the_suite_published_for_it(tmp_path: Path) -> None:
    [row] = read_rows(write(tmp_path, "r.jsonl", json.dumps(PLAIN)))
    assert row.image == "swebench/sweb.eval.x86_64.astropy_1776_astropy-1:latest"


def test_a_line_may_hold_what_unicode_calls_a_line_break(tmp_path: Path) -> None:
    odd = {**PLAIN, "problem_statement": "one\u2028two\x85three"}
    [row] = read_rows(write(tmp_path, "r.jsonl", json.dumps(odd, ensure_ascii=False)))
    assert row.instruction == odd["problem_statement"]


def test_a_map_of_instances_is_read(tmp_path: Path) -> None:
    [row] = read_rows(write(tmp_path, "r.json", json.dumps({"x": PLAIN})))
    assert row.id == "astropy__astropy-1"


def test_a_rebench_row_brings_its_own_test_command(tmp_path: Path) -> None:
    config = {"test_cmd": "pytest -rA", "log_parser": "parse_log_pytest"}
    fields = {**PLAIN, "install_config": config, "docker_image": "x/y:1"}
    [row] = read_rows(write(tmp_path, "r.jsonl", json.dumps(fields)))
    assert (row.variant, row.test_command, row.parser, row.image) == (
        *("swe-rebench", "pytest -rA"),
        *("parse_log_pytest", "x/y:1"),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no instance"),
        ("{", "line 1: this is not JSON"),
        ("[]", "an object is expected"),
        (json.dumps({**PLAIN, "instance_id": "../x"}), "cannot be the id"),
        (json.dumps({**PLAIN, "patch": None}), "no text in patch"),
        (json.dumps({**PLAIN, "FAIL_TO_PASS": [1]}), "FAIL_TO_PASS has to be a list"),
        (json.dumps({**PLAIN, "FAIL_TO_PASS": "["}), "FAIL_TO_PASS: this is not JSON"),
        (json.dumps(PLAIN) + "\n" + json.dumps(PLAIN), "is there twice"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_rows(write(tmp_path, "r.jsonl", text))


def test_a_file_that_is_not_there_is_no_dataset() -> None:
    with pytest.raises(UsageError, match=r"There is no file nowhere\.jsonl"):
        read_rows("nowhere.jsonl")


def test_a_dataset_takes_the_extra_or_a_network() -> None:
    with pytest.raises(SetupError):
        read_rows("no-such-owner/no-such-dataset")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b"\xff\xfe{}")
    with pytest.raises(UsageError, match="is not UTF-8"):
        read_rows(str(tmp_path / "r.jsonl"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(changes=st.dictionaries(st.sampled_from(sorted(PLAIN)), JSON, max_size=3))
def test_any_field_gives_a_row_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    with suppress(UsageError):
        read_rows(write(folder, "r.jsonl", json.dumps({**PLAIN, **changes})))
