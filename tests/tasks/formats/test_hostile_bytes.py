"""No parser may raise, or be slow, whatever a test program prints."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.formats.cargo import parse_cargo
from tasks.formats.events import parse_events
from tasks.formats.gotest import parse_go
from tasks.formats.junit import parse_junit
from tasks.formats.parsed import Parsed
from tasks.formats.spec_text import parse_spec
from tasks.formats.tap import parse_tap
from tasks.formats.unittest_text import parse_unittest

PARSERS = [
    parse_cargo,
    parse_events,
    parse_go,
    parse_junit,
    parse_spec,
    parse_tap,
    parse_unittest,
]
# What the formats are made of, so that random output comes close to them.
PIECES = [
    "ok 1 - a", "not ok 2 - b # TODO x", "    ok 1", "  ---", "  ...", "  error: |-", "1..2",
    "Bail out! no", "# Subtest: a",
    '{"Action":"run","Package":"p","Test":"T"}', '{"Action":"fail","Package":"p"}',
    '{"Action":"output","Package":1,"Test":[],"Output":{}}', "FAIL\tp [build failed]", "# p",
    '{"e":"start","s":1}', '{"e":"run","id":"a","s":1}', '{"e":"end","exit":"x","s":1}',
    '{"e":"test","id":5,"status":[],"frames":[[1,2,3,4],["a",1,"b","c"]],"seconds":1e400,"s":1}',
    '{"e":"trace","id":"a","x":[["a","b",1,2,[3,"x"]],7],"s":1}', '{"e":"uncollected","s":1}',
    '{"e":"collected","ids":["a",1],"s":1}', "[[[[[[[[", '"\\ud800"',
    "running 2 tests", "test a ... ok", "test b ... FAILED", "---- b stdout ----", "failures:",
    "test result: ok. 1 passed; 1 failed; 0 ignored", "   Running tests/a.rs (target/x)",
    "error[E0425]: x", "  --> src/lib.rs:1:2", "thread 'b' panicked at src/lib.rs:9:1:",
    "test_a (m.T.test_a) ... ok", "=" * 70, "FAIL: test_a (m.T.test_a)", "-" * 70,
    'File "/workspace/a.py", line 3, in f', "Ran 1 test in 0.1s", "", "OK", "FAILED (failures=1)",
    "PASS src/a.test.js", "FAIL src/b.test.js", "  ✓ adds (3 ms)", "  ✕ breaks", "▶ group",
    "Tests:       1 failed, 2 passed, 3 total", "  3 passing (5ms)", "  ● group › breaks", "    x",
    "<testsuite>", "<testcase name='a' time='x'>", "<failure message='m'/>", "</testcase>",
    "</testsuite>", "\x00", "\x1b[31m", "\ufeff",
]  # fmt: skip


@pytest.mark.parametrize("parse", PARSERS)
@given(data=st.binary(max_size=400))
def test_arbitrary_bytes(parse: Callable[[bytes], Parsed], data: bytes) -> None:
    assert isinstance(parse(data), Parsed)


@pytest.mark.parametrize("parse", PARSERS)
@given(lines=st.lists(st.sampled_from(PIECES) | st.text(max_size=30), max_size=40))
def test_scrambled_pieces_of_the_formats(
    parse: Callable[[bytes], Parsed], lines: list[str]
) -> None:
    parsed = parse("\n".join(lines).encode("utf-8", "replace"))
    for result in parsed.results.values():
        result.id.encode("utf-8")
        result.message.encode("utf-8")
        assert 0 <= result.seconds < float("inf")


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "data",
    [
        b"ok " * 700_000,
        b" " * 2_000_000,
        b"1" * 2_000_000,
        ("Tests: " + "9" * 2_000_000).encode(),
        b"\n".join(b" " * (n % 3000) + b"not ok 1 - x" for n in range(3000)),
        (b"=" * 70 + b"\nFAIL: test_a (m.T.test_a)\n") * 20_000,
        b"<a>" * 300_000,
        b'{"Action":' + b"[" * 200_000,
        b"(\n" * 500_000,
        b"# p\n" * 200_000,
        "  ● x\n\n    y\n".encode() * 60_000,
    ],
    ids=range(11),
)
def test_two_megabytes_of_anything_take_seconds_at_most(
    parse: Callable[[bytes], Parsed], data: bytes
) -> None:
    started = time.process_time()
    parse(data)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "xml",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><testsuite><testcase name="&x;"/></testsuite>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite>&x;</testsuite>',
        '<!DOCTYPE a SYSTEM "http://example.invalid/x.dtd"><testsuite/>',
        "<!DOCTYPE a [<!ENTITY a '"
        + "b" * 100
        + "'>"
        + "".join(f"<!ENTITY a{n} '&a;&a;&a;'>" for n in range(20))
        + "]><testsuite/>",
    ],
)
def test_documents_with_a_dtd_are_refused(xml: str) -> None:
    parsed = parse_junit(xml.encode())
    assert not parsed.ended
    assert not parsed.results
    assert "unreadable" in parsed.reason


def test_deep_nesting_is_refused() -> None:
    parsed = parse_junit(b"<a>" * 1_000 + b"<testcase name='t'/>" + b"</a>" * 1_000)
    assert not parsed.results
    assert "nested deeper" in parsed.reason


def test_the_parsers_of_untrusted_xml_use_the_hardened_library() -> None:
    source = (Path(__file__).parents[3] / "tasks" / "formats" / "junit.py").read_text()
    assert "from defusedxml.ElementTree import iterparse" in source
