from typing import Any

import pytest

from sandbox.results import (
    FileProblem,
    Output,
    command_result,
    file_error,
    listing,
    not_started,
    search_result,
    signal_name,
)

REPLY: dict[str, Any] = {
    "status": 0,
    "reason": "",
    "oom_kills": 0,
    "seconds": 1.5,
    "cpu_seconds": 0.5,
    "max_rss_bytes": 1000,
    "events_total": 0,
}
NOTHING = Output(b"", b"", 0)


def result(**change: Any) -> tuple[int | None, int | None, str, bool]:
    made = command_result({**REPLY, **change}, NOTHING, b"")
    return made.exit_code, made.signal, made.reason, made.ok


def test_how_a_command_ended_is_read_from_its_status() -> None:
    assert result() == (0, None, "exit", True)
    assert result(status=3 << 8) == (3, None, "exit", False)
    assert result(status=11) == (None, 11, "signal", False)
    assert result(status=9, reason="timeout") == (None, 9, "timeout", False)
    assert result(status=0, reason="timeout") == (0, None, "exit", True)
    assert result(status=9, reason="output") == (None, 9, "output", False)
    assert result(status=9, oom_kills=1) == (None, 9, "memory", False)
    assert result(status=137 << 8, oom_kills=1) == (137, None, "memory", False)
    assert result(oom_kills=1) == (0, None, "exit", True)


def test_cut_output_says_how_much_is_missing() -> None:
    cut = Output(b"head\xff", b"tail", 1000)
    assert cut.truncated
    assert cut.text == "head�\n[... 991 of 1,000 bytes cut ...]\ntail"
    whole = Output(b"caf\xc3", b"\xa9", 5)
    assert not whole.truncated
    assert whole.text == "café"


def test_a_program_that_could_not_start_looks_as_in_a_shell() -> None:
    missing = not_started({"errno": 2}, "tool")
    assert (missing.exit_code, missing.output.text) == (127, "tool: No such file or directory\n")
    assert not_started({"errno": 13}, "tool").exit_code == 126


@pytest.mark.parametrize(
    ("number", "kind"),
    [(2, FileNotFoundError), (21, IsADirectoryError), (20, NotADirectoryError), (5, FileProblem)],
)
def test_file_errors_are_the_usual_ones_where_there_are_such(
    number: int, kind: type[Exception]
) -> None:
    error = file_error("a/b", {"errno": number, "text": "went wrong"})
    assert isinstance(error, kind)
    assert "a/b" in str(error)
    assert "went wrong" in str(error)


def test_a_search_that_was_cut_drops_the_broken_line() -> None:
    lines = b'["a", 1, "x"]\n["b", 2, "y"]\n'
    assert len(search_result(Output(lines, b"", len(lines)), 5).matches) == 2
    cut = search_result(Output(lines[:-5], b"rest", 1000), 5)
    assert [match.path for match in cut.matches] == ["a"]
    assert cut.truncated
    assert search_result(Output(lines, b"", len(lines)), 1).truncated


def test_a_listing_is_a_list() -> None:
    made = listing({"entries": [["a", "file", 5]], "truncated": True})
    assert [info.path for info in made] == ["a"]
    assert made.truncated


def test_signals_have_their_names() -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(63) == "signal 63"
