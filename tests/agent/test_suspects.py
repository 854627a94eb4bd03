from hypothesis import given
from hypothesis import strategies as st

from agent.suspects import HEADING, Suspect, parse_suspects, rank, render_suspects
from tasks.task import Executed, Status, TestReport, TestResult


def report(**tests: tuple[Status, tuple[Executed, ...]]) -> TestReport:
    return TestReport(
        {name: TestResult(name, status) for name, (status, _) in tests.items()},
        complete=True,
        command="pytest",
        framework="pytest",
        executed={name: ran for name, (_, ran) in tests.items()},
    )


def ran(function: str, *lines: int, path: str = "a.py") -> Executed:
    return Executed(path, function, 1, 20, lines)


def test_a_line_that_only_the_failing_test_ran_is_certain() -> None:
    found = rank(
        report(
            bad=("failed", (ran("f", 1, 2),)),
            good=("passed", (ran("f", 1),)),
        )
    )
    assert [(line, round(score, 3)) for line, score in found[0].lines] == [(1, 0.707), (2, 1.0)]


def test_the_function_nearest_to_the_failure_comes_first() -> None:
    found = rank(
        report(
            bad=("failed", (ran("shared", 1, 2), ran("own", 10, 11))),
            good=("passed", (ran("shared", 1, 2),)),
        )
    )
    assert [suspect.function for suspect in found] == ["own", "shared"]


def test_code_at_the_top_of_a_file_counts_only_where_there_is_nothing_else() -> None:
    top = ran("<module>", 1)
    assert [s.function for s in rank(report(bad=("failed", (top, ran("f", 2)))))] == ["f"]
    assert [s.function for s in rank(report(bad=("failed", (top,))))] == ["<module>"]


def test_without_failures_or_a_trace_nothing_is_suspect() -> None:
    assert rank(report(good=("passed", (ran("f", 1),)))) == []
    assert rank(report(bad=("failed", ()))) == []


def test_the_section_is_one_line_a_function() -> None:
    suspect = Suspect("a b.py", "f", 1, 9, ((2, 1.0), (3, 1.0), (5, 0.5)))
    text = render_suspects([suspect])
    assert text.splitlines()[1] == "- a b.py:1-9 f: lines 2-3 (1.00), 5 (0.50)"


names = st.from_regex(r"[a-z_<][a-z_.<>]{0,12}", fullmatch=True)
suspect = st.builds(
    Suspect,
    path=st.from_regex(r"[\w][\w /.:-]{0,20}\.py", fullmatch=True),
    function=names,
    first_line=st.integers(1, 999),
    last_line=st.integers(1, 999),
    lines=st.dictionaries(
        st.integers(1, 50), st.integers(0, 100).map(lambda n: n / 100), min_size=1
    ).map(lambda lines: tuple(sorted(lines.items()))),
)


@given(st.lists(suspect, max_size=5), st.text(), st.sampled_from(["", "\n\nFind the cause."]))
def test_what_is_rendered_is_parsed_again(found: list[Suspect], before: str, after: str) -> None:
    text = before + "\n" + render_suspects(found) + after
    assert parse_suspects(text) == found


@given(st.text())
def test_any_text_can_be_parsed(text: str) -> None:
    parse_suspects(text)


def test_text_that_looks_like_a_section_takes_no_memory_without_end() -> None:
    spans = ", ".join(["1-999999999 (1.00)"] * 100)
    (found,) = parse_suspects(f"{HEADING}\n- a.py:1-2 f: lines {spans}\n")
    assert len(found.lines) == 10_000
    assert parse_suspects(f"{HEADING}\n- a.py:1-{'9' * 5000} f: lines 1 (1.00)\n") == []
