"""Which test decides and which is only flaky: a matter of many runs, scripted here."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from sandbox.image import Image, ImageSpec
from sandbox.patch import FILE, Change, Patch
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks import verify as subject
from tasks.rooms import RoomRun
from tasks.task import Checks, Status, Task, TestReport, TestResult, Verdict

Outcomes = Mapping[str, str]  # test id to a letter a run: p(assed), f(ailed), s(kipped), -(missing)
LETTERS: Mapping[str, Status] = {"p": "passed", "f": "failed", "s": "skipped"}


class ScriptedRooms:
    """Answers each run on the patch or on the base with the next letter of each test asked for."""

    def __init__(self, task: Task, on_patch: Outcomes, on_base: Outcomes) -> None:
        self.task = task
        self.asked: list[str] = []
        self.baseline: TestReport | None = None
        self.held_back: tuple[str, ...] = ()
        self._letters = {True: dict(on_patch), False: dict(on_base)}

    async def run(
        self,
        purpose: str,
        patch: Patch | None = None,
        *,
        only: Sequence[str] | None = None,
        timeout: float | None = None,
        repeat: int = 1,
    ) -> RoomRun:
        where = "patch" if patch else "base"
        times = f" {repeat} times" if repeat > 1 else ""
        self.asked.append(f"{where}: {', '.join(only) if only is not None else 'all'}{times}")
        reports = [self._report(self._letters[bool(patch)], only) for _ in range(repeat)]
        return RoomRun(reports[0], again=tuple(reports[1:]))

    async def lint(self, purpose: str, patch: Patch | None = None) -> None:
        """There is no lint command."""

    def _report(self, letters: dict[str, str], only: Sequence[str] | None) -> TestReport:
        results = {}
        for id, left in letters.items():
            if only is None or id in only:
                letters[id] = left[1:] or left
                if left[0] != "-":
                    results[id] = TestResult(id, LETTERS[left[0]], file="tests/test_a.py")
        return TestReport(results, True, "pytest", "pytest")


Judge = Callable[..., "tuple[Verdict, list[str]]"]


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    async def judge(
        on_patch: Outcomes,
        on_base: Outcomes,
        expected: tuple[str, ...] = (),
        baseline: TestReport | None = None,
    ) -> tuple[Verdict, list[str]]:
        store = TreeStore.create(tmp_path / "store")
        base = Base(store, store.add_tree([("a.py", FILE, b"old")]))
        checks = Checks("pytest", "pytest", expected=expected)
        task = Task("t", "", base, ImageSpec(), checks, Policy())
        rooms = ScriptedRooms(task, {"ok": "p", **on_patch}, {"ok": "p", **on_base})
        monkeypatch.setattr(subject, "Rooms", lambda *_: rooms)
        patch = Patch((Change("a.py", FILE, b"new"),))
        image = Image("sha256:0", "none")
        verdict = await subject.verify(task, patch, image=image, baseline=baseline)
        return verdict, rooms.asked

    return judge


async def test_a_test_that_passes_when_run_again_alone_and_with_all_is_flaky(judged: Judge) -> None:
    verdict, asked = await judged({"x": "fpp"}, {"x": "p"})
    assert verdict.solved
    assert verdict.flaky == ("x",)
    assert verdict.newly_failing == ()
    assert verdict.reasons[-1] == "Flaky, so not decisive: x."
    compared = ["patch: x 6 times", "base: x 6 times"]
    assert asked == ["base: all", "patch: all", *["patch: x"] * 2, "patch: all", *compared]


async def test_one_that_passes_only_once_when_run_again_alone_is_flaky(judged: Judge) -> None:
    verdict, asked = await judged({"x": "fpfp"}, {"x": "p"})
    assert verdict.solved
    assert verdict.flaky == ("x",)
    alone = ["patch: x", "patch: x", "patch: x 6 times", "base: x 6 times"]
    assert asked == ["base: all", "patch: all", *alone]


async def test_one_that_keeps_failing_now_and_then_with_the_patch_only_is_a_regression(
    judged: Judge,
) -> None:
    verdict, _ = await judged({"x": "fpfpfpfpp"}, {"x": "p"})
    assert verdict.status == "failed"
    assert verdict.reasons == ("x now and then fails; never without the patch.",)
    verdict, _ = await judged({"x": "fpfpfpfpp"}, {"x": "pppf"})
    assert verdict.solved
    assert verdict.flaky == ("x",)


async def test_one_that_fails_each_time_is_a_regression(judged: Judge) -> None:
    verdict, asked = await judged({"x": "f"}, {"x": "p"})
    assert verdict.status == "failed"
    assert verdict.reasons == ("x passed before the patch and now fails.",)
    assert verdict.newly_failing == ("x",)
    assert asked == ["base: all", "patch: all"] + ["patch: x"] * 2 + ["base: x"] * 2


async def test_one_that_fails_on_the_base_now_and_then_is_flaky(judged: Judge) -> None:
    verdict, _ = await judged({"x": "f"}, {"x": "ppf"})
    assert verdict.solved
    assert verdict.flaky == ("x",)


async def test_one_that_fails_only_among_all_tests_is_a_regression(judged: Judge) -> None:
    verdict, asked = await judged({"x": "fppf"}, {"x": "p"})
    assert verdict.status == "failed"
    assert "passes alone, but when all tests run it fails" in verdict.reasons[0]
    assert asked[-1] == "base: all"


async def test_unless_that_happens_on_the_base_as_well(judged: Judge) -> None:
    verdict, _ = await judged({"x": "fppf"}, {"x": "pf"})
    assert verdict.solved
    assert verdict.flaky == ("x",)


@pytest.mark.parametrize(("letter", "words"), [("s", "is skipped"), ("-", "did not run")])
async def test_silence_and_absence_are_regressions(judged: Judge, letter: str, words: str) -> None:
    verdict, _ = await judged({"x": letter}, {"x": "p"})
    assert verdict.reasons == (f"x passed before the patch and now {words}.",)


async def test_an_added_test_that_fails_is_a_regression(judged: Judge) -> None:
    verdict, _ = await judged({"new": "f"}, {})
    assert verdict.reasons == ("new, which did not fail before the patch, fails.",)


async def test_an_expected_test_has_to_pass_at_once(judged: Judge) -> None:
    verdict, asked = await judged({"x": "fp"}, {"x": "f"}, expected=("x",))
    assert verdict.status == "failed"
    assert verdict.reasons == ("x has to pass and fails.",)
    assert asked == ["base: all", "patch: all"]


async def test_an_expected_test_that_passed_before_may_be_flaky(judged: Judge) -> None:
    verdict, _ = await judged({"x": "fpp"}, {"x": "p"}, expected=("x", "ok"))
    assert verdict.solved
    assert verdict.flaky == ("x",)


@pytest.mark.parametrize(
    ("on_patch", "on_base"),
    [("p", "fffp"), ("p", "fpff"), ("ppfp", "f"), ("pppf", "f")],
)
async def test_a_test_that_is_not_the_same_each_time_is_no_proof(
    judged: Judge, on_patch: str, on_base: str
) -> None:
    verdict, _ = await judged({"x": on_patch}, {"x": on_base})
    assert (verdict.status, verdict.grade) == ("solved", "regression-only")
    assert verdict.flaky == ("x",)
    assert verdict.newly_passing == ()


async def test_proof_fails_each_time_without_the_patch_and_passes_with_it(judged: Judge) -> None:
    verdict, asked = await judged({"x": "p", "y": "pf"}, {"x": "f", "y": "f"})
    assert (verdict.status, verdict.grade) == ("solved", "proved")
    assert verdict.newly_passing == ("x", "y")
    assert "x" in verdict.reasons[0]
    assert "y" not in verdict.reasons[0]
    assert set(asked[2:]) == {"base: x, y 3 times", "patch: x, y 3 times"}


@pytest.mark.parametrize(
    ("on_patch", "on_base", "grade"),
    [
        ("p", "fpppf", "proved"),  # fails among all tests only
        ("pfffp", "f", "proved"),  # passes among all tests only
        ("p", "fpppp", "regression-only"),
        ("pffff", "f", "regression-only"),
    ],
)
async def test_what_comes_out_otherwise_alone_is_seen_among_all_tests(
    judged: Judge, on_patch: str, on_base: str, grade: str
) -> None:
    verdict, _ = await judged({"x": on_patch}, {"x": on_base})
    assert (verdict.status, verdict.grade) == ("solved", grade)


async def test_a_hundred_failing_tests_are_not_run_again(judged: Judge) -> None:
    ids = [f"t{number}" for number in range(100)]
    verdict, asked = await judged(dict.fromkeys(ids, "f"), dict.fromkeys(ids, "p"))
    assert asked == ["base: all", "patch: all"]
    assert len(verdict.reasons) == subject.NAMED + 1
    assert verdict.reasons[-1] == "The same holds for 90 more tests."


def known(errors: tuple[str, ...] = (), complete: bool = True) -> TestReport:
    results = {id: TestResult(id, "passed") for id in ("ok", "x")}
    return TestReport(results, complete, "pytest", "pytest", errors, exit_code=int(not complete))


async def test_a_baseline_that_is_known_is_not_run_again(judged: Judge) -> None:
    verdict, asked = await judged({"x": "f"}, {"x": "p"}, baseline=known())
    assert verdict.newly_failing == ("x",)
    assert "base: all" not in asked


@pytest.mark.parametrize("partial", [known(errors=("a file is broken",)), known(complete=False)])
async def test_a_baseline_that_stopped_early_is_run_again(
    judged: Judge, partial: TestReport
) -> None:
    _, asked = await judged({"x": "p"}, {"x": "p"}, baseline=partial)
    assert asked[:2] == ["base: all", "patch: all"]


async def test_what_fails_newly_is_told_even_where_no_test_passes(judged: Judge) -> None:
    verdict, asked = await judged({"ok": "f", "x": "s"}, {}, baseline=known())
    assert verdict.reasons[0] == ("No test passes on the patch; 1 test fails; 1 test is skipped.")
    assert verdict.newly_failing == ("ok",)
    assert asked == ["patch: all"]
