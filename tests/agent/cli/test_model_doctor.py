"""`greenroom doctor --model` as a command."""

import json

import pytest

from agent.cli.main import main
from tests.faults import characters
from tests.faults.server import in_thread


def test_what_was_found_is_a_table_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with in_thread(characters.llamacpp(drops_tools=True)) as server:
        code = main(["doctor", "--model", "llamacpp:m", "--base-url", server.base_url])
    said = capsys.readouterr().out
    assert code == 3
    assert "tool calls         BAD    the server drops the tools" in said
    assert "  do:    Start llama-server with --jinja" in said
    assert "not fit for work: tool calls; " in said
    assert " requests made" in said


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    with in_thread(characters.vllm()) as server:
        code = main(["doctor", "-m", "openai:gpt-oss-20b", "--base-url", server.base_url, "--json"])
    made = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (made["schema"], made["usable"], made["server"]) == ("greenroom.model/1", True, "vLLM")
    assert made["requests"] > 10
    keys = {"name", "state", "found", "costs", "advice"}
    assert all(finding.keys() == keys for finding in made["findings"])


def test_a_script_has_nothing_to_examine(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{tmp_path}/turns.json"
    with open(path, "w", encoding="utf-8") as file:
        file.write("[]")
    assert main(["doctor", "--model", f"script:{path}"]) == 2
    assert "nothing to examine" in capsys.readouterr().err
