from tasks.formats.cargo import parse_cargo

RUN = """
   Compiling calc v0.1.0 (/workspace)
     Running unittests src/lib.rs (target/debug/deps/calc-70c76b6b2b1cb399)

running 4 tests
test tests::ign ... ignored
test tests::adds ... FAILED
test tests::pan - should panic ... ok
test tests::zero ... ok

failures:

---- tests::adds stdout ----
hello
thread 'tests::adds' panicked at src/lib.rs:7:44:
assertion `left == right` failed
  left: -1
 right: 3
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    tests::adds

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

error: test failed, to rerun pass `--lib`
error: doctest failed, to rerun pass `--doc`
error: 1 target failed:
     Running tests/it.rs (target/debug/deps/it-b68507e33777fd6c)

running 1 test
test outer ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests calc

running 1 test
test src/lib.rs - add (line 1) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.57s
"""


def test_unit_integration_and_documentation_tests() -> None:
    parsed = parse_cargo(RUN.encode())
    assert parsed.ended
    assert not parsed.errors
    assert {id: r.status for id, r in parsed.results.items()} == {
        "src/lib.rs::tests::ign": "skipped",
        "src/lib.rs::tests::adds": "failed",
        "src/lib.rs::tests::pan": "passed",
        "src/lib.rs::tests::zero": "passed",
        "tests/it.rs::outer": "passed",
        "doc::src/lib.rs - add (line 1)": "passed",
    }
    failed = parsed.results["src/lib.rs::tests::adds"]
    assert "left: -1" in failed.message
    assert "RUST_BACKTRACE" not in failed.message
    assert [(frame.path, frame.line) for frame in failed.frames] == [("src/lib.rs", 7)]


def test_the_older_panic_message_has_a_place_too() -> None:
    text = RUN.replace(
        "panicked at src/lib.rs:7:44:\nassertion `left == right` failed",
        "panicked at 'assertion failed: `(left == right)`\n  left: `-1`,\n right: `3`', "
        "src/lib.rs:7:44",
    )
    failed = parse_cargo(text.encode()).results["src/lib.rs::tests::adds"]
    assert "left: `-1`" in failed.message


def test_a_group_without_its_summary_is_not_complete() -> None:
    cut = RUN[: RUN.index("test result: FAILED")]
    parsed = parse_cargo(cut.encode())
    assert not parsed.ended
    assert parsed.results["src/lib.rs::tests::adds"].status == "failed"


def test_counts_that_do_not_add_up_are_noticed() -> None:
    parsed = parse_cargo(RUN.replace("test tests::zero ... ok\n", "").encode())
    assert "do not add up" in parsed.reason


def test_compiler_errors_are_named_with_their_place() -> None:
    text = """error[E0425]: cannot find value `x` in this scope
 --> src/lib.rs:3:5
  |
3 |     x
  |     ^ not found in this scope

error: could not compile `calc` (lib) due to 1 previous error
"""
    assert parse_cargo(text.encode()).errors == (
        "error[E0425]: cannot find value `x` in this scope --> src/lib.rs:3:5",
        "error: could not compile `calc` (lib) due to 1 previous error",
    )
