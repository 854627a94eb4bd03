"""What an attempt hands in, put before a clean room: a patch, or all that a file system became."""

from agent.trajectory import Recorder
from agent.workbench import Workbench
from sandbox.image import Image
from sandbox.patch import Patch
from tasks.system.judge import judge as judge_system
from tasks.task import Task, TestReport, Verdict
from tasks.verify import verify


class CleanRoom:
    """Judges for one attempt. `verifier_image` is what the verifier of a whole file system has
    for itself; `as_a_whole` is as in `tasks.verify.verify`."""

    def __init__(
        self,
        image: Image,
        verifier_image: Image | None,
        bench: Workbench,
        recorder: Recorder,
        *,
        as_a_whole: bool = False,
    ) -> None:
        self._image = image
        self._verifier_image = verifier_image
        self._bench = bench
        self._recorder = recorder
        self._as_a_whole = as_a_whole

    async def judge(self, task: Task, patch: Patch, baseline: TestReport) -> Verdict:
        """The verdict on the patch; on the file system instead, where that is the task's outcome.
        Raises as `tasks.verify.verify` does."""
        bench = self._bench
        if bench.work is not None:
            own = self._verifier_image
            return await judge_system(task, bench.work, verifier_image=own, progress=self._told)
        return await verify(
            task,
            patch,
            image=self._image,
            # Of tests that the model may not see there is no run on the base yet.
            baseline=baseline if task.checks.visible else None,
            as_a_whole=self._as_a_whole,
            progress=self._told,
            testing=bench.show_testing,
            pool=bench.pool,
        )

    def _told(self, text: str) -> None:
        self._recorder.emit("progress", text=text)
