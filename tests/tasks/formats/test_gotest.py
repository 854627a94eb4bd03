import json

from hypothesis import given
from hypothesis import strategies as st

from tasks.formats.gotest import parse_go
from tasks.formats.parsed import test_id as shown_id

RUN = r"""
{"Action":"run","Package":"go/c","Test":"TestAdd"}
{"Action":"output","Package":"go/c","Test":"TestAdd","Output":"=== RUN   TestAdd\n"}
{"Action":"output","Package":"go/c","Test":"TestAdd","Output":"    calc_test.go:3: Add(1,2) = -1\n"}
{"Action":"output","Package":"go/c","Test":"TestAdd","Output":"--- FAIL: TestAdd (0.00s)\n"}
{"Action":"fail","Package":"go/c","Test":"TestAdd","Elapsed":0.25}
{"Action":"run","Package":"go/c","Test":"TestSub"}
{"Action":"run","Package":"go/c","Test":"TestSub/a"}
{"Action":"pass","Package":"go/c","Test":"TestSub/a","Elapsed":0}
{"Action":"run","Package":"go/c","Test":"TestSub/b_c"}
{"Action":"output","Package":"go/c","Test":"TestSub/b_c","Output":"    calc_test.go:4: no\n"}
{"Action":"skip","Package":"go/c","Test":"TestSub/b_c","Elapsed":0}
{"Action":"pass","Package":"go/c","Test":"TestSub","Elapsed":0}
{"Action":"output","Package":"go/c","Output":"FAIL\n"}
{"Action":"fail","Package":"go/c","Elapsed":0.004}
""".strip()


def test_a_package_with_every_outcome() -> None:
    parsed = parse_go(RUN.encode())
    assert parsed.ended
    assert {id: (r.status, r.message) for id, r in parsed.results.items()} == {
        "go/c::TestAdd": ("failed", "calc_test.go:3: Add(1,2) = -1"),
        "go/c::TestSub": ("passed", ""),
        "go/c::TestSub/a": ("passed", ""),
        "go/c::TestSub/b_c": ("skipped", "calc_test.go:4: no"),
    }
    assert parsed.results["go/c::TestAdd"].seconds == 0.25
    assert not parsed.errors


def test_a_package_that_does_not_build_is_an_error_with_the_compilers_words() -> None:
    text = "\n".join(
        [
            "# go/c/broken [go/c/broken.test]",
            "broken/x_test.go:3:31: undefined: undefinedThing",
            "FAIL\tgo/c/broken [build failed]",
            RUN,
        ]
    )
    (error,) = parse_go(text.encode()).errors
    assert error == (
        "go/c/broken could not be tested: broken/x_test.go:3:31: undefined: undefinedThing"
    )


def test_a_build_failure_in_the_newer_stream() -> None:
    text = "\n".join(
        [
            '{"ImportPath":"p [p.test]","Action":"build-output","Output":"./x.go:3:1: bad\\n"}',
            '{"ImportPath":"p [p.test]","Action":"build-fail"}',
            '{"Action":"start","Package":"p"}',
            '{"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p [p.test]"}',
        ]
    )
    parsed = parse_go(text.encode())
    assert parsed.errors == ("p could not be tested: ./x.go:3:1: bad",)


def test_a_run_that_breaks_off_is_not_complete() -> None:
    lines = RUN.splitlines()
    parsed = parse_go("\n".join(lines[:7]).encode())
    assert not parsed.ended
    assert parsed.results["go/c::TestSub"].status == "error"


@given(
    st.dictionaries(
        st.text(min_size=1).filter(str.strip), st.sampled_from(["pass", "fail", "skip"])
    )
)
def test_what_is_written_is_read(tests: dict[str, str]) -> None:
    events = [{"Action": action, "Package": "p", "Test": name} for name, action in tests.items()]
    events.append({"Action": "pass", "Package": "p"})
    parsed = parse_go("\n".join(json.dumps(event) for event in events).encode())
    statuses = {"pass": "passed", "fail": "failed", "skip": "skipped"}
    assert parsed.ended
    assert {id: r.status for id, r in parsed.results.items()} == {
        shown_id(f"p::{name}"): statuses[action] for name, action in tests.items()
    }
