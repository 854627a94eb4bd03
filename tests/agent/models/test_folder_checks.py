import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.models.folder_checks import check_config, check_generation
from sandbox.errors import SetupError


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"a":' * 20_000,
        '{"hidden_size": ' + "9" * 5000 + "}",
        '{"num_hidden_layers": 1000000000}',
        '{"max_position_embeddings": -1}',
        '{"max_position_embeddings": "4096"}',
        '{"vocab_size": true}',
        '{"quantization_config": 5}',
        " " * (5 << 20),
    ],
    ids=lambda text: text[:24],
)
def test_a_configuration_that_is_not_in_earnest_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text, "utf-8")
    with pytest.raises(SetupError, match="the model m cannot be used"):
        check_config("m", path)


def test_a_sound_configuration_passes(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"vocab_size": 201_088, "quantization_config": None}), "utf-8")
    check_config("m", path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "abc"),
        ("temperature", -1.0),
        ("temperature", float("nan")),
        ("top_k", -5),
        ("top_k", "9"),
        ("min_p", 7.0),
        ("repetition_penalty", "x"),
        ("eos_token_id", "x"),
        ("eos_token_id", -1),
        ("eos_token_id", [[1]]),
        ("eos_token_id", 10**12),
    ],
)
def test_sampling_that_makes_no_sense_is_refused(field: str, value: Any) -> None:
    generation = SimpleNamespace(**{"eos_token_id": 2, "temperature": 1.0, field: value})
    with pytest.raises(SetupError, match=f"in its generation_config.json {field} is"):
        check_generation("m", generation)


@pytest.mark.parametrize("stops", [None, 2, [2, 3]])
def test_sound_sampling_passes(stops: Any) -> None:
    check_generation("m", SimpleNamespace(eos_token_id=stops, temperature=0.7, top_k=0, top_p=1.0))


@pytest.mark.model
def test_code_that_lies_beside_the_weights_is_not_even_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.models.loading import Weights, read_config

    config = {"model_type": "weird", "auto_map": {"AutoConfig": "evil.C"}}
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    mark = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\n", "utf-8")
    # A user, or a pipe, that says yes to whatever a library asks.
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))
    with pytest.raises(SetupError, match="transformers cannot use"):
        read_config(Weights("m", tmp_path))
    assert not mark.exists()
