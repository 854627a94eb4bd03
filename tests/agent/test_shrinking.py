import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.conversation import (
    AssistantMessage,
    Conversation,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from agent.models.base import conversation_text, estimate_tokens
from agent.shrinking import (
    STRENGTHS,
    beginning,
    latest_report,
    newest,
    renewed,
    shorten,
    shrink,
    turn_starts,
)

NOTE = UserMessage("The older turns were left out.", "checkpoint")


def size(messages: Conversation) -> int:
    return sum(estimate_tokens(conversation_text([message])) + 4 for message in messages)


# Conversations as an attempt makes them.

LINES = st.lists(st.text(max_size=60), max_size=8).map("\n".join)
TEXTS = st.builds(lambda text, times: text * times, LINES, st.sampled_from([1, 1, 3, 40]))
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.text(max_size=8), VALUES, max_size=3).map(json.dumps) | TEXTS
SAID = st.builds(
    UserMessage, TEXTS, st.sampled_from(["reflection", "notice", "guidance", "steering"])
)


@st.composite
def turns(draw: st.DrawFn, number: int) -> list[Message]:
    names = draw(st.lists(st.sampled_from(["read_file", "shell", "odd]\nname"]), max_size=3))
    calls = tuple(
        ToolCall(f"c{number}_{place}", name, draw(ARGUMENTS)) for place, name in enumerate(names)
    )
    ids = tuple(draw(st.lists(st.integers(0, 9), max_size=3)))
    turn = AssistantMessage(draw(TEXTS), draw(TEXTS), calls, ids, tuple(float(n) for n in ids))
    results = [ToolMessage(call.id, call.name, draw(TEXTS)) for call in calls]
    return [turn, *results, *draw(st.lists(SAID, max_size=2))]


@st.composite
def conversations(draw: st.DrawFn, least: int = 0) -> tuple[Message, ...]:
    made: list[Message] = [SystemMessage(draw(TEXTS)), UserMessage(draw(TEXTS), "task")]
    made += draw(st.lists(SAID, max_size=1))
    for number in range(draw(st.integers(least, 6))):
        made += draw(turns(number))
    return tuple(made)


SHARES = st.floats(0, 1.2)
STRENGTH = st.integers(0, STRENGTHS - 1)


def check_pairs(messages: Conversation) -> None:
    """Each result follows its call, and each call has its result."""
    waiting: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            assert message.call_id == waiting.pop(0)
            continue
        assert waiting == []
        if isinstance(message, AssistantMessage):
            waiting = [call.id for call in message.calls]
    assert waiting == []


def is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


# Texts cut.


@settings(max_examples=25, deadline=None)
@given(conversations(), SHARES, STRENGTH)
def test_what_has_to_stay_stays_and_the_shape_too(
    messages: tuple[Message, ...], share: float, strength: int
) -> None:
    target = int(size(messages) * share)
    found = shrink(messages, size(messages), target, size, len(messages), strength).messages
    check_pairs(found)
    assert [type(message) for message in found] == [type(message) for message in messages]
    place = latest_report(messages)
    for number, (old, new) in enumerate(zip(messages, found, strict=True)):
        if isinstance(old, SystemMessage) or number == place:
            assert new is old
        if isinstance(old, UserMessage) and old.origin != "reflection":
            assert new is old
        if isinstance(old, AssistantMessage) and isinstance(new, AssistantMessage):
            assert new.text == old.text
            assert [(call.id, call.name) for call in new.calls] == [
                (call.id, call.name) for call in old.calls
            ]


@settings(max_examples=25, deadline=None)
@given(conversations(), SHARES, STRENGTH)
def test_it_ends_at_the_target_or_where_nothing_is_left_to_cut(
    messages: tuple[Message, ...], share: float, strength: int
) -> None:
    target = int(size(messages) * share)
    found = shrink(messages, size(messages), target, size, len(messages), strength)
    assert found.tokens == size(found.messages)
    if found.tokens > target:
        again = shrink(found.messages, found.tokens, 0, size, len(messages), strength)
        assert again.messages == found.messages
        assert again.cut == {}


@settings(max_examples=25, deadline=None)
@given(conversations(), STRENGTH)
def test_what_is_below_the_target_is_left_alone(
    messages: tuple[Message, ...], strength: int
) -> None:
    found = shrink(messages, size(messages), size(messages), size, len(messages), strength)
    assert (found.messages, found.cut) == (messages, {})


@settings(max_examples=25, deadline=None)
@given(conversations(), STRENGTH, st.integers(0, 12))
def test_the_newest_messages_are_left_alone(
    messages: tuple[Message, ...], strength: int, alone: int
) -> None:
    end = max(0, len(messages) - alone)
    found = shrink(messages, size(messages), 0, size, end, strength).messages
    assert found[end:] == messages[end:]


@settings(max_examples=25, deadline=None)
@given(conversations(), STRENGTH)
def test_arguments_stay_the_objects_that_they_were(
    messages: tuple[Message, ...], strength: int
) -> None:
    found = shrink(messages, size(messages), 0, size, len(messages), strength).messages
    for old, new in zip(messages, found, strict=True):
        if not isinstance(old, AssistantMessage) or not isinstance(new, AssistantMessage):
            continue
        for before, after in zip(old.calls, new.calls, strict=True):
            if is_object(before.arguments):
                assert json.loads(after.arguments).keys() == json.loads(before.arguments).keys()
            else:
                assert after.arguments == before.arguments
        # The tokens that a turn was sampled in say what it said then.
        if (old.reasoning, old.calls) != (new.reasoning, new.calls):
            assert (new.token_ids, new.log_probabilities) == ((), ())
        else:
            assert new is old


def result(number: int, text: str) -> list[Message]:
    call = ToolCall(f"c{number}", "read_file", '{"path": "a.py"}')
    return [AssistantMessage(calls=(call,)), ToolMessage(call.id, call.name, text)]


def lines(count: int) -> str:
    return "".join(f"line {number} of the file\n" for number in range(count))


def test_the_oldest_results_are_cut_first_and_no_more_than_it_takes() -> None:
    messages = [SystemMessage("s"), UserMessage("t")]
    for number in range(4):
        messages += result(number, lines(400))
    whole = size(messages)
    found = shrink(messages, whole, whole - 1000, size, len(messages))
    assert found.cut == {"results": 1}
    first = found.messages[3]
    assert isinstance(first, ToolMessage)
    assert first.text.startswith("line 0 of the file\n")
    assert first.text.endswith("line 399 of the file\n")
    assert "characters left out to save room; call read_file again to see them]" in first.text
    assert found.messages[4:] == tuple(messages[4:])


def test_reports_that_a_later_one_supersedes_come_next_then_reasoning_then_arguments() -> None:
    written = json.dumps({"path": "a.py", "content": lines(200)})
    write = ToolCall("w", "write_file", written)
    messages: list[Message] = [
        SystemMessage("s"),
        UserMessage("t"),
        AssistantMessage("", lines(50), (write,), (1, 2)),
        ToolMessage("w", "write_file", lines(200)),
        UserMessage(lines(100), "reflection"),
        AssistantMessage("Go on.", lines(50)),
        UserMessage(lines(100), "reflection"),
    ]
    seen: list[dict[str, int]] = []
    for target in range(size(messages), 0, -50):
        cut = dict(shrink(messages, size(messages), target, size, len(messages)).cut)
        if cut not in seen:
            seen.append(cut)
    assert seen == [
        {},
        {"results": 1},
        {"results": 1, "reports": 1},
        {"results": 1, "reports": 1, "reasoning": 1},
        {"results": 1, "reports": 1, "reasoning": 2},
        {"results": 1, "reports": 1, "reasoning": 2, "arguments": 1},
    ]
    turn = shrink(messages, size(messages), 0, size, len(messages)).messages[2]
    assert isinstance(turn, AssistantMessage)
    content = json.loads(turn.calls[0].arguments)
    assert content["path"] == "a.py"
    assert content["content"].startswith("line 0 of the file\n")


def test_a_turn_whose_call_was_cut_has_its_tokens_no_more() -> None:
    call = ToolCall("w", "write_file", json.dumps({"content": lines(200)}))
    turn = AssistantMessage("", "", (call,), (1, 2), (0.5, 0.5))
    [made] = shrink([turn], size([turn]), 0, size, 1).messages
    assert isinstance(made, AssistantMessage)
    assert (made.token_ids, made.log_probabilities) == ((), ())


def test_a_text_that_was_cut_and_is_cut_again_tells_all_that_is_left_out() -> None:
    text = lines(1000)
    once = shorten(text, 1500)
    twice = shorten(once, 300)
    assert shorten(once, 1500) == once
    told = int(twice.partition("[")[2].partition(" ")[0].replace(",", ""))
    kept = len(twice) - len(twice.partition("[")[2].partition("]")[0]) - 2
    assert told + kept == len(text)


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=3000), st.integers(50, 1500), st.text(max_size=10))
def test_a_text_keeps_its_ends_and_gets_shorter_or_stays(text: str, limit: int, end: str) -> None:
    text += end
    found = shorten(text, limit, "; call it again")
    if found != text:
        assert len(found) < len(text)
        head, mark, tail = found.partition("[" + found.rpartition("[")[2].partition("]")[0] + "]")
        assert mark
        assert text.startswith(head)
        assert text.endswith(tail)
    assert shorten(found, limit, "; call it again") == found


# Turns left out.


@settings(max_examples=25, deadline=None)
@given(conversations(), SHARES)
def test_a_renewed_conversation_has_the_task_the_note_and_the_latest_report(
    messages: tuple[Message, ...], share: float
) -> None:
    room = int(size(messages) * share)
    found = renewed(messages, NOTE, room, size)
    check_pairs(found.messages)
    kept = list(found.messages)
    assert all(message in kept for message in beginning(messages))
    assert kept.count(NOTE) == 1
    place = latest_report(messages)
    if place >= 0:
        assert messages[place] in kept
    assert found.tokens == size(found.messages)
    # What must stay may be more than there is room for, and nothing else is.
    must = [*beginning(messages), NOTE, *(messages[n] for n in [place] if n >= 0)]
    assert found.tokens <= max(room, size(must))
    assert found.cut.get("turns", 0) == len(turn_starts(messages)) - len(turn_starts(kept))


@settings(max_examples=25, deadline=None)
@given(conversations(least=1), SHARES)
def test_the_newest_turns_stay_as_they_are(messages: tuple[Message, ...], share: float) -> None:
    room = int(size(messages) * share)
    tail = newest(messages, room, size)
    assert size(tail) <= room
    check_pairs(tail)
    last = turn_starts(messages)[-1]
    if size(messages[last:]) <= room:
        assert tuple(tail) == messages[len(messages) - len(tail) :]
        assert isinstance(tail[0], AssistantMessage)
        # One more would not fit.
        before = [start for start in turn_starts(messages) if start < len(messages) - len(tail)]
        assert all(size(messages[start:]) > room for start in before[-1:])
    else:
        assert len(tail) in {0, len(messages) - last}


def test_the_latest_turn_is_cut_where_it_does_not_fit_and_left_out_where_that_does_not() -> None:
    messages: list[Message] = [SystemMessage("s"), UserMessage("t"), *result(1, lines(1000))]
    found = newest(messages, 300, size)
    assert [type(message) for message in found] == [AssistantMessage, ToolMessage]
    assert "left out to save room" in found[1].text
    assert newest(messages, 50, size) == []


def test_what_the_user_said_stays_with_the_task() -> None:
    said = UserMessage("Keep the old name, too.", "guidance")
    messages = [SystemMessage("s"), UserMessage("t"), *result(1, lines(900)), said]
    messages += result(2, "short")
    found = renewed(messages, NOTE, 100, size).messages
    assert found == (*messages[:2], said, NOTE, *messages[-2:])


@pytest.mark.parametrize("number", [",,,", "9" * 5000, "99,999,999,999,999,999", "٣"])
def test_what_a_file_says_of_characters_left_out_neither_fails_nor_counts(number: str) -> None:
    lines = "line\n" * 100
    text = f"{lines}[{number} characters left out to save room]{lines}"
    short = shorten(text, 100)
    assert number not in short
    assert int(short.partition("[")[2].partition(" ")[0].replace(",", "")) < len(text)
