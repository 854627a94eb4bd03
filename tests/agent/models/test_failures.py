import email.utils

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.models.base import ContextOverflow, ModelError
from agent.models.failures import (
    NoTools,
    Refused,
    Transient,
    UnknownModel,
    classify,
    error_text,
    output_room,
    read_answer,
    retry_after,
    shorten,
)


def judged(status: int, body: str, headers: dict[str, str] | None = None) -> Exception:
    return classify(read_answer(status, headers or {}, body), "S", 60)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error": {"message": "m", "code": "c"}}', "m"),
        ('{"error": "m"}', "m"),
        ('{"detail": "m"}', "m"),
        ('{"detail": [{"loc": ["body"], "msg": "m"}, {"msg": "n"}]}', "m; n"),
        ('{"object": "error", "message": "m"}', "m"),
        ("plain\n text", "plain text"),
        ("", ""),
        ("{}", ""),
        ('{"odd": 1}', '{"odd": 1}'),
        ("<html><body>x</body></html>", ""),
    ],
)
def test_the_message_of_an_error_is_found(body: str, said: str) -> None:
    assert read_answer(400, {}, body).said == said


def test_a_code_inside_beats_one_outside() -> None:
    assert error_text({"error": {"message": "m", "code": "in"}, "code": "out"}) == ("m", "in")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, "context deadline exceeded (Client.Timeout or context cancellation while reading)"),
        (413, "Request too large for model on tokens per minute (TPM): Limit 8000"),
        (429, "Rate limit reached: input too large, tokens per minute exceeded"),
        (504, "upstream request timeout"),
    ],
)
def test_what_only_sounds_like_an_overflow_is_tried_again(status: int, said: str) -> None:
    assert isinstance(judged(status, said), Transient)


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (400, '{"error": {"message": "x", "type": "exceed_context_size_error"}}', ContextOverflow),
        (404, "page not found", UnknownModel),
        (400, "model 'x' not found, try pulling it first", UnknownModel),
        (400, "tool_choice is odd", Refused),
        (422, "field required", Refused),
        (405, "method not allowed", ModelError),
        (402, "no credit", ModelError),
        (400, "this model does not support tools", NoTools),
    ],
)
def test_each_refusal_has_its_kind(status: int, said: str, kind: type[Exception]) -> None:
    assert type(judged(status, said)) is kind


def test_a_wait_beyond_the_limit_is_an_error_and_a_shorter_one_is_kept() -> None:
    assert isinstance(judged(429, "x", {"retry-after": "61"}), ModelError)
    assert isinstance(judged(503, "x", {"retry-after": "61"}), ModelError)
    kept = judged(429, "x", {"retry-after": "59"})
    assert isinstance(kept, Transient)
    assert kept.wait == 59


def test_room_for_output_is_worked_out_only_where_the_prompt_leaves_some() -> None:
    said = "maximum context length is {} tokens and your request has 500 input tokens"
    assert output_room(said.format(8192)) == 8192 - 500 - 16
    assert output_room(said.format(1000)) is None
    assert output_room("maximum context length is 8192 tokens") is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": email.utils.formatdate(1030, usegmt=True)}, 30.0),
        ({"retry-after": email.utils.formatdate(900, usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-4"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, 1000.0) == seconds


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_header_makes_retry_after_fail(text: str) -> None:
    wait = retry_after({"retry-after": text, "retry-after-ms": text}, 0.0)
    assert wait is None or wait >= 0


@settings(deadline=None)
@given(st.text(), st.integers(1, 50))
def test_a_shortened_text_fits_on_one_line(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= limit
    assert "\n" not in short


@settings(deadline=None)
@given(st.integers(300, 599), st.text(max_size=200))
def test_every_answer_is_some_error(status: int, body: str) -> None:
    assert isinstance(judged(status, body), ModelError | Transient | UnknownModel | Refused)
