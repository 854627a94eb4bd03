from tasks.formats.spec_text import looks_like_spec, parse_spec

JEST = """FAIL src/calc.test.js
  calc
    ✓ zero (3 ms)
    ✕ adds (12 ms)
    ○ skipped later

  ● calc › adds

    expect(received).toBe(expected) // Object.is equality

    Expected: 3
    Received: -1

PASS src/other.test.js
  ✓ top level

Test Suites: 1 failed, 1 passed, 2 total
Tests:       1 failed, 1 skipped, 2 passed, 4 total
"""
MOCHA = """

  calc
    ✔ zero
    1) adds
    - later
    deeper
      ✔ inside (12ms)


  2 passing (5ms)
  1 pending
  1 failing

  1) calc
       adds:
     AssertionError: expected -1 to equal 3
"""
NODE = """▶ group
  ✔ in (0.184795ms)
  ▶ deep
    ✖ out # of (0.217203ms)
      Error: boom
          at TestContext.<anonymous> (/workspace/a.test.js:5:93)

  ▶ deep (0.532362ms)

▶ group (1.477158ms)

﹣ skips (0.359054ms) # later
✖ todo (0.194159ms) # TODO
✔ top (0.1ms)
ℹ tests 5
ℹ pass 2
ℹ fail 1

✖ failing tests:

test at a.test.js:5:66
✖ out # of (0.217203ms)
"""


def statuses(text: str) -> dict[str, str]:
    parsed = parse_spec(text.encode())
    assert parsed.ended, parsed.reason
    return {id: result.status for id, result in parsed.results.items()}


def test_jest() -> None:
    assert statuses(JEST) == {
        "src/calc.test.js > calc > zero": "passed",
        "src/calc.test.js > calc > adds": "failed",
        "src/calc.test.js > calc > skipped later": "skipped",
        "src/other.test.js > top level": "passed",
    }
    failed = parse_spec(JEST.encode()).results["src/calc.test.js > calc > adds"]
    assert "Received: -1" in failed.message
    assert failed.seconds == 0.012


def test_jest_that_lists_files_only() -> None:
    text = "PASS src/a.test.js\nFAIL src/b.test.js\n\nTests:       1 failed, 3 passed, 4 total\n"
    assert statuses(text) == {"src/a.test.js": "passed", "src/b.test.js": "failed"}


def test_mocha() -> None:
    assert statuses(MOCHA) == {
        "calc > zero": "passed",
        "calc > adds": "failed",
        "calc > later": "skipped",
        "calc > deeper > inside": "passed",
    }


def test_node() -> None:
    assert statuses(NODE) == {
        "group > in": "passed",
        "group > deep > out # of": "failed",
        "skips": "skipped",
        "todo": "xfailed",
        "top": "passed",
    }


def test_colours_do_not_matter() -> None:
    coloured = JEST.replace("✓", "\x1b[32m✓\x1b[39m").replace("Tests:", "\x1b[1mTests:\x1b[22m")
    assert statuses(coloured) == statuses(JEST)


def test_counts_that_differ_from_the_list_are_noticed() -> None:
    parsed = parse_spec(MOCHA.replace("2 passing", "7 passing").encode())
    assert parsed.reason == ("the summary counts 7 passing and 1 failing tests, the list 2 and 1")


def test_only_text_with_a_summary_looks_like_it() -> None:
    assert looks_like_spec(MOCHA)
    assert not looks_like_spec("✓ everything is built\n")
