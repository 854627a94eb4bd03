import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from tasks.tally import Tally, TestProgress, watched


def line(**event: object) -> bytes:
    return json.dumps({"s": 1, **event}).encode() + b"\n"


RUN = [
    line(e="collected", ids=["a", "b", "c"]),
    line(e="run", id="a"),
    line(e="test", id="a", status="passed"),
    line(e="run", id="b"),
    line(e="test", id="b", status="failed"),
    line(e="run", id="c"),
]


def test_counts_follow_the_events() -> None:
    tally = Tally()
    for data in RUN:
        tally.take_events(data)
    progress = tally.progress()
    assert (progress.done, progress.failing, progress.total) == (2, 1, 3)
    assert progress.running == "c"


@given(st.integers(1, 200))
def test_it_does_not_matter_how_the_stream_is_cut(size: int) -> None:
    whole, tally = b"".join(RUN), Tally()
    for start in range(0, len(whole), size):
        tally.take_events(whole[start : start + size])
    assert tally.progress().running == "c"
    assert tally.progress().done == 2


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_nothing_that_a_test_program_sends_is_an_error(
    events: list[bytes], output: list[bytes]
) -> None:
    tally = Tally()
    for data in events:
        tally.take_events(data + b"\n")
    for data in output:
        tally.take_output(data)
    assert tally.progress().done == 0


def test_events_of_another_shape_are_passed_over() -> None:
    tally = Tally()
    for event in (b"[]\n", b'{"e": "collected"}\n', b'{"e": "test", "status": {}}\n', b"[" * 9999):
        tally.take_events(event)
    assert tally.progress().total is None


def test_without_events_the_last_line_printed_is_shown() -> None:
    tally = Tally()
    tally.take_output(b"compiling\nrunning suite ")
    assert tally.progress().running == "compiling"
    tally.take_output(b"one\n\n")
    assert tally.progress().running == "running suite one"


async def test_a_silent_run_is_looked_at_all_the_same() -> None:
    seen: list[TestProgress] = []
    looked = asyncio.Event()

    def look(progress: TestProgress) -> None:
        seen.append(progress)
        looked.set()

    async with watched(Tally(), look):
        await asyncio.wait_for(looked.wait(), 10)
    assert seen[0].seconds > 0
    assert seen[0].running == ""
