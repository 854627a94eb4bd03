from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.installs.plainyaml import NotPlainError, Value, as_data, parse

LOCK = """\
lockfileVersion: '9.0'

settings:
  autoInstallPeers: true

importers:

  .:
    devDependencies:
      '@scope/a':
        specifier: ^1.0.0
        version: 1.0.0(b@2.0.0)

packages:

  b@2.0.0:
    resolution: {integrity: sha512-a/b+c==}
    engines: {node: '>=6', npm: ">=\\"1\\""}
    cpu: [x64, arm64]
    deprecated: |-
      Use c: it is better

      # so
    bundledDependencies:
      - c
      - '@scope/d'
    peers:
    - e
? 'a long key'
: value
"""


def test_a_lock_as_it_is_written() -> None:
    found = parse(LOCK)
    assert found["lockfileVersion"] == "9.0"
    assert found["settings"] == {"autoInstallPeers": "true"}
    assert found["importers"] == {
        ".": {"devDependencies": {"@scope/a": {"specifier": "^1.0.0", "version": "1.0.0(b@2.0.0)"}}}
    }
    assert found["packages"] == {
        "b@2.0.0": {
            "resolution": {"integrity": "sha512-a/b+c=="},
            "engines": {"node": ">=6", "npm": '>="1"'},
            "cpu": ["x64", "arm64"],
            "deprecated": "Use c: it is better\n\n# so",
            "bundledDependencies": ["c", "@scope/d"],
            "peers": ["e"],
        }
    }
    assert found["a long key"] == "value"


def test_comments_and_an_empty_text_are_nothing() -> None:
    assert parse("") == {}
    assert parse("---\n# a\n\n  # b\na:\n") == {"a": ""}


@pytest.mark.parametrize(
    "text",
    [
        "a: &x b\nc: *x\n",
        "a: !!python/object b\n",
        "<<: {a: b}\n",
        "a: b\na: c\n",
        "a: {b: c, b: d}\n",
        "a: {b: c\n  }\n",
        "a: b\n  c\n",
        'a: "b\n  c"\n',
        'a: "\\x41"\n',
        'a: "b" c\n',
        "a: 'b' # c\n",
        "a: b # c\n",
        "a: b: c\n",
        "a: {b: c}: d\n",
        "- a\n",
        "a\n",
        "a:\n    b: c\n  d: e\n",
        "\ta: b\n",
        "a: b\n---\nc: d\n",
        "%YAML 1.1\n",
        "a: @b\n",
        "a: [b\n",
        "a: " + "[" * 100 + "\n",
        "".join(" " * n + "a:\n" for n in range(100)),
        "a: \x07\n",
        "? a\nb: c\n",
    ],
)
def test_what_could_be_taken_for_something_else_is_refused(text: str) -> None:
    with pytest.raises(NotPlainError):
        parse(text)


def test_the_line_that_is_refused_is_named() -> None:
    with pytest.raises(NotPlainError, match="line 3 "):
        parse("# a\nb: c\nd: *e\n")


def test_switches_are_written_as_such() -> None:
    assert as_data({"a": ["true", "x"], "b": {"c": "false"}, "d": ""}) == {
        "a": [True, "x"],
        "b": {"c": False},
        "d": None,
    }


SIGNS = "a b : - ' \" { } [ ] , # &a *a ! | |- > ? % @ ` '' \\\" \\ 1 << ~ = / . a:"
SPACED = (" ", "\n", "\n  ", "\n    ", "\n      ", ": ", "- ", ", ", " #", "? ")
PAIRS = ("a: b", "a: 'b'", "a: {b: c}", "a: [b, 'c']", "\n  a: b", "\nb: c", "\n  - a")
pieces = st.sampled_from([*SIGNS.split(), *SPACED, *PAIRS])


@given(st.lists(pieces, max_size=14).map("".join))
def test_what_is_read_is_what_a_reader_of_all_of_yaml_reads(text: str) -> None:
    yaml = pytest.importorskip("yaml")
    try:
        found = parse(text)
    except NotPlainError:
        return
    whole = yaml.load(text, Loader=yaml.BaseLoader)
    assert _without_texts(found) == _without_texts(whole or {})


def _without_texts(value: Value) -> object:
    """Texts over several lines are joined in several ways."""
    if isinstance(value, dict):
        return {key: _without_texts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_texts(inner) for inner in value]
    return value.split()


@given(st.text(max_size=100))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(NotPlainError):
        assert isinstance(parse(text), dict)
