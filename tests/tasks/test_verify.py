from pathlib import Path

import pytest

from sandbox.container import Sandbox
from sandbox.errors import InfrastructureError
from sandbox.image import Image
from sandbox.patch import FILE
from sandbox.policy import Policy
from sandbox.profile import PROXY_PORT
from sandbox.rebuild import Rebuild
from sandbox.trees import Base, TreeStore
from tasks.task import Verdict
from tests.tasks.judging import ADD, CALC, FIX, TWICE, ZERO, Judge

pytestmark = pytest.mark.docker


def only_reason(verdict: Verdict) -> str:
    (reason,) = verdict.reasons
    return reason


class TestSolved:
    async def test_proved_when_a_given_test_failed_before(self, judge: Judge) -> None:
        verdict = await judge(CALC, FIX, expected=(ADD, ZERO))
        assert (verdict.status, verdict.grade) == ("solved", "proved")
        assert verdict.newly_passing == (ADD,)
        assert only_reason(verdict) == (
            f"1 test failed without the patch and passes with it: {ADD}."
        )
        assert verdict.report is not None
        assert verdict.report.green
        assert verdict.baseline is not None
        assert verdict.baseline.failing == (ADD,)
        assert verdict.seconds > 0

    @pytest.mark.nightly
    async def test_proved_by_hidden_tests(self, judge: Judge) -> None:
        files = {"calc.py": CALC["calc.py"], "tests/test_old.py": "def test_old(): pass\n"}
        hidden = {
            "tests/test_new.py": "from calc import add\ndef test_new(): assert add(1, 2) == 3\n"
        }
        verdict = await judge(files, FIX, hidden=hidden, expected=("tests/test_new.py::test_new",))
        assert (verdict.status, verdict.grade) == ("solved", "proved")

    async def test_proved_where_the_test_could_not_be_collected_before(self, judge: Judge) -> None:
        files = {
            "calc.py": "",
            "tests/test_a.py": "from calc import add\ndef test_a(): assert add(1, 2) == 3\n",
            "tests/test_b.py": "def test_b(): pass\n",
        }
        verdict = await judge(files, {"calc.py": "def add(a, b): return a + b\n"})
        assert (verdict.status, verdict.grade) == ("solved", "proved")
        assert verdict.newly_passing == ("tests/test_a.py::test_a",)

    @pytest.mark.nightly
    async def test_proved_where_the_defect_shows_only_among_other_tests(self, judge: Judge) -> None:
        files = {
            "basket.py": "def put(item, into=[]):\n    into.append(item)\n    return into\n",
            "test_basket.py": (
                "from basket import put\n"
                "def test_one(): assert put(1) == [1]\n"
                "def test_two(): assert put(2) == [2]\n"
            ),
        }
        fixed = "def put(item, into=()):\n    return [*into, item]\n"
        verdict = await judge(files, {"basket.py": fixed})
        assert (verdict.status, verdict.grade) == ("solved", "proved")

    @pytest.mark.nightly
    async def test_reproduced_when_an_added_test_fails_without_the_change(
        self, judge: Judge
    ) -> None:
        files = CALC | {"tests/test_calc.py": "from calc import twice\ndef test_twice(): pass\n"}
        test = "from calc import add\ndef test_new(): assert add(1, 2) == 3\n"
        verdict = await judge(files, FIX | {"tests/test_new.py": test})
        assert (verdict.status, verdict.grade) == ("solved", "reproduced")
        assert "tests/test_new.py::test_new" in only_reason(verdict)

    async def test_reproduced_by_a_test_added_to_a_protected_file(self, judge: Judge) -> None:
        old = "from calc import add, twice\ndef test_twice(): assert twice(4) == 8\n"
        new = old + "def test_add(): assert add(1, 2) == 3\n"
        files = CALC | {"tests/test_calc.py": old}
        verdict = await judge(files, FIX | {"tests/test_calc.py": new})
        assert (verdict.status, verdict.grade) == ("solved", "reproduced")
        assert "tests/test_calc.py" in verdict.reasons[1]
        assert "protected" in verdict.reasons[1]

    async def test_an_added_test_that_passes_anyway_shows_nothing(self, judge: Judge) -> None:
        files = CALC | {"tests/test_calc.py": "from calc import twice\ndef test_twice(): pass\n"}
        verdict = await judge(files, FIX | {"tests/test_new.py": "def test_new(): assert 1\n"})
        assert (verdict.status, verdict.grade) == ("solved", "regression-only")

    async def test_what_failed_before_and_still_fails_is_said(self, judge: Judge) -> None:
        verdict = await judge(CALC, {"README": "words\n"})
        assert (verdict.status, verdict.grade) == ("solved", "regression-only")
        assert verdict.reasons[1] == f"1 test fails with and without the patch: {ADD}."


class TestFailed:
    async def test_an_empty_patch_is_never_solved(self, judge: Judge) -> None:
        verdict = await judge(CALC | FIX, {})
        assert verdict.status == "failed"
        assert only_reason(verdict) == "The patch is empty: nothing was changed."

    async def test_an_expected_test_that_fails_is_named_with_its_values(self, judge: Judge) -> None:
        wrong = {"calc.py": CALC["calc.py"].replace("a - b", "a * b")}
        verdict = await judge(CALC, wrong, expected=(ADD,))
        assert verdict.status == "failed"
        assert verdict.reasons == (f"{ADD} has to pass and fails: assert 2 == 3.",)

    async def test_an_expected_test_that_is_not_there_is_named(self, judge: Judge) -> None:
        verdict = await judge(CALC, FIX, expected=("tests/test_calc.py::test_gone",))
        assert verdict.reasons == ("tests/test_calc.py::test_gone has to pass and did not run.",)

    async def test_a_regression_is_named(self, judge: Judge) -> None:
        broken = {"calc.py": FIX["calc.py"].replace("n * 2", "n * 3")}
        verdict = await judge(CALC, broken, expected=(ADD,))
        assert verdict.status == "failed"
        assert verdict.reasons == (
            f"{TWICE} passed before the patch and now fails: assert 12 == 8.",
        )
        assert verdict.newly_failing == (TWICE,)

    async def test_a_syntax_error_is_named(self, judge: Judge) -> None:
        verdict = await judge(CALC, {"calc.py": "def add(a, b:\n"}, expected=(ADD,))
        assert verdict.status == "failed"
        assert "SyntaxError" in " ".join(verdict.reasons)

    @pytest.mark.nightly
    async def test_an_infinite_loop_is_named(self, judge: Judge) -> None:
        loop = {"calc.py": "def add(a, b):\n    while True: pass\ndef twice(n): return n * 2\n"}
        verdict = await judge(CALC, loop, timeout=7.0)
        assert verdict.status == "failed"
        assert only_reason(verdict) == f"The tests did not end within 7 seconds; {ADD} was running."

    async def test_no_test_at_all(self, judge: Judge) -> None:
        verdict = await judge({"calc.py": ""}, FIX)
        assert only_reason(verdict) == "No tests were found."

    async def test_a_regression_that_shows_only_among_other_tests(self, judge: Judge) -> None:
        files = {
            "basket.py": "def put(item, into=()):\n    return [*into, item]\n",
            "test_basket.py": (
                "from basket import put\n"
                "def test_one(): assert put(1) == [1]\n"
                "def test_two(): assert put(2) == [2]\n"
            ),
        }
        shared = "def put(item, into=[]):\n    into.append(item)\n    return into\n"
        verdict = await judge(files, {"basket.py": shared})
        assert verdict.status == "failed"
        assert only_reason(verdict).startswith("test_basket.py::test_two passes alone, but")
        assert not verdict.flaky

    async def test_a_rebuild_step_that_fails_on_the_patch(self, judge: Judge) -> None:
        verdict = await judge(
            CALC, {"calc.py": "def :\n"}, rebuild=Rebuild("python3 -m py_compile calc.py")
        )
        assert verdict.status == "failed"
        assert "The rebuild step `python3 -m py_compile calc.py` fails" in verdict.reasons[0]
        assert "SyntaxError" in verdict.reasons[1]

    async def test_the_lint_gate(self, judge: Judge) -> None:
        lint = "! grep -n tab calc.py"
        untidy = {"calc.py": FIX["calc.py"] + "# tab\n"}
        verdict = await judge(CALC, untidy, lint_command=lint)
        assert verdict.status == "failed"
        assert f"The lint command `{lint}` fails on the patch: 7:# tab" in verdict.reasons[0]

    @pytest.mark.nightly
    async def test_a_lint_gate_that_failed_before_does_not_decide(self, judge: Judge) -> None:
        verdict = await judge(CALC, FIX, lint_command="false")
        assert verdict.solved
        assert "fails without the patch as well" in verdict.reasons[1]


async def test_a_room_that_dies_decides_nothing(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object, **__: object) -> None:
        raise InfrastructureError("the container is gone", "leave it running", cause="paused")

    monkeypatch.setattr("tasks.rooms.run_tests", die)
    verdict = await judge(CALC, FIX)
    assert (verdict.status, verdict.cause) == ("infrastructure failed", "paused")
    assert verdict.reasons == (
        "The clean room broke down: the container is gone",
        "leave it running",
    )


async def test_a_clean_room_reaches_nothing_whatever_the_task_may(
    judge: Judge, image: Image, tmp_path: Path
) -> None:
    policy = Policy(network=("index.test:443",))
    closed = (
        "import os, socket, pytest\n"
        "def test_closed():\n"
        "    assert 'HTTPS_PROXY' not in os.environ\n"
        "    with pytest.raises(ConnectionRefusedError):\n"
        f"        socket.create_connection(('127.0.0.1', {PROXY_PORT}), 5)\n"
    )
    verdict = await judge({**CALC, "test_closed.py": closed}, FIX, policy=policy)
    assert verdict.status == "solved"
    assert verdict.report is not None
    assert "test_closed.py::test_closed" in verdict.report.passed
    store = TreeStore.create(tmp_path / "open")
    base = Base(store, store.add_tree([("test_closed.py", FILE, closed.encode())]))
    async with Sandbox.open(image, base, policy) as box:
        assert "1 failed" in (await box.run("python3 -m pytest")).output.text
