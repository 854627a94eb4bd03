"""The loop: the model acts, tests run, a failing log becomes a turn, until green or out of budget.

A change that turns the tests green is not believed here: `tasks.verify` decides in a clean room,
and what it refuses goes back to the model with the reasons.
"""

from collections.abc import Sequence
from dataclasses import replace

from agent import prompts
from agent.budget import Ledger, Plan
from agent.checkpoint import Work, note
from agent.cleanroom import CleanRoom
from agent.codec import message_from, report_from, verdict_data
from agent.compaction import Compactor
from agent.conversation import UserMessage
from agent.dialogue import Dialogue, last_words
from agent.ending import Stop, nothing_to_do, refused
from agent.gates import OPEN, Gates
from agent.localise import suspects_of
from agent.models.base import Model, TurnDone
from agent.monitor import Judge
from agent.outcome import Outcome
from agent.progress import Advice, Progress
from agent.reflection import Situation, counts, reflect
from agent.retrying import RetriedModel, retries_of
from agent.screening import Screening
from agent.shrinking import beginning
from agent.suspects import Suspect
from agent.trajectory import History, Recorder
from agent.turn import Exhausted, TurnTaker
from agent.watching import watched
from agent.workbench import QUICK_ENOUGH, Workbench
from sandbox.errors import GreenroomError, InfrastructureError
from sandbox.image import Image
from sandbox.pool import Pool
from tasks.screening import knowing
from tasks.task import Task, TestReport, Verdict
from tools.tool import Toolbox, ToolContext

#: Turns in a row that may be unusable, or end with nothing changed, before the attempt gives up.
_MALFORMED = 5
_IDLE = 3
_NO_REPORT = TestReport({}, complete=False, command="", framework="unknown")


async def solve(
    task: Task,
    model: Model,
    image: Image,
    toolbox: Toolbox,
    recorder: Recorder,
    plan: Plan,
    *,
    history: History | None = None,
    guidance: str = "",
    pool: Pool | None = None,
    ca_bundle: bytes | None = None,
    judge: Judge | None = None,
    gates: Gates = OPEN,
    verifier_image: Image | None = None,
) -> Outcome:
    """One attempt at `task`, from its start or on from `history`, with `guidance` as its next turn.
    Clean rooms come from `pool` where there is one; `judge` may cut the model's reasoning short.
    The attempt waits at `gates` for its turns and its clean rooms. `verifier_image` is that which
    the verifier of a whole file system has for itself.

    Raises ModelError, SetupError and InfrastructureError, each shown to the user as it is; the
    attempt can then be resumed from its last complete turn. Cancelling closes the sandbox.
    """
    tree = history.tree if history else None
    many = plan.candidates > 1
    try:
        opened = Workbench.open(
            task, image, recorder, tree=tree, resettable=many, ca_bundle=ca_bundle, pool=pool
        )
        watching = watched(model, plan.reasoning, recorder, history, judge)
        async with opened as bench, watching as watched_model:
            retried = RetriedModel(watched_model, toolbox, retries_of(model, plan))
            attempt = _Attempt(
                *(task, retried, model, toolbox, recorder, plan, bench, gates),
                CleanRoom(image, verifier_image, bench, recorder, as_a_whole=plan.as_a_whole),
            )
            try:
                if history and history.messages:
                    await attempt.take_up(history, guidance)
                else:
                    await attempt.begin()
                await bench.prepare_room()
                while True:
                    await attempt.step()
            except Stop as stop:
                return attempt.end(await attempt.last_try(stop))
    except GreenroomError as error:
        recorder.emit("broken", error=error.message, cause=error.cause)
        raise


class _Attempt:
    """The state of one attempt and the steps of its loop."""

    def __init__(
        self,
        task: Task,
        model: Model,
        backend: Model,
        toolbox: Toolbox,
        recorder: Recorder,
        plan: Plan,
        bench: Workbench,
        gates: Gates,
        clean_room: CleanRoom,
    ) -> None:
        self._clean_room = clean_room
        self._task = task
        self._backend = backend
        self._toolbox = toolbox
        self._recorder = recorder
        self._plan = plan
        self._bench = bench
        self._gates = gates
        self._ledger = Ledger(plan.limits, model.info.price)
        self._taker = TurnTaker(model, toolbox, plan.sampling, recorder, self._ledger)
        self._ending = prompts.ending(toolbox)
        self._has_ending = any(tool.ends_turn for tool in toolbox.tools)
        self._compactor = Compactor(backend, toolbox.specs, plan, self._ledger, recorder)
        self._context = ToolContext(bench.box, task, on_output=bench.show)
        self._dialogue = Dialogue(recorder)
        self._baseline = self._report = _NO_REPORT
        self._tree = self._tested_tree = task.base.tree
        self._progress = Progress(_NO_REPORT, task.base.tree)
        self._suspects: Sequence[Suspect] = ()
        self._refused_tree = ""
        self._malformed = self._idle = 0
        self._insisted = False
        self._verdict: Verdict | None = None
        self._tried = 0

    # How an attempt begins.

    async def begin(self) -> None:
        """Runs the tests on the base, where the model may see them, and opens the conversation."""
        state = await self._look() if self._task.checks.visible else ""
        folder = self._bench.box.folder
        opening = prompts.opening(self._task, self._toolbox, state, folder)
        self._dialogue.begin("start", opening, by_products=sorted(self._bench.by_products))

    async def _look(self) -> str:
        """What the tests say before any change."""
        self._baseline = self._report = report = await self._bench.baseline()
        if why := nothing_to_do(self._task, self._plan.must_fail, report):
            raise Stop("nothing to do", why)
        self._bench.note_missing(report)
        self._task = self._context.task = knowing(self._task, report)
        self._progress = Progress(report, self._tree)
        if self._plan.candidates > 1:
            # Who ranks candidates needs to know where; others get their first turn at once.
            self._suspects = await suspects_of(self._bench, report)
        return self._state_text()

    async def take_up(self, history: History, guidance: str) -> None:
        """Goes on from the last complete turn of an earlier process."""
        messages = [message_from(data) for data in history.messages]
        self._dialogue = Dialogue(self._recorder, messages)
        if history.baseline:
            self._baseline = self._report = report_from(history.baseline)
            self._task = self._context.task = knowing(self._task, self._baseline)
        await self._bench.settle(history.by_products)
        self._backend.resumed(history.answers)
        self._ledger.carry(history.turn, history.usage, history.seconds)
        self._ledger.malformed.update(history.malformed)
        self._progress = Progress(self._baseline, self._task.base.tree)
        self._tree = history.tree or self._task.base.tree
        self._tried = history.verdicts
        if self._tree != self._task.base.tree and self._task.checks.visible:
            self._report = await self._test_inner(self._baseline)
            self._progress.tested(self._report, self._tree)
        self._tested_tree = self._tree
        if guidance:
            self._dialogue.say(UserMessage(guidance, "guidance"))

    # One turn.

    async def step(self) -> None:
        """The model acts, and what it changed is tested. Ends the attempt by raising Stop."""
        if reached := self._ledger.exhausted():
            raise Stop("not solved", reached)
        async with self._gates.turn(self._ledger.waited):
            self._ledger.turns += 1
            self._context.fresh_report = None
            self._recorder.emit("turn.started", turn=self._ledger.turns)
            done = await self._compactor.turn(self._dialogue, self._ask, self._work)
        self._taker.record(done)
        for message in (*done.before, done.message):
            self._dialogue.say(message)
        for message in await self._taker.perform(done, self._context):
            self._dialogue.say(message)
        tree = self._bench.tree(await self._bench.patch())
        if self._bench.work is not None:
            self._progress.changed()  # for all that is known
        if tree != self._tree:
            self._progress.changed()
            await self._bench.rebuild(self._tree, tree)
            self._tree = tree
        await self._judge(done)
        self._end_turn()

    async def _ask(self) -> TurnDone:
        """A turn as the model streams it, or the best of several candidates."""
        try:
            if self._plan.candidates == 1:
                return await self._taker.stream(self._dialogue.messages)
        except Exhausted as reached:
            raise Stop("not solved", str(reached)) from None
        screening = Screening(
            self._bench, self._toolbox, self._recorder, self._ledger, self._report, self._tree
        )
        turns = self._taker.candidates(self._dialogue.messages, self._plan.candidates)
        done = await screening.screen(turns)
        if done is None:
            raise Stop("not solved", self._ledger.exhausted() or screening.in_vain)
        return done

    # What the turn changed, and what the tests say of it.

    async def _judge(self, done: TurnDone) -> None:
        """Tests what changed, proves what is green, and tells the model what is not."""
        calls = done.message.calls
        if done.problem and not calls:
            self._unusable_turn(done.problem)
            return
        self._malformed = 0
        tools = [self._toolbox.find(call.name) for call in calls]
        ended = not calls or any(tool is not None and tool.ends_turn for tool in tools)
        # Words alone are meant as the end where no tool is there for it; elsewhere they may not be.
        finished = ended and (bool(calls) or not self._has_ending)
        changed = self._tree != self._tested_tree
        if changed:
            self._idle = 0
        if changed and self._task.checks.visible:
            await self._test(ended)
        elif not ended:
            await self._follow(self._progress.called(calls))
        elif self._provable() or self._may_end():
            await self._prove()
        else:
            self._idle_turn(done, finished)

    async def _test(self, ended: bool) -> None:
        """Tests a new state; what its tests say is known where it is the base again."""
        previous, before = self._report, self._tested_tree
        back = self._tree == self._task.base.tree
        self._report = self._baseline if back else await self._test_inner(previous)
        self._tested_tree = self._tree
        # Where the tests passed from the start, only the model knows when the work is done.
        if (self._provable() and (ended or not self._baseline.green)) or (
            ended and self._may_end()
        ):
            await self._prove()
        elif not self._report.green:
            diff = self._bench.diff(before, self._tree)
            await self._reflect(Situation(self._report, previous, diff), self._insisted and ended)

    def _provable(self) -> bool:
        """Whether the state is a change that was not refused by a clean room before, and is green
        as far as the model may know."""
        if self._bench.work is not None:
            return not self._tried
        new = self._tree not in (self._task.base.tree, self._refused_tree)
        return new and (self._report.green or not self._task.checks.visible)

    def _may_end(self) -> bool:
        """Whether the model may end while tests fail: those that failed before, on its word.

        Only where the user's words are the task and name no tests; it is asked once to be sure.
        """
        if self._task.checks.expected or not self._task.instruction.strip():
            return False
        if self._tree in (self._task.base.tree, self._refused_tree):
            return False
        if set(self._report.failing) - set(self._baseline.failing) or self._report.errors:
            return False
        insisted, self._insisted = self._insisted, True
        return insisted

    async def _test_inner(self, previous: TestReport) -> TestReport:
        """The tests of the inner loop: quick ones where given; of a slow suite, what must pass."""
        if self._context.fresh_report is not None:  # the model has just run them itself
            self._bench.record("inner", self._context.fresh_report, previous)
            return self._context.fresh_report
        checks = self._task.checks
        quick = checks.quick_test_command is not None
        slow = not quick and self._baseline.seconds > QUICK_ENOUGH
        only = (checks.expected or self._baseline.failing) if slow else ()
        return await self._bench.test("inner", only=only, quick=quick, previous=previous)

    async def _prove(self) -> None:
        """Asks the clean room. Raises Stop when it says solved; else its reasons go back."""
        self._recorder.emit("progress", text="proving the change in a clean room")
        patch = await self._bench.patch()
        async with self._gates.proof(self._ledger.waited):
            verdict = await self._clean_room.judge(self._task, patch, self._baseline)
        self._recorder.emit("verdict", verdict=verdict_data(verdict), tree=self._tree)
        self._verdict = verdict
        if verdict.status == "infrastructure failed":
            said, *advice = verdict.reasons
            raise InfrastructureError(said, " ".join(advice), cause=verdict.cause)
        if verdict.solved:
            # What is handed over is what was proved: without the changes to protected files.
            proved = patch.only(path for path in patch.paths if path not in verdict.left_out)
            self._tree = self._bench.tree(proved)
            raise Stop("solved", verdict.reasons[0] if verdict.reasons else "")
        self._refused_tree = self._tested_tree = self._tree
        self._tried += 1
        if stop := refused(verdict, self._tried, self._task.checks.tries):
            raise stop
        seen = self._task.checks.visible
        situation = Situation(verdict.report or self._report, verdict=verdict, seen=seen)
        await self._reflect(situation, False)

    async def last_try(self, stop: Stop) -> Stop:
        """Hands in what is there when a budget ends before the model has, and a whole file system
        however it ended; how it ends then."""
        hidden = not self._task.checks.visible
        over = bool(self._ledger.reached()) or self._bench.work is not None
        if hidden and stop.status == "not solved" and over and self._provable():
            self._task = replace(self._task, checks=replace(self._task.checks, tries=1))
            try:
                await self._prove()
            except Stop as judged:
                if judged.status == "solved":
                    return judged
        return stop

    async def _reflect(self, situation: Situation, insist: bool) -> None:
        advice = self._progress.tested(situation.report, self._tree)
        ranks = self._plan.candidates > 1
        if situation.verdict is None and (ranks or not self._suspects):
            self._suspects = await suspects_of(self._bench, situation.report)
            situation = replace(situation, suspects=self._suspects)
        situation = replace(situation, repeats=advice.repeats)
        text = reflect(situation, self._compactor.report_limit)
        if insist:
            text += prompts.INSIST.format(ending=self._ending)
        self._dialogue.say(UserMessage(text, "reflection"))
        await self._follow(advice)

    def _unusable_turn(self, problem: str) -> None:
        self._malformed += 1
        if self._malformed >= _MALFORMED:
            raise Stop("not solved", f"{_MALFORMED} turns in a row were unusable: {problem}")
        self._dialogue.say(UserMessage(prompts.UNUSABLE.format(problem=problem), "notice"))

    def _idle_turn(self, done: TurnDone, finished: bool) -> None:
        """The model ended its turn, and nothing is solved: once is a slip, again is its answer."""
        self._idle += 1
        unchanged = self._tree == self._task.base.tree
        if self._idle >= (2 if finished else _IDLE):
            how = "without a change" if unchanged else f"although {self._standing()}"
            said = last_words(done.message)
            raise Stop("not solved", f"the model gave up {how}" + (said and f": {said}"))
        if unchanged:
            notice = prompts.NOTHING_CHANGED.format(ending=self._ending)
        else:
            notice = prompts.NOT_SOLVED.format(state=self._standing(), ending=self._ending)
        self._dialogue.say(UserMessage(notice, "notice"))

    def _standing(self) -> str:
        """Why the present change is no solution, as the end of a sentence."""
        if self._verdict is None or self._tree != self._refused_tree:
            return counts(self._report)
        reasons = " ".join(self._verdict.reasons).removesuffix(".")
        return f"a clean room refuses the change ({self._verdict.status}): {reasons}"

    async def _follow(self, advice: Advice) -> None:
        """Does what the watch on progress advises."""
        match advice.step:
            case "tell":
                self._dialogue.say(UserMessage(prompts.CIRCLE.format(what=advice.what), "notice"))
            case "restart":
                best = self._progress.best
                await self._bench.restore(best.tree, self._tree)
                self._tree = self._tested_tree = best.tree
                self._report = best.report
                state = note(prompts.RESTARTED.format(what=advice.what), self._work())
                report = UserMessage(self._state_text(), "reflection")
                opening = beginning(self._dialogue.messages)
                self._dialogue.begin("circles", [*opening, state, report])
            case "stop":
                raise Stop("not solved", f"the model goes in circles: {advice.what}")

    # The conversation, the log and the end.

    def _state_text(self) -> str:
        situation = Situation(self._report, suspects=self._suspects)
        return reflect(situation, self._compactor.report_limit)

    def _work(self) -> Work:
        return Work(self._standing(), self._bench.diff(self._task.base.tree, self._tree))

    def _end_turn(self) -> None:
        self._recorder.emit(
            "turn.ended",
            turn=self._ledger.turns,
            tree=self._tree,
            usage=self._ledger.usage(),
            seconds=round(self._ledger.seconds, 3),
            cost=self._ledger.cost,
        )

    def end(self, stop: Stop) -> Outcome:
        """Records how it ended; an unsolved attempt keeps its last state for a resume."""
        self._end_turn()
        outcome = Outcome(
            status=stop.status,
            reason=stop.reason,
            patch=self._task.base.store.between(self._task.base.tree, self._tree),
            tree=self._tree,
            turns=self._ledger.turns,
            usage=self._ledger.usage(),
            seconds=round(self._ledger.seconds, 3),
            cost=self._ledger.cost,
            baseline=self._baseline,
            report=self._report,
            verdict=self._verdict,
            limit=self._ledger.reached(),
            malformed=dict(self._ledger.malformed),
        )
        self._recorder.emit("run.ended", **outcome.event())
        return outcome
