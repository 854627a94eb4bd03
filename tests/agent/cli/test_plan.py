import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli.main import main
from agent.planning import machine
from agent.planning.known import KNOWN


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Any:
    monkeypatch.setattr(machine, "_nvidia_smi", lambda: "")

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["plan", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_plan_that_fits(plan: Any) -> None:
    asked = ("--gpus", "1x24G", "--context", "32k", "--conversations", "4")
    code, out, _ = plan("gpt-oss-20b", *asked)
    assert code == 0
    assert "13.8 GB (12.8 GiB)" in out
    assert "fits at mxfp4: 17.1 GiB of 21.6 GiB; up to 9 conversations of 32k" in out
    assert "vllm serve openai/gpt-oss-20b --max-model-len 32768 --max-num-seqs 4" in out


def test_a_plan_that_does_not_fit_says_why_and_what_would(plan: Any) -> None:
    code, out, _ = plan("gpt-oss-120b", "--gpus", "24G")
    assert code == 1
    assert "does not fit: at mxfp4-gguf, the weights alone are 58.9 GiB" in out
    assert "--gpus 80G" in out
    assert "--n-cpu-moe 26" in out


def test_a_row_says_what_it_needs_beside_memory_and_no_numbers_where_it_cannot_run(
    plan: Any,
) -> None:
    def row(cards: str) -> str:
        lines = plan("gpt-oss-20b", "--gpus", cards)[1].splitlines()
        return next(line for line in lines if line.startswith("int4"))

    assert row("24G").endswith("fits; needs a checkpoint made for it (AWQ, GPTQ)")
    assert row("mac 64G").split()[-8:] == ["-", "-", "int4", "runs", "on", "CUDA", "cards", "only"]


def test_the_document(plan: Any) -> None:
    code, out, err = plan("gpt-oss-20b", "--gpus", "24G", "--json")
    data = json.loads(out)
    assert (code, err) == (0, "")
    assert data["schema"] == "greenroom.plan/1"
    assert data["model"]["parameters"] == 20914757184
    assert data["model"]["kv_bytes_per_token"] == 24576
    assert data["fits"] is True
    chosen = data["chosen"]
    assert chosen in data["tried"]
    each = chosen["per_gpu"]
    assert each["weights"] + each["kv_cache"] + each["workspace"] <= each["usable"]
    served = [command["server"] for command in data["commands"]]
    assert served == ["vllm", "llama-server", "ollama"]


def test_the_document_of_what_does_not_fit(plan: Any) -> None:
    code, out, _ = plan("gpt-oss-120b", "--gpus", "24G", "--json")
    data = json.loads(out)
    assert (code, data["fits"], data["chosen"]) == (1, False, None)
    assert data["reason"]
    assert {"offload", "cards", "card"} <= {way["kind"] for way in data["nearest"]}


def test_without_a_model_the_known_ones_are_listed(plan: Any) -> None:
    code, out, _ = plan()
    assert code == 0
    assert all(name in out for name in KNOWN)
    listed = json.loads(plan("--json")[1])["models"]
    assert [model["name"] for model in listed] == list(KNOWN)


def test_common_cards(plan: Any) -> None:
    code, out, _ = plan("gpt-oss-20b", "--gpus", "common")
    assert code == 0
    assert "16G card" in out
    assert "Mac (64.0 GiB)" in out
    assert len(json.loads(plan("gpt-oss-20b", "--gpus", "common", "--json")[1])["plans"]) == 10


def test_without_cards_this_machine_is_taken(plan: Any, monkeypatch: Any) -> None:
    assert "this m" in plan("smollm2-135m")[1].lower()
    monkeypatch.setattr(machine, "_nvidia_smi", lambda: "NVIDIA L4, 23034, 5, 8.9\n")
    assert "NVIDIA L4 (22.5 GiB)" in plan("smollm2-135m")[1]


def test_a_half_as_wide_cache(plan: Any) -> None:
    wide, narrow = (
        json.loads(plan("qwen3-8b", "--gpus", "80G", "--json", *more)[1])
        for more in ((), ("--kv", "fp8"))
    )
    size = "kv_bytes_per_conversation"
    assert wide["asked"][size] == 2 * narrow["asked"][size]
    assert "--kv-cache-dtype fp8" in narrow["commands"][0]["line"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gpt-oss-21b",), "did you mean 'gpt-oss-20b'?"),
        (("gpt-oss-20b", "--gpus", "many"), "no card 'many' is known"),
        (("gpt-oss-20b", "--gpus", "24K"), "size of memory such as 24G"),
        (("gpt-oss-20b", "--context", "long"), "number of tokens such as 32k"),
        (("gpt-oss-20b", "--context", "256k"), "reads at most 131072 tokens"),
        (("gpt-oss-20b", "--conversations", "0"), "expected 1 to 4096"),
        (("gpt-oss-20b", "--conversations", "two"), "takes a whole number"),
        (("gpt-oss-20b", "--utilization", "nan"), "expected 0.1 to 1"),
        (("gpt-oss-20b", "--utilization", "2"), "expected 0.1 to 1"),
        (("gpt-oss-20b", "--precision", "int3"), "not planned for at the precision 'int3'"),
        (("gpt-oss-20b", "--kv", "int2"), "invalid choice: 'int2'"),
    ],
)
def test_bad_input_is_a_usage_error(plan: Any, words: tuple[str, ...], said: str) -> None:
    code, out, err = plan(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) <= 2


def test_a_configuration_with_a_field_missing(plan: Any, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "llama"}')
    code, _, err = plan(str(path), "--gpus", "24G")
    assert code == 2
    assert f"{path}: the field hidden_size is missing" in err
