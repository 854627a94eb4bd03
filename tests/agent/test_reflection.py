from hypothesis import given
from hypothesis import strategies as st

from agent.models.base import estimate_tokens
from agent.reflection import Situation, counts, reflect, signature
from agent.suspects import Suspect
from tasks.task import Frame, Status, TestReport, TestResult, Verdict


def result(id: str, status: Status = "failed", message: str = "assert 1 == 2") -> TestResult:
    frames = (
        Frame("test_a.py", 3, "test_a", "assert f() == 2"),
        Frame("a.py", 7, "f", "    return 1"),
    )
    return TestResult(id, status, message=message, frames=frames if status == "failed" else ())


def report(*results: TestResult, **more: object) -> TestReport:
    fields = {"complete": True, "command": "pytest", "framework": "pytest", **more}
    return TestReport({each.id: each for each in results}, **fields)  # type: ignore[arg-type]


def test_it_tells_the_failing_test_its_values_and_where() -> None:
    text = reflect(Situation(report(result("t::a"), result("t::b", "passed"))))
    assert "1 of 2 tests fail" in text
    assert "FAILED t::a\n    assert 1 == 2" in text
    assert "  at a.py:7 in f: return 1" in text


def test_it_tells_what_changed_since_the_last_run() -> None:
    before = report(result("t::a"), result("t::b", "passed"), result("t::c", "passed"))
    now = report(result("t::a", "passed"), result("t::b"))
    text = reflect(Situation(now, before))
    assert "Newly passing since the last run: t::a" in text
    assert "Newly failing since the last run: t::b" in text
    assert "No longer there since the last run: t::c" in text


def test_a_repeated_failure_is_named_and_changes_the_instruction() -> None:
    once, twice, often = (reflect(Situation(report(result("a")), repeats=n)) for n in (1, 2, 3))
    assert "same failure" not in once
    assert "for the 2nd time" in twice
    assert "say in one sentence why the last one changed nothing" in twice
    assert "for the 3rd time" in often
    assert "Do not edit the same place again" in often


def test_the_models_own_change_is_shown() -> None:
    text = reflect(Situation(report(result("a")), diff="-old\n+new\n"))
    assert "```diff\n-old\n+new\n```" in text


def test_a_refused_green_tells_the_reasons() -> None:
    verdict = Verdict("failed", ("t::b passed before the patch and now fails.",))
    text = reflect(Situation(report(result("a", "passed")), verdict=verdict))
    assert "does not accept the change (failed):\n- t::b passed before" in text


def test_suspects_are_listed() -> None:
    suspect = Suspect("a.py", "f", 5, 9, ((7, 1.0),))
    assert "- a.py:5-9 f: lines 7 (1.00)" in reflect(
        Situation(report(result("a")), suspects=[suspect])
    )


def test_tests_that_could_not_be_collected_are_told() -> None:
    broken = report(errors=("t.py could not be collected: SyntaxError: invalid syntax",))
    assert "SyntaxError: invalid syntax" in reflect(Situation(broken))


def test_counts_in_words() -> None:
    assert counts(report(result("a"), result("b", "passed"))) == "1 of 2 tests fail"
    assert counts(report(result("b", "passed"))) == "1 of 1 tests pass"
    assert counts(report(complete=False, reason="it timed out")) == "no test ran: it timed out"
    stopped = report(result("b", "passed"), complete=False, reason="it timed out")
    assert counts(stopped) == "1 of 1 tests pass, but it timed out"


def test_noise_does_not_make_a_failure_another() -> None:
    first = report(result("a", message="<O at 0x7f01> in /tmp/x1/f after 0.12s"))
    again = report(result("a", message="<O at 0x7fff> in /tmp/y2/f after 3.40s"))
    other = report(result("a", message="<P at 0x7f01>"))
    assert signature(first) == signature(again)
    assert signature(first) != signature(other)


texts = st.text(max_size=3000)


@given(st.lists(texts, max_size=12), texts, st.integers(100, 3000))
def test_it_is_bounded_whatever_the_log(messages: list[str], diff: str, limit: int) -> None:
    results = [result(f"t::{n}", message=message) for n, message in enumerate(messages)]
    text = reflect(Situation(report(*results, errors=(diff,)), diff=diff), limit)
    # Each part keeps a few words, however small the bound.
    assert estimate_tokens(text) <= limit + 900
