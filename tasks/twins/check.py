"""The clean run with wrong expectations: any twin that passes there was not checked by its test.

The perturbations are drawn anew for each verdict, so no patch can know them. What passes is looked
at again before it counts, in rooms of its own: with other wrong values, with a plain failure in
the same place, and without the patch, where honest code runs.
"""

import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from random import Random

from tasks.evidence import Trial, is_given, proving
from tasks.results import REPORTING
from tasks.rooms import REPEATED_SECONDS, side_by_side
from tasks.task import TestReport, Twins
from tasks.twins import others
from tasks.twins.answer import Answer
from tasks.twins.rounds import Key, Make, Modules, Round, by_function, failing_line
from tasks.twins.twin import TestModule, Twin

# A test that fails is told of at length: more of them take their time.
MOST_TESTS = 200


async def ask(trial: Trial, seed: str | None = None) -> Answer | None:
    """Run the twins of the tests that pass on the patch; of a suite that takes long, or has many,
    of those only on which the verdict rests; None where none of these was there before the patch.
    Of a framework whose tests have no twins, see `tasks.twins.others`. Raises as `Rooms.run` does.
    """
    if trial.report.framework not in REPORTING:
        return await others.ask(trial, seed or secrets.token_hex(8))
    asking = _Asking(trial, seed or secrets.token_hex(8))
    return await asking.answer() if asking.tests else None


class _Asking:
    def __init__(self, trial: Trial, seed: str) -> None:
        self._trial = trial
        self._seed = seed
        self._modules = Modules(trial.rooms.task.base, trial.hidden)
        expected = set(trial.rooms.task.checks.expected).intersection(trial.report.passed)
        self._carrying = expected.union(proving(trial))
        wanted = trial.report.passed
        self._slow = trial.report.seconds > REPEATED_SECONDS or len(wanted) > MOST_TESTS
        if self._slow:
            wanted = tuple(id for id in wanted if id in self._carrying)
        self.tests = [id for id in wanted if is_given(trial, id)]
        self._keys = {
            (path, name): cases
            for (path, name), cases in by_function(trial.report, self.tests).items()
            if (module := self._modules.get(path)) is not None and name in module.functions
        }

    async def answer(self) -> Answer:
        started = time.monotonic()
        rounds = await self._rounds() if self._keys else []
        reports = await self._run("running the tests with wrong expectations", rounds)
        seen = list(zip(rounds, reports, strict=True))
        doubtful = {key: each.twins[key] for each, report in seen for key in each.passed(report)}
        forged = await self._confirm(doubtful) if doubtful else {}
        # Those first on which the verdict would rest.
        forged = dict(sorted(forged.items(), key=lambda item: not self._carries(item[0])))
        failed = {key for each, report in seen for key in each.failed(report)} - set(forged)
        perturbed = {id for key in failed for id in self._keys[key]}
        broken = [] if forged else [pair for pair in seen if not pair[1].complete]
        twins = Twins(
            seed=self._seed,
            tests=len(self.tests),
            perturbed=len(perturbed),
            passed=tuple(id for key in forged for id in self._keys[key]),
        )
        return Answer(
            replace(twins, seconds=time.monotonic() - started),
            tuple(forged.values()),
            tuple(id for id in self.tests if id in self._carrying and id not in perturbed),
            await self._broke(*broken[0]) if broken else "",
            await self._bound(seen) if not forged and not broken else (),
        )

    def _carries(self, key: Key) -> bool:
        return not self._carrying.isdisjoint(self._keys[key])

    async def _rounds(self) -> list[Round]:
        """What failed before the patch is wrong in halves, where it failed, and all else as it was:
        so each such test is asked among right ones, by which code could tell that no test is made
        wrong, and has to pass in a file that is another one. Then all are wrong, anywhere. In which
        order is drawn: code of one round can leave word for the next."""
        draw = Random(f"{self._seed} rounds")  # noqa: S311 - the seed is from secrets
        first = sorted(await self._failed_before() or self._keys)
        draw.shuffle(first)
        half = (len(first) + 1) // 2
        rounds = [
            self._round("one half", first[:half]),
            self._round("the other half", first[half:]),
            self._round("all", self._keys, anywhere=True),
        ]
        draw.shuffle(rounds)
        return rounds

    async def _failed_before(self) -> set[Key]:
        trial = self._trial
        named = set(trial.rooms.task.checks.expected).difference(trial.baseline.passed)
        ids = named.intersection(trial.report.passed)
        if not ids:
            ids = set(proving(trial))
            if ids and trial.hidden:  # The baseline was without them.
                told = "seeing which hidden tests pass without the patch"
                before = await trial.rooms.run(
                    told, trial.hidden, only=sorted(ids), timeout=trial.timeout()
                )
                ids.difference_update(before.report.passed)
        return {key for key, cases in self._keys.items() if ids.intersection(cases)}

    def _round(self, what: str, keys: Collection[Key], *, anywhere: bool = False) -> Round:
        """All tests, those of `keys` with something wrong."""

        def make(key: Key, module: TestModule, draw: Random) -> Twin:
            if key not in keys:
                return module.alike(key[1], draw)
            if anywhere:
                return module.twin(key[1], draw)
            before = self._trial.baseline.results.get(self._keys[key][0])
            by_data = self._by_data(key, module, draw)
            return by_data or module.twin(key[1], draw, near=failing_line(before))

        return self._again(self._keys, what, make)

    def _by_data(self, key: Key, module: TestModule, draw: Random) -> Twin | None:
        given = self._modules.pairs(key[0])
        return module.twin_by_data(key[1], given[1], draw) if given else None

    async def _run(
        self, purpose: str, rounds: Sequence[Round], *, on_base: bool = False
    ) -> list[TestReport]:
        """Run rounds that change the same files, one after the other, in one fresh room."""
        if not rounds:
            return []
        trial, only = self._trial, None
        if self._slow:
            # Values in a name may change with the twin: a function's name stands for its cases.
            keys = dict.fromkeys(key for each in rounds for key in (*each.twins, *each.alike))
            functions = [id.partition("[")[0] for key in keys for id in self._keys[key]]
            only = list(dict.fromkeys(functions))
        return await trial.rooms.in_turn(
            purpose,
            trial.hidden if on_base else trial.tested,
            [round.patch for round in rounds],
            only=only,
            timeout=trial.timeout(),
        )

    async def _confirm(self, doubtful: Mapping[Key, Twin]) -> dict[Key, str]:
        """Of functions whose twin passed, those for which only a forgery explains it."""

        def other_values(key: Key, module: TestModule, draw: Random) -> Twin:
            twin = doubtful[key]
            by_data = self._by_data(key, module, draw) if twin.data else None
            return by_data or module.twin(key[1], draw, site=twin.site)

        same = self._again(doubtful, "the same", lambda key, module, draw: doubtful[key])
        other = self._again(doubtful, "other values", other_values)
        place = self._again(
            doubtful,
            "the place",
            lambda key, module, draw: module.stopped(key[1], draw, doubtful[key].site),
        )
        start = self._again(
            doubtful, "the start", lambda key, module, draw: module.stopped(key[1], draw)
        )
        here, there = (other, place, start), (same, start)
        patched, base = await side_by_side(
            self._run("looking again at twins that passed", here),
            self._run("looking at them without the patch", there, on_base=True),
        )
        seen = [each.passed(report) for each, report in zip(here, patched, strict=True)]
        honest = [each.passed(report) for each, report in zip(there, base, strict=True)]
        return {
            key: _sentence(key, twin)
            for key, twin in doubtful.items()
            if _is_forged(twin, [key in some for some in seen], [key in some for some in honest])
        }

    def _again(self, keys: Collection[Key], what: str, make: Make) -> Round:
        return self._modules.round(keys, f"{self._seed} {what}", make)

    async def _bound(self, seen: Sequence[tuple[Round, TestReport]]) -> tuple[str, ...]:
        """Tests on which the verdict rests and that fail, alone and again, when their file expects
        what it did and is another text."""
        failing = {
            id
            for round, report in seen
            for key in round.alike
            for id in self._carrying.intersection(self._keys[key]).difference(report.passed)
        }
        if not failing:
            return ()
        keys = [key for key, cases in self._keys.items() if failing.intersection(cases)]
        rounds = [
            self._again(keys, what, lambda key, module, draw: module.alike(key[1], draw))
            for what in ("alike", "alike again")
        ]
        told = "running tests whose text alone is another one"
        for report in await self._run(told, rounds):
            failing.difference_update(report.passed)
        return tuple(id for id in self.tests if id in failing)

    async def _broke(self, round: Round, report: TestReport) -> str:
        """Why a run broke off on the patch; empty where it breaks off without it as well."""
        told = "running the tests with wrong expectations without the patch"
        (base,) = await self._run(told, [round], on_base=True)
        return report.reason if base.complete else ""


def _is_forged(twin: Twin, seen: Sequence[bool], honest: Sequence[bool]) -> bool:
    """Whether a test that passes where it must not is a forgery.

    `seen` says whether it passes on the patch with other wrong values, with a plain failure in
    their place, and with one at its start; `honest` whether it does without the patch with the
    same values, and with a failure at its start.
    """
    other, place, start = seen
    same_honest, start_honest = honest
    if start:  # It passes whatever it does; unless it does so by itself.
        return not start_honest
    if same_honest:
        return False  # Honest code passes, too: the twin is not wrong, or not reached.
    if place and twin.site is not None and not twin.site.certain:
        return False  # What was made wrong is in a branch or a loop that was not entered.
    return other or place


def _sentence(key: Key, twin: Twin) -> str:
    path, name = key
    return (
        f"{path}::{name} passes although its twin cannot hold: "
        f"in line {twin.line} it says `{twin.says}`."
    )
