import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.models.checkpoint_files import lacking


def file(folder: Path, name: str, length: int = 16) -> Path:
    """A file of one tensor with so many bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}})
    path = folder / name
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(length))
    return path


def test_whole_files_lack_nothing(tmp_path: Path) -> None:
    file(tmp_path, "model.safetensors")
    assert lacking(tmp_path) == ""


@given(kept=st.floats(0, 0.99))
def test_a_file_that_was_cut_off_anywhere_is_seen(
    tmp_path_factory: pytest.TempPathFactory, kept: float
) -> None:
    folder = tmp_path_factory.mktemp("m")
    path = file(folder, "model.safetensors")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    assert lacking(folder) == "model.safetensors is damaged, or was cut off"


@given(junk=st.binary(max_size=200))
def test_no_bytes_raise_anything(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    folder = tmp_path_factory.mktemp("m")
    (folder / "model.safetensors").write_bytes(junk)
    (folder / "model.safetensors.index.json").write_bytes(junk)
    assert lacking(folder)


def test_a_part_that_the_index_names_is_missed(tmp_path: Path) -> None:
    file(tmp_path, "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert lacking(tmp_path) == "model-2.safetensors is missing"
    assert "no weights" in lacking(tmp_path / "nowhere")
