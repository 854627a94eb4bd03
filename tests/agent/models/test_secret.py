import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.models.base import ModelError
from agent.models.secret import Secret

KEY = "abcd1234efgh5678"


def secret(value: str = KEY) -> Secret:
    return Secret("MY_KEY", {"MY_KEY": value})


def test_a_key_is_in_its_header_and_nowhere_else() -> None:
    key = secret()
    assert key.headers() == {"Authorization": f"Bearer {KEY}"}
    assert KEY not in f"{key!r} {key}"
    for leak in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(key)


def test_blanks_around_a_key_are_dropped() -> None:
    assert secret(f" {KEY}\n").headers() == secret().headers()


def test_no_key_is_no_header() -> None:
    assert not secret("")
    assert secret("").headers() == {}
    assert secret("").redact("text") == "text"


@pytest.mark.parametrize("value", ["two words", "line\nbreak", "schl\u00fcssel", "a\x00b"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(ModelError) as caught:
        secret(value)
    assert "MY_KEY" in caught.value.message
    assert value not in str(caught.value)


def test_a_key_is_redacted_wherever_it_stands() -> None:
    assert secret().redact(f"a{KEY}b{KEY}") == "a[key]b[key]"


def test_a_placeholder_does_not_spoil_texts() -> None:
    assert secret("EMPTY").redact("the list is EMPTY") == "the list is EMPTY"


@pytest.mark.parametrize("text", ["sk-proj-ab***********wxyz", "hf_AbCdEfGhIjKl", KEY])
def test_errors_hide_all_that_looks_like_a_key(text: str) -> None:
    assert secret().redact_error(f"bad key {text}.") == "bad key [key]."


@given(st.lists(st.sampled_from([KEY, KEY[:5], KEY[5:], "text", KEY[0], ""])), st.integers(1, 9))
def test_a_key_in_pieces_is_never_shown(parts: list[str], size: int) -> None:
    whole = "".join(parts)
    redactor = secret().redactor()
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    shown = [redactor.feed(piece) for piece in pieces]
    assert "".join([*shown, redactor.rest()]) == whole.replace(KEY, "[key]")


def test_nothing_is_held_back_that_cannot_be_the_key() -> None:
    redactor = secret().redactor()
    assert redactor.feed("a word") == "a word"
    assert secret("EMPTY").redactor().feed("EMPTY") == "EMPTY"
