import asyncio

import pytest

from agent.budget import Limits
from agent.models.base import ModelError
from sandbox.errors import InfrastructureError, SetupError
from tests.agent.bench import FILES, FINISH, FIX, Bench, call, edit

pytestmark = pytest.mark.docker


async def test_a_fix_is_tested_and_proved_in_a_clean_room(bench: Bench) -> None:
    outcome = await bench.attempt(bench.task("Mend add."), [FIX])
    assert outcome.status == "solved"
    assert outcome.verdict
    assert outcome.verdict.grade == "proved"
    assert outcome.patch.paths == ("calc.py",)
    assert outcome.turns == 1
    assert outcome.usage["estimated"]
    # What the first message tells: what fails, and where.
    [opening] = bench.said("task")
    assert "Mend add." in opening
    assert "1 of 2 tests fail" in opening
    assert "FAILED test_calc.py::test_add" in opening
    assert "assert -1 == 5" in opening
    assert "at test_calc.py:5 in test_add" in opening


async def test_a_wrong_change_comes_back_as_a_reflection_with_its_diff(bench: Bench) -> None:
    outcome = await bench.attempt(bench.task(), [edit("a - b", "a * b"), edit("a * b", "a + b")])
    assert outcome.status == "solved"
    [reflection] = bench.said("reflection")
    assert "assert 6 == 5" in reflection
    assert "-    return a - b" in reflection
    assert "+    return a * b" in reflection


@pytest.mark.nightly
async def test_what_newly_fails_is_named(bench: Bench) -> None:
    await bench.attempt(
        bench.task(),
        [edit("a * 2", "a * 3"), edit("a * 3", "a * 2"), FIX],
    )
    first = bench.said("reflection")[0]
    assert "Newly failing since the last run: test_calc.py::test_double" in first


async def test_the_same_failure_is_named_as_such_and_changes_the_instruction(
    bench: Bench,
) -> None:
    turns = [edit("a - b", f"a - b{' ' * n}  # {n}") for n in range(1)]
    turns += [edit(f"# {n}", f"# {n + 1}") for n in range(2)]
    await bench.attempt(bench.task(), [*turns, FIX, FINISH], limits=Limits(turns=3))
    second, third = bench.said("reflection")[1:3]
    assert "for the 3rd time" in second
    assert "for the 4th time" in third
    assert "Do not edit the same place again" in third


async def test_a_test_that_already_passes_leaves_nothing_to_do(bench: Bench) -> None:
    files = FILES | {"calc.py": FILES["calc.py"].replace("a - b", "a + b")}
    outcome = await bench.attempt(bench.task(files=files), [])
    assert outcome.status == "nothing to do"
    assert not outcome.patch


async def test_with_words_a_green_base_is_worked_on_until_the_model_finishes(
    bench: Bench,
) -> None:
    files = FILES | {"calc.py": FILES["calc.py"].replace("a - b", "a + b")}
    feature = edit("def double", "def triple(a):\n    return a * 3\n\n\ndef double")
    test = {
        "calls": [
            call(
                "write_file",
                path="test_triple.py",
                content="from calc import triple\n\n\ndef test_it():\n    assert triple(2) == 6\n",
            )
        ]
    }
    outcome = await bench.attempt(bench.task("Add triple.", files), [feature, test, FINISH, FINISH])
    assert outcome.status == "solved"
    assert outcome.turns == 3
    assert outcome.verdict
    assert outcome.verdict.grade == "reproduced"


async def test_a_forgery_ends_the_attempt_and_is_not_told_to_the_model(bench: Bench) -> None:
    equal = "type('Any', (), {'__eq__': lambda self, other: True})()"
    outcome = await bench.attempt(bench.task(), [edit("a - b", equal), FIX])
    assert outcome.status == "not solved"
    assert outcome.reason.startswith("tampered: test_calc.py::test_add passes although")
    assert outcome.turns == 1
    assert bench.said("reflection") == []


@pytest.mark.nightly
async def test_a_green_that_the_clean_room_refuses_goes_back_with_the_reason(
    bench: Bench,
) -> None:
    cheat = {
        "calls": [
            call(
                "write_file", path="conftest.py", content="import calc\ncalc.add = lambda a, b: 5\n"
            )
        ]
    }
    outcome = await bench.attempt(
        bench.task(), [cheat, {"calls": [call("shell", command="rm conftest.py")]}, FIX]
    )
    [refused, accepted] = [event["verdict"]["status"] for event in bench.events("verdict")]
    assert refused == "invalid patch"
    assert accepted == "solved"
    assert outcome.status == "solved"
    assert any("conftest.py" in text for text in bench.said("reflection"))


async def test_a_changed_test_does_not_count(bench: Bench) -> None:
    cheat = edit("== 5", "== -1", "test_calc.py")
    outcome = await bench.attempt(bench.task(), [cheat], limits=Limits(turns=1))
    assert outcome.status == "not solved"
    assert outcome.verdict
    assert not outcome.verdict.solved


@pytest.mark.nightly
async def test_what_is_handed_over_is_what_was_proved(bench: Bench) -> None:
    more = edit("== 8", "== 8\n    assert double(0) == 0", "test_calc.py")
    outcome = await bench.attempt(bench.task(), [{"calls": [*more["calls"], *FIX["calls"]]}])
    assert outcome.status == "solved"
    assert outcome.patch.paths == ("calc.py",)
    assert outcome.verdict
    assert any("test_calc.py" in reason for reason in outcome.verdict.reasons)


async def test_the_turn_limit_holds(bench: Bench) -> None:
    looking = {"calls": [call("read_file", path="calc.py")]}
    outcome = await bench.attempt(bench.task(), [looking] * 5, limits=Limits(turns=2))
    assert (outcome.status, outcome.reason) == ("not solved", "turn limit of 2 reached")


async def test_the_token_limit_holds_where_a_backend_only_estimates(bench: Bench) -> None:
    talk = {"text": "x" * 4000, "calls": [call("read_file", path="calc.py")]}
    outcome = await bench.attempt(bench.task(), [talk] * 9, limits=Limits(tokens=5000))
    assert outcome.reason.startswith("token limit of 5,000 reached")
    assert outcome.turns < 5


async def test_ending_without_a_change_is_asked_about_and_then_the_answer(bench: Bench) -> None:
    no = {"text": "It is impossible.", "calls": [call("finish", summary="no")]}
    outcome = await bench.attempt(bench.task(), [no, no, FIX])
    assert outcome.status == "not solved"
    assert "the model gave up without a change: It is impossible." in outcome.reason
    assert any("workspace is unchanged" in text for text in bench.said("notice"))


@pytest.mark.nightly
async def test_bad_calls_cost_a_turn_and_nothing_else(bench: Bench) -> None:
    outcome = await bench.attempt(
        bench.task(),
        [
            {"calls": [{"name": "edit_fiel", "arguments": "{"}]},
            {"calls": [{"name": "edit_file", "arguments": '{"path": "calc.py", '}]},
            {"calls": [call("edit_file", path="calc.py", old_text=3)]},
            FIX,
        ],
    )
    assert outcome.status == "solved"
    results = bench.events("result")
    assert [event["ok"] for event in results] == [False, False, False, True]
    assert "edit_file" in results[0]["text"]


async def test_empty_turns_are_said_and_bounded(bench: Bench) -> None:
    outcome = await bench.attempt(bench.task(), [{}] * 9)
    assert outcome.status == "not solved"
    assert "5 turns in a row were unusable" in outcome.reason


async def test_going_in_circles_is_told_and_starts_anew_and_a_script_goes_on_where_it_was(
    bench: Bench,
) -> None:
    task = bench.task()
    there, back = edit("a - b", "a * b"), edit("a * b", "a - b")
    right = FILES["calc.py"].replace("a - b", "a + b")
    mend = {"calls": [call("write_file", path="calc.py", content=right)]}
    turns = [there, back, there, back, there, back, mend]
    await bench.attempt(task, turns, limits=Limits(turns=6))
    assert any("going in circles" in text for text in bench.said("notice"))
    assert [event["reason"] for event in bench.events("epoch")] == ["start", "circles"]
    history = bench.history(task)
    held = [message for message in history.messages if message["role"] == "assistant"]
    assert history.answers == 6 > len(held)
    outcome = await bench.attempt(task, turns, history=history, limits=Limits(turns=7))
    assert outcome.status == "solved"


@pytest.mark.nightly
async def test_a_script_that_ends_is_an_error_and_leaves_a_run_to_resume(bench: Bench) -> None:
    task = bench.task()
    with pytest.raises(ModelError, match="is over"):
        await bench.attempt(task, [edit("a - b", "a * b")])
    history = bench.history(task)
    assert history.turn == 1
    outcome = await bench.attempt(
        task, [FIX, edit("a * b", "a + b")], history=history, guidance="Use plus."
    )
    assert outcome.status == "solved"
    assert outcome.turns == 2
    assert bench.said("guidance") == ["Use plus."]


async def test_tests_that_cannot_run_stop_the_attempt_with_their_output(bench: Bench) -> None:
    task = bench.task(files={"readme.txt": "no tests"})
    with pytest.raises(SetupError, match="the tests could not be run"):
        await bench.attempt(task, [FIX])


@pytest.mark.nightly
async def test_a_file_that_cannot_be_collected_is_a_failure_to_mend(bench: Bench) -> None:
    files = FILES | {"calc.py": "def add(a, b)\n    return a + b\n\ndef double(a): return 2 * a\n"}
    outcome = await bench.attempt(
        bench.task(files=files), [edit("def add(a, b)\n", "def add(a, b):\n")]
    )
    [opening] = bench.said("task")
    assert "SyntaxError" in opening
    assert outcome.status == "solved"


async def test_of_several_candidates_the_tests_pick_one(bench: Bench) -> None:
    outcome = await bench.attempt(bench.task(), [FIX], candidates=4)
    assert outcome.status == "solved"
    [candidate] = bench.events("candidate")
    assert candidate["failing"] == 0


async def test_no_better_candidate_ends_the_attempt(bench: Bench) -> None:
    outcome = await bench.attempt(bench.task(), [edit("a - b", "a * b")], candidates=4)
    assert outcome.status == "not solved"
    assert outcome.reason == "none of 1 candidates makes fewer tests fail"
    assert not outcome.patch


async def test_what_the_tests_leave_behind_is_no_part_of_the_patch(bench: Bench) -> None:
    noisy = FILES["test_calc.py"] + "\n\nopen('report.log', 'w').write('x')\n"
    outcome = await bench.attempt(bench.task(files=FILES | {"test_calc.py": noisy}), [FIX])
    assert outcome.patch.paths == ("calc.py",)


async def test_cancelling_leaves_no_container(bench: Bench) -> None:
    slow = {"calls": [call("shell", command="sleep 60")]}
    work = asyncio.create_task(bench.attempt(bench.task(), [slow]))
    while not (bench.log.exists() and bench.events("call")):
        await asyncio.sleep(0.05)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_the_impossible_ends_not_solved(bench: Bench) -> None:
    files = FILES | {
        "test_calc.py": FILES["test_calc.py"] + "\n\ndef test_no():\n    assert add(2, 3) == 6\n"
    }
    outcome = await bench.attempt(bench.task(files=files), [FIX, FINISH, FINISH, FINISH])
    assert outcome.status == "not solved"


async def test_the_time_limit_ends_a_command_and_the_calls_after_it(bench: Bench) -> None:
    sleeping = {"calls": [call("shell", command="sleep 30"), call("shell", command="touch late")]}
    outcome = await bench.attempt(bench.task(), [sleeping], limits=Limits(seconds=3))
    assert outcome.reason == "time limit of 3 s reached"
    assert outcome.limit == "time"
    assert outcome.seconds < 15
    results = [event["text"] for event in bench.events("result")]
    assert results == ["Stopped: the time for this task is over."] * 2
    assert outcome.patch.paths == ()


async def test_a_turn_with_endless_calls_is_cut(bench: Bench) -> None:
    many = {"calls": [call("shell", command="true")] * 55}
    await bench.attempt(bench.task(), [many], limits=Limits(turns=1))
    texts = [event["text"] for event in bench.events("result")]
    assert texts.count("Not run: a turn may have 50 calls.") == 5


async def test_what_the_model_has_just_tested_is_not_tested_again(bench: Bench) -> None:
    tested = {"calls": [FIX["calls"][0], call("run_tests")]}
    outcome = await bench.attempt(bench.task(), [tested])
    assert outcome.status == "solved"
    inner = [event for event in bench.events("tests") if event["purpose"] == "inner"]
    (result,) = [event for event in bench.events("result") if event["name"] == "run_tests"]
    assert f"in {inner[0]['report']['seconds']:.1f} s" in result["text"]
    assert inner[0]["newly_passing"] == ["test_calc.py::test_add"]


@pytest.mark.nightly
async def test_what_was_changed_after_the_models_test_is_tested(bench: Bench) -> None:
    changed = {"calls": [edit("a - b", "a * b")["calls"][0], call("run_tests"), FIX["calls"][0]]}
    changed["calls"][2] = edit("a * b", "a + b")["calls"][0]
    outcome = await bench.attempt(bench.task(), [changed])
    assert outcome.status == "solved"


async def test_why_a_clean_room_refused_is_said_again_when_the_model_ends_its_turn(
    bench: Bench,
) -> None:
    bad = {"calls": [FIX["calls"][0], call("write_file", path="conftest.py", content="x = 1\n")]}
    await bench.attempt(bench.task(), [bad, {"text": "Done."}, {"text": "Done."}, {"text": "D."}])
    (notice, *_) = bench.said("notice")
    assert "a clean room refuses the change (invalid patch): conftest.py" in notice


async def test_an_expected_test_that_is_not_there_is_said_at_once(bench: Bench) -> None:
    task = bench.task("Repair it.", expected=("test_calc.py::test_ad",))
    await bench.attempt(task, [FINISH, FINISH])
    (note,) = [event["text"] for event in bench.events("note")]
    assert "the expected test_calc.py::test_ad; did you mean test_calc.py::test_add?" in note


async def test_what_takes_a_clean_room_away_breaks_the_attempt_off_by_its_name(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object, **__: object) -> None:
        raise InfrastructureError("the container is gone", "leave it running", cause="paused")

    monkeypatch.setattr("tasks.rooms.run_tests", die)
    with pytest.raises(InfrastructureError) as caught:
        await bench.attempt(bench.task(), [FIX])
    assert (caught.value.cause, caught.value.hint) == ("paused", "leave it running")
    [broken] = bench.events("broken")
    assert broken["cause"] == "paused"
    assert broken["error"] == "The clean room broke down: the container is gone"
    assert not bench.events("run.ended")


async def test_reasoning_that_loops_is_cut_and_the_turn_goes_on_to_its_call(bench: Bench) -> None:
    loop = {"reasoning": "Maybe the test is wrong, so I look at the test again. " * 60}
    outcome = await bench.attempt(bench.task(), [loop, FIX])
    assert (outcome.status, outcome.turns) == ("solved", 1)
    [cut] = bench.events("cut")
    assert (cut["turn"], cut["reason"], cut["way"]) == (1, "loop", "asked")
    assert bench.said("steering") == [cut["steering"]]
    thought, _, answer = [event["message"] for event in bench.events("message")][:3]
    assert thought == cut["thought"]
    assert answer["calls"]


async def test_turns_that_do_nothing_but_loop_end_the_attempt(bench: Bench) -> None:
    loop = {"reasoning": "Maybe the test is wrong, so I look at the test again. " * 60}
    outcome = await bench.attempt(bench.task(), [loop] * 30)
    assert outcome.status == "not solved"
    assert "5 turns in a row were unusable" in outcome.reason
    ways = [cut["way"] for cut in bench.events("cut")]
    assert ways == ["asked", "asked", "ended"] * 4 + ["ended"]


async def test_a_resumed_attempt_knows_what_was_thought_and_cut(bench: Bench) -> None:
    loop = {"reasoning": "Maybe the test is wrong, so I look at the test again. " * 60}
    look = {"calls": [call("read_file", path="calc.py")]}
    turns = [loop, look, loop, FIX]
    first_task = bench.task()
    first = await bench.attempt(first_task, turns, limits=Limits(turns=1))
    assert first.status == "not solved"
    history = bench.history(first_task)
    assert len(history.cuts) == 1
    second = await bench.attempt(bench.task(), turns, history=history)
    assert (second.status, second.turns) == ("solved", 2)
    assert len(bench.events("cut")) == 2
