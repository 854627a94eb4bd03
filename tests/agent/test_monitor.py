import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.models.base import estimate_tokens
from agent.monitor import Bounds, Cut, Decision, Judge, Keep, Monitor, Steer

TRACES = sorted((Path(__file__).parent / "reasoning").glob("*.txt"))
WORDS = sorted(
    {word for path in TRACES for word in path.read_text("utf-8").split() if word.isalpha()}
)
#: What repeats by its nature.
REGULAR = {
    "counting": ", ".join(map(str, range(1500))),
    "cases": "\n".join(
        f"For n = {n} the function goes through the list once, adds up what it finds there, and"
        f" returns {n * (n + 1) // 2}, which is what the test wants."
        for n in range(80)
    ),
    "names": "\n".join(
        f"The test {name} calls the function with an empty list first and expects ValueError."
        for name in WORDS[:60]
    ),
    "table": "\n".join(f"| {name} | 0 | pass | pass | pass | - | - |" for name in WORDS[:200]),
    "tests": "\n".join(f"tests/test_{n % 7}.py::test_case[{n}] PASSED" for n in range(200)),
    "asserts": "\n".join(f"    assert add({n}, {n + 1}) == {2 * n + 1}" for n in range(200)),
    "matrix": "\n".join("[" + ", ".join("01"[n == m] for n in range(12)) + "]" for m in range(12)),
    "dump": "\n".join(f"{n:08x}  " + "00 " * 16 + "|" + "." * 16 + "|" for n in range(0, 999, 16)),
    "rules": "\n".join(f"{name}\n{'=' * 79}\n{'-' * 79}" for name in WORDS[:40]),
    "zeros": f"The buffer holds [{', '.join('0' * 200)}] and is sent.",
    "quoted": "The log says:\n" + "connection refused, trying again in one second\n" * 15,
    "steps": "\n".join(f"Step {n}: check the next file of the folder." for n in range(100)),
}
#: The same said or written again for a sound reason, as long as it is not overdone.
SAME = {
    "board": "The board:\n" + ("0 " * 25 + "\n") * 25,
    "padding": f"The payload is 1024 bytes long, {'A' * 1024}, and ends there.",
    "rows": "| case | in | out |\n|---|---|---|\n" + "| default | none | none |\n" * 60,
    "csv": "0.0,0.0,0.0,0.0,1.0\n" * 60,
    "json": '{"a": null, "b": null},\n' * 60,
    "opcodes": "LOAD_FAST\nLOAD_CONST\nBINARY_OP\nSTORE_FAST\n" * 20,
    "pointers": "The sum is too small, so we move the left pointer to the right. "
    * 2
    + "The sum is too large, so we move the right pointer to the left. "
    "The sum is too small, so we move the left pointer to the right. " * 5,
}


def watched(text: str, bounds: Bounds = Bounds(), judge: Judge | None = None) -> Decision | None:  # noqa: B008 - frozen
    monitor = Monitor(bounds, judge)
    try:
        return monitor.watch().feed(text)
    finally:
        monitor.close()


def thought_until_cut(text: str) -> int | None:
    """Tokens that were thought when the text was cut, fed a token at a time."""
    watch = Monitor(Bounds()).watch()
    for place in range(0, len(text), 4):
        if watch.feed(text[place : place + 4]):
            return watch.tokens
    return None


# Sound reasoning.


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_sound_trace_is_never_cut_however_it_is_streamed(path: Path, data: st.DataObject) -> None:
    text = path.read_text("utf-8")
    longest = data.draw(st.integers(1, 400))
    draw = random.Random(data.draw(st.integers()))
    watch = Monitor(Bounds()).watch()
    while text:
        size = draw.randint(1, longest)
        assert watch.feed(text[:size]) is None
        text = text[size:]


def test_all_traces_as_one_long_one_are_not_cut() -> None:
    assert watched("\n\n".join(path.read_text("utf-8") for path in TRACES)) is None


@pytest.mark.parametrize("kind", REGULAR)
def test_what_repeats_by_its_nature_is_not_cut(kind: str) -> None:
    assert watched(REGULAR[kind]) is None


@pytest.mark.parametrize("kind", SAME)
def test_rows_boards_and_steps_of_an_algorithm_are_not_cut(kind: str) -> None:
    assert watched(SAME[kind] + "\nSo much for that. ") is None


@pytest.mark.parametrize("kind", REGULAR)
def test_nor_is_it_when_it_is_gone_through_twice(kind: str) -> None:
    text = f"First:\n{REGULAR[kind]}\nNow I look at it again:\n{REGULAR[kind]}\nIt is as I said.\n"
    assert watched(text) is None


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=3, max_size=25), max_size=150))
@settings(deadline=None)
def test_distinct_sentences_are_never_cut(drawn: list[list[str]]) -> None:
    sentences = dict.fromkeys(" ".join(words) for words in drawn)
    assert watched(". ".join(f"{place} {text}" for place, text in enumerate(sentences))) is None


def test_a_sentence_said_now_and_then_is_not_cut() -> None:
    text = "".join(
        f"{n} is the {word} case. Wait, let me check the code again. "
        for n, word in enumerate(WORDS[:120])
    )
    assert watched(text) is None


# Circles.


@given(
    before=st.integers(0, 4000),
    said=st.lists(st.sampled_from(WORDS), min_size=1, max_size=60),
    start=st.integers(0, 3),
)
@settings(deadline=None)
def test_an_exact_loop_is_cut_within_300_tokens(before: int, said: list[str], start: int) -> None:
    sound = TRACES[start].read_text("utf-8")[:before]
    # A token is four bytes here, and a period at most 120 of them.
    period = " ".join(said)[:480] + " "
    turns = 2000 // len(period.encode("utf-8", "replace")) + 2
    decision = watched(sound + period * turns)
    assert decision
    assert decision.reason == "loop"
    watch = Monitor(Bounds()).watch()
    begun = watch.feed(sound)
    assert begun is None
    first = watch.tokens
    for _ in range(turns):
        if watch.feed(period):
            break
    # The period that was being fed is over its cut by no more than itself.
    assert watch.tokens - first <= 300 + len(period.encode("utf-8", "replace")) // 4


@given(period=st.text(min_size=1, max_size=480))
@settings(deadline=None, max_examples=30)
def test_any_exact_loop_is_cut_within_1000_tokens(period: str) -> None:
    text = (period * (5000 // len(period) + 2)).encode("utf-8", "replace")
    assert watched(text[:4000].decode("utf-8", "ignore"))


@pytest.mark.parametrize("sentences", [40, 60, 100])
def test_a_loop_with_a_long_period_is_cut_in_its_third_round(sentences: int) -> None:
    draw = random.Random(sentences)
    period = " ".join(" ".join(draw.sample(WORDS, 10)) + "." for _ in range(sentences)) + " "
    thought = thought_until_cut(period * 5)
    assert thought is not None
    assert thought <= 2.3 * estimate_tokens(period) + 50


@pytest.mark.parametrize("tokens", [3, 8, 20, 45, 80, 120])
def test_a_loop_of_words_is_cut_in_time_and_its_first_round_kept(tokens: int) -> None:
    sound = TRACES[1].read_text("utf-8")
    period = (" ".join(WORDS) + " ")[50 : 50 + 4 * tokens]
    thought = thought_until_cut(sound + period * (2000 // len(period) + 1))
    assert thought is not None
    assert thought - estimate_tokens(sound) <= 300
    decision = watched(sound + period * (2000 // len(period) + 1))
    assert decision
    assert abs(len(decision.kept) - len(sound + period)) <= len(period)
    assert (sound + period * 2).startswith(decision.kept)


def test_a_loop_in_another_script_is_cut() -> None:
    period = "测试失败了，让我再看一遍代码。"
    sound = "我先读一下文件。"
    thought = thought_until_cut(sound + period * 60)
    assert thought is not None
    assert thought <= 300


def test_sentences_in_changing_order_are_cut() -> None:
    draw = random.Random(1)
    said = [
        "Wait, maybe the test reads the file before it is written.",
        "Actually the fixture writes the file first, so that is fine.",
        "But then the cache could hold the old contents of it.",
        "The cache is cleared in the setup, as the code shows.",
        "Hmm, so where does the wrong value come from then?",
    ]
    text = " ".join(draw.choice(said) for _ in range(60))
    decision = watched(TRACES[3].read_text("utf-8") + text + " ")
    assert decision
    assert decision.reason == "loop"
    assert len(decision.kept) < len(TRACES[3].read_text("utf-8") + text)


def test_the_same_words_without_an_end_and_with_changes_are_cut() -> None:
    long = " ".join(WORDS[100:190])
    assert watched(" ".join(f"{long} round{n}" for n in range(12)) + " ")


@given(st.integers(1, 300), st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_where_it_cuts_does_not_depend_on_the_deltas(longest: int, seed: int) -> None:
    text = TRACES[2].read_text("utf-8") + "Let me look again at the code. " * 60
    whole = watched(text)
    draw = random.Random(seed)
    watch = Monitor(Bounds()).watch()
    decision = None
    while text and decision is None:
        size = draw.randint(1, longest)
        decision, text = watch.feed(text[:size]), text[size:]
    assert decision == whole is not None


def test_loops_may_be_let_be() -> None:
    assert watched("again and " * 500, Bounds(loops=False)) is None


# Budgets.


def test_a_turn_may_think_as_much_as_its_budget_and_ends_with_a_sentence() -> None:
    text = TRACES[3].read_text("utf-8")
    decision = watched(text, Bounds(limit=200))
    assert decision
    assert decision.reason == "limit"
    assert 800 - 300 < len(decision.kept) <= 800 + 64
    assert decision.kept[-1] in ".!?\n"
    assert watched(text, Bounds(limit=2000)) is None


def test_a_turn_that_was_cut_has_a_quarter_of_its_budget_again() -> None:
    monitor = Monitor(Bounds(limit=400))
    text = TRACES[3].read_text("utf-8")
    assert monitor.watch(1).feed(text[:380]) is None
    assert monitor.watch(1).feed(text[:480])


def test_the_budget_of_the_attempt_is_shared_by_its_turns() -> None:
    monitor = Monitor(Bounds(total=1000), spent=100)
    text = TRACES[3].read_text("utf-8")
    assert monitor.watch().feed(text[:2400]) is None
    decision = monitor.watch().feed(text[:2400])
    assert decision
    assert decision.reason == "total"
    assert monitor.spent == 100 + 600 + 600
    # What is left when it is spent is enough to say what comes next.
    assert monitor.watch().feed(text[:1000]) is None


# Patterns and judges.


def test_a_pattern_cuts_before_what_it_matches() -> None:
    text = "The code is wrong. I give up on this task, it is hopeless. " + "More of it. " * 10
    decision = watched(text, Bounds(patterns=("never", r"give\s+up")))
    assert decision
    assert (decision.reason, decision.kept) == ("pattern", "The code is wrong. I ")
    assert "give" in decision.detail


def test_a_pattern_without_end_is_given_up_and_said() -> None:
    said: list[str] = []
    monitor = Monitor(Bounds(patterns=(r"(a+)+$", "hopeless")), say=said.append)
    watch = monitor.watch()
    assert watch.feed("a" * 60 + "! And so on, and on it goes. " * 4) is None
    decision = watch.feed("It is hopeless. So be it, and so let it be, as ever it has been here.")
    assert decision
    assert said == ["the pattern '(a+)+$' takes too long and is not tried any more"]
    monitor.close()


def test_a_judge_sees_the_text_so_far_and_decides() -> None:
    seen: list[str] = []

    def judge(text: str) -> Keep | Cut | Steer:
        seen.append(text)
        return Cut("too long for me") if len(text) > 1000 else Keep()

    text = TRACES[3].read_text("utf-8")
    decision = watched(text, judge=judge)
    assert decision
    assert (decision.reason, decision.detail) == ("judge", "too long for me")
    assert all(text.startswith(part) for part in seen)
    assert decision.kept == seen[-1]
    assert 1 < len(seen) < 10


def test_a_judge_may_say_what_the_model_is_told() -> None:
    decision = watched(TRACES[3].read_text("utf-8"), judge=lambda _: Steer("Look at the tests."))
    assert decision
    assert decision.say == "Look at the tests."


@pytest.mark.parametrize("wrong", ["cut", None, ValueError("no key")])
def test_a_judge_that_fails_is_not_asked_again_and_that_is_said(wrong: object) -> None:
    asked: list[str] = []

    def judge(text: str) -> Keep | Cut | Steer:
        asked.append(text)
        if isinstance(wrong, Exception):
            raise wrong
        return wrong  # type: ignore[return-value]

    said: list[str] = []
    monitor = Monitor(Bounds(), judge, say=said.append)
    assert monitor.watch().feed(TRACES[3].read_text("utf-8")) is None
    assert len(asked) == len(said) == 1
    assert ("no key" if isinstance(wrong, Exception) else repr(wrong)) in said[0]


def test_a_delta_of_any_size_is_read_once() -> None:
    draw = random.Random(1)
    # What grows with the square of this would take minutes.
    text = "".join(chr(draw.randrange(0x4E00, 0x9FA0)) for _ in range(500_000))
    assert Monitor(Bounds(loops=False)).watch().feed(text) is None
