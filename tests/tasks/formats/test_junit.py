from xml.sax.saxutils import escape, quoteattr

from hypothesis import given
from hypothesis import strategies as st

from tasks.formats.junit import parse_junit
from tasks.formats.parsed import test_id as shown_id

SUREFIRE = b"""<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="com.example.CalcTest"
    time="1,234.5" tests="4" errors="1" skipped="1" failures="1">
  <properties><property name="java.version" value="17"/></properties>
  <testcase name="adds" classname="com.example.CalcTest" time="0.012"/>
  <testcase name="breaks" classname="com.example.CalcTest" time="0.5">
    <failure message="expected: &lt;3&gt; but was: &lt;-1&gt;" type="AssertionFailedError">trace
 at com.example.CalcTest.breaks(CalcTest.java:9)</failure>
    <system-out>printed</system-out>
  </testcase>
  <testcase name="throws" classname="com.example.CalcTest"><error type="E">boom
more</error></testcase>
  <testcase name="later" classname="com.example.CalcTest"><skipped message="not now"/></testcase>
</testsuite>"""


def test_a_surefire_report() -> None:
    parsed = parse_junit(SUREFIRE)
    assert parsed.ended
    assert {id: (r.status, r.message) for id, r in parsed.results.items()} == {
        "com.example.CalcTest::adds": ("passed", ""),
        "com.example.CalcTest::breaks": ("failed", "expected: <3> but was: <-1>"),
        "com.example.CalcTest::throws": ("error", "boom"),
        "com.example.CalcTest::later": ("skipped", "not now"),
    }
    assert parsed.results["com.example.CalcTest::adds"].seconds == 0.012
    assert "CalcTest.java:9" in parsed.results["com.example.CalcTest::breaks"].detail


def test_a_case_without_a_class_takes_its_suites_name() -> None:
    parsed = parse_junit(
        b"<testsuites><testsuite name='s'><testcase name='t'/></testsuite></testsuites>"
    )
    assert list(parsed.results) == ["s::t"]


def test_a_report_that_breaks_off_keeps_what_was_read() -> None:
    parsed = parse_junit(SUREFIRE[: SUREFIRE.index(b'<testcase name="later"')])
    assert len(parsed.results) == 3
    assert not parsed.ended


def test_of_two_results_with_one_id_the_failing_one_counts() -> None:
    case = "<testcase name='t'/>"
    failing = "<testcase name='t'><failure message='m'/></testcase>"
    for body in (case + failing, failing + case):
        parsed = parse_junit(f"<testsuite>{body}</testsuite>".encode())
        assert parsed.results["t"].status == "failed"


# What XML 1.0 can carry and an attribute keeps as it is.
NAMES = st.text(
    st.characters(
        min_codepoint=33, exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"
    ),
    min_size=1,
)


@given(
    st.dictionaries(
        st.tuples(NAMES, NAMES),
        st.tuples(st.sampled_from(["failure", "error", "skipped", ""]), NAMES),
    )
)
def test_what_is_written_is_read(cases: dict[tuple[str, str], tuple[str, str]]) -> None:
    body = "".join(
        f"<testcase classname={quoteattr(owner)} name={quoteattr(name)} time='0.25'>"
        + (f"<{kind} message={quoteattr(text)}>{escape(text)}</{kind}>" if kind else "")
        + "</testcase>"
        for (owner, name), (kind, text) in cases.items()
    )
    parsed = parse_junit(f"<testsuites><testsuite>{body}</testsuite></testsuites>".encode())
    statuses = {"failure": "failed", "error": "error", "skipped": "skipped", "": "passed"}
    assert parsed.ended
    for (owner, name), (kind, text) in cases.items():
        twins = [k for (o, n), (k, _) in cases.items() if f"{o}::{n}" == f"{owner}::{name}"]
        result = parsed.results[shown_id(f"{owner}::{name}")]
        if len(twins) == 1:
            assert result.status == statuses[kind]
            assert result.message == (text if kind else "")
            assert result.seconds == 0.25
