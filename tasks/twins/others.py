"""Whether tests of languages without wrong expectations are really run: tests that always fail are
put among them, of names that are drawn for the verdict, and each of those has to fail."""

import random
import re
import time
from dataclasses import replace

from sandbox.patch import FILE, Patch
from tasks.evidence import Trial, proving
from tasks.rooms import side_by_side
from tasks.task import TestReport, Twins
from tasks.twins.answer import Answer
from tasks.twins.forms import TestFile, alike, drawn_name, failing, form_of

MOST_FILES = 200
LARGEST_FILE = 1 << 20
_UNDEFINED = re.compile(r"undefined: \w+")


async def ask(trial: Trial, seed: str) -> Answer:
    """What comes of tests that have to fail, and of tests whose text alone is another one. Raises
    as `Rooms.run` does."""
    started = time.monotonic()
    answer = await _Asking(trial, seed).answer()
    return replace(answer, twins=replace(answer.twins, seconds=time.monotonic() - started))


class _Asking:
    def __init__(self, trial: Trial, seed: str) -> None:
        self._trial = trial
        self._twins = Twins(seed, len(trial.report.passed), 0)
        named = set(trial.rooms.task.checks.expected).union(proving(trial))
        self._carrying = tuple(id for id in trial.report.passed if id in named)
        self._files = [file for file in _files(trial) if file.form is not None]
        # The seeds are from secrets.
        self._name = drawn_name(random.Random(f"{seed} failing"))  # noqa: S311
        self._failing = Patch(failing(self._files, random.Random(f"{seed} failing")))  # noqa: S311
        self._alike = Patch(alike(self._files, random.Random(f"{seed} alike")))  # noqa: S311

    async def answer(self) -> Answer:
        if not self._failing:
            return Answer(self._twins, bare=self._carrying)
        wrong, same = await side_by_side(
            self._run("running the tests with one that has to fail", self._failing),
            self._run("running tests whose text alone is another one", self._alike),
        )
        bound, odd = await self._bound(same), await self._undefined()
        hit = [id for id in wrong.passed if self._name in id.lower()]
        told = [id for id in wrong.failing if self._name in id.lower()]
        if not hit and (told or wrong.failing or wrong.errors or not wrong.complete):
            bare = () if told else self._carrying
            return Answer(self._twins, bare=bare, bound=bound, odd=odd)
        base = await self._run("running it without the patch", self._failing, on_base=True)
        fails = [id for id in base.failing if self._name in id.lower()]
        hit = [id for id in hit if id not in base.passed]
        if hit or fails:
            sentence = (
                f"{hit[0]} always fails, and passes with the patch."
                if hit
                else "With a test among the others that always fails, all passes with the patch; "
                f"without it that test fails: {fails[0]}."
            )
            return Answer(replace(self._twins, passed=tuple(hit or fails)), (sentence,))
        if any(file.form is not None and file.form.certain for file in self._files):
            odd = (*odd, "Nothing is told of a test among the others that always fails.")
        return Answer(self._twins, bare=self._carrying, bound=bound, odd=odd)

    async def _run(self, purpose: str, patch: Patch, *, on_base: bool = False) -> TestReport:
        trial = self._trial
        tested = trial.hidden if on_base else trial.tested
        (report,) = await trial.rooms.in_turn(
            purpose, tested, [patch], only=None, timeout=trial.timeout()
        )
        return report

    async def _undefined(self) -> tuple[str, ...]:
        """Go's tests share a package with the code, which could change what they compare with; then
        it does not compile without them."""
        trial = self._trial
        if trial.report.framework != "go" or not trial.hidden:
            return ()
        told = "building it without the hidden tests"
        report = (await trial.rooms.run(told, trial.used, timeout=trial.timeout())).report
        found = _UNDEFINED.search(report.output)
        if found is None or _UNDEFINED.search(trial.baseline.output):
            return ()
        return (f"Without the hidden tests it does not compile: {found[0]}.",)

    async def _bound(self, report: TestReport) -> tuple[str, ...]:
        """Tests on which the verdict rests and that fail, twice, where the text of their files
        alone is another one."""
        bound = [id for id in self._carrying if id not in report.passed]
        if bound:
            again = await self._run("running them again", self._alike)
            bound = [id for id in bound if id not in again.passed]
        return tuple(bound)


def _files(trial: Trial) -> list[TestFile]:
    """The files of tests that the patch did not write, hidden ones before the base's."""
    found = {
        change.path: TestFile(change.path, change.mode or FILE, _text(change.content))
        for change in trial.hidden
        if change.content
    }
    base = trial.rooms.task.base
    written = set(trial.used.paths) | set(trial.hidden.paths)
    entries = [
        entry
        for entry in base.entries.values()
        if entry.path not in written and entry.size <= LARGEST_FILE and form_of(entry.path)
    ]
    texts = base.store.read(entry.blob for entry in entries)
    for entry, content in zip(entries, texts, strict=True):
        found[entry.path] = TestFile(entry.path, entry.mode, _text(content))
    return [found[path] for path in sorted(found)][:MOST_FILES]


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
