import json
from pathlib import Path

import pytest

from agent.bench import manifest
from sandbox.errors import UsageError
from sandbox.image import Image, ImageSpec

BASE = {
    "schema": manifest.SCHEMA,
    "created": "then",
    "attempts": 2,
    "tasks": {"a": "1", "b": "2"},
    "images": {"x": {"id": None}},
    "sampling": {"seed": 1, "temperature": None},
}


def test_the_same_run_at_another_time_is_the_same(tmp_path: Path) -> None:
    later = {**BASE, "created": "now", "engine": {}, "images": {"x": {"id": "sha256:1"}}}
    manifest.check_same(BASE, later, tmp_path)


@pytest.mark.parametrize(
    ("change", "key", "old", "new"),
    [
        ({"attempts": 3}, "attempts", "2", "3"),
        ({"tasks": {"a": "1", "b": "3"}}, "tasks.b", '"2"', '"3"'),
        ({"sampling": {"seed": 1, "temperature": 0.5}}, "sampling.temperature", "not there", "0.5"),
        ({"model": {"name": "m"}}, "model", "not there", '{"name": "m"}'),
    ],
)
def test_what_differs_is_named_with_both_values(
    tmp_path: Path, change: dict[str, object], key: str, old: str, new: str
) -> None:
    with pytest.raises(UsageError) as raised:
        manifest.check_same(BASE, {**BASE, **change}, tmp_path)
    assert f"its {key} is {old}, and now it is {new}" in raised.value.message


def test_other_tasks_are_told_by_their_number_and_a_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        manifest.check_same(BASE, {**BASE, "tasks": {"a": "1", "b": "2", "c": "3"}}, tmp_path)
    assert "its tasks are 2, and now they are 3; one has c" in raised.value.message


def test_an_image_is_noted_once_and_a_later_one_beside_it(tmp_path: Path) -> None:
    spec, path = ImageSpec(), tmp_path / "manifest.json"
    key = manifest.image_key(spec)
    kept = {**BASE, "images": {key: {"base": "greenroom", "id": None}}}
    for reference in ("sha256:1", "sha256:1", "sha256:2", "sha256:2"):
        manifest.note_image(path, kept, spec, Image(reference, "name", "from somewhere"))
    assert manifest.read(path)["images"][key] == {
        "base": "greenroom",
        "id": "sha256:1",
        "origin": "from somewhere",
        "others": ["sha256:2"],
    }


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json", json.dumps({"schema": "another/9"})])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="manifest"):
        manifest.read(path)
