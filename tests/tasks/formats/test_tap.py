from hypothesis import given
from hypothesis import strategies as st

from tasks.formats.tap import looks_like_tap, parse_tap

NODE = """TAP version 13
# Subtest: adds
not ok 1 - adds
  ---
  duration_ms: 3.382805
  location: '/workspace/a.test.js:2:1'
  failureType: 'testCodeFailure'
  error: |-
    Expected values to be strictly equal:

    3 !== 4

  code: 'ERR_ASSERTION'
  stack: |-
    TestContext.<anonymous> (/workspace/a.test.js:2:25)
    add (/workspace/src/add.js:7:3)
    Test.run (node:internal/test_runner/test:631:25)
  ...
# Subtest: skips
ok 2 - skips # SKIP later
# Subtest: todo
not ok 3 - todo # TODO
  ---
  error: 'x'
  ...
# Subtest: group
    # Subtest: in
    ok 1 - in
      ---
      duration_ms: 250
      ...
    # Subtest: deep
        # Subtest: out \\# of
        not ok 1 - out \\# of
          ---
          error: 'boom'
          ...
        1..1
    not ok 2 - deep
      ---
      error: '1 subtest failed'
      ...
    1..2
not ok 4 - group
  ---
  error: '1 subtest failed'
  ...
1..4
# tests 5
"""


def test_what_node_prints() -> None:
    parsed = parse_tap(NODE.encode())
    assert looks_like_tap(NODE)
    assert parsed.ended
    assert {id: (r.status, r.message) for id, r in parsed.results.items()} == {
        "adds": ("failed", "Expected values to be strictly equal:\n3 !== 4"),
        "skips": ("skipped", "later"),
        "todo": ("xfailed", "x"),
        "group > in": ("passed", ""),
        "group > deep > out # of": ("failed", "boom"),
    }
    assert parsed.results["group > in"].seconds == 0.25
    assert [(f.path, f.line, f.function) for f in parsed.results["adds"].frames] == [
        ("src/add.js", 7, "add"),
        ("a.test.js", 2, "TestContext.<anonymous>"),
    ]


def test_a_group_that_fails_although_nothing_inside_did_counts() -> None:
    parsed = parse_tap(
        b"    ok 1 - in\n    1..1\nnot ok 1 - hooks\n  ---\n  error: 'after'\n  ...\n1..1\n"
    )
    assert {id: r.status for id, r in parsed.results.items()} == {
        "hooks > in": "passed",
        "hooks": "failed",
    }


def test_missing_and_surplus_points_are_noticed() -> None:
    assert "says 3 tests and 2" in parse_tap(b"1..3\nok 1\nok 2\n").reason
    assert "no plan" in parse_tap(b"ok 1\nok 2\n").reason
    assert parse_tap(b"1..2\nok\nok\n").ended


def test_bailing_out_ends_the_run_early() -> None:
    parsed = parse_tap(b"1..2\nok 1 - a\nBail out! no database\n")
    assert not parsed.ended
    assert parsed.errors == ("The tests bailed out: no database",)


NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)


@given(st.dictionaries(NAMES.filter(lambda name: not name.isdigit()), st.booleans(), min_size=1))
def test_what_is_written_is_read(points: dict[str, bool]) -> None:
    lines = [
        f"{'ok' if passed else 'not ok'} {number} - {name}"
        for number, (name, passed) in enumerate(points.items(), 1)
    ]
    parsed = parse_tap("\n".join([*lines, f"1..{len(points)}"]).encode())
    assert parsed.ended
    assert {id: r.status == "passed" for id, r in parsed.results.items()} == points
