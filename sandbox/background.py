"""Commands that run on in a sandbox after their start, as a server under test does."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from sandbox.errors import InfrastructureError, UsageError
from sandbox.policy import Policy
from sandbox.results import CommandResult, Output, run_result
from sandbox.wire import Wire, bounded

POLL_SECONDS = 0.05
LONGEST_SECONDS = 3600.0  # unless another time is given


class Background:
    """The handle of a started command. It ends by itself, by `kill`, with a reset, or with its
    sandbox; everything raises InfrastructureError when that is dead."""

    def __init__(self, wire: Wire, number: int, argv: Sequence[str], cwd: str, kept: int) -> None:
        self._wire = wire
        self._number = number
        self._argv = argv
        self._cwd = cwd
        self._kept = kept
        self._read = 0
        self._result: CommandResult | None = None
        self._ended = False

    @classmethod
    async def start(
        cls,
        wire: Wire,
        number: int,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        seconds: float,
        kept: int,
        stop_bytes: int,
    ) -> "Background":
        """Start `argv` as the `number`-th of its sandbox; it may run for `seconds`. The last `kept`
        bytes of its output are kept; beyond `stop_bytes` in all it is ended."""
        await wire.ask(
            {
                "op": "start",
                "handle": number,
                "argv": list(argv),
                "folder": wire.folder(cwd),
                "env": dict(env),
                "timeout": seconds,
                "live": 0,
                "tail": kept,
                "events_limit": 0,
                "output_stop": stop_bytes,
            },
            cwd,
        )
        return cls(wire, number, argv, cwd, kept)

    @property
    def result(self) -> CommandResult | None:
        """Its result, without output, as far as was last heard; None while it runs."""
        return self._result

    @property
    def running(self) -> bool:
        """Whether it had not ended when last asked for."""
        return not self._ended

    async def poll(self) -> CommandResult | None:
        """Its result, without output, when it has ended. Raises FileNotFoundError and its like
        when it could not begin in its folder."""
        if self._result is None:
            await self._ask(None)
        return self._result

    async def read(self) -> Output:
        """Its output since the last read, as far as it is kept: what is older than the last `kept`
        bytes is only counted."""
        since = self._read
        data = await self._ask(since)
        return Output(b"", data, self._read - since)

    async def wait(self, seconds: float) -> CommandResult | None:
        """Its result, None when it still runs after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while await self.poll() is None:  # noqa: ASYNC110 - only asking tells
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            return None
        return self._result

    async def kill(self) -> CommandResult:
        """End it with all that it started; returns when nothing of it is left."""
        if self._result is None:
            await self._wire.ask({"op": "kill", "handle": self._number})
        result = await self.poll()
        if result is None:
            raise InfrastructureError("The sandbox says that a command ended, and that it runs.")
        return result

    async def _ask(self, since: int | None) -> bytes:
        """How it stands, and its output from byte `since` on."""
        data = bytearray()
        request = {"op": "poll", "handle": self._number, "since": since}
        reply = await self._wire.receive(request, bounded(data.extend, self._kept))

        def read() -> int:
            total, result = int(reply["total"]), reply["result"]
            if since is not None and total - since < len(data):
                raise ValueError("more output than there was")
            if result is not None:
                self._ended = True
                self._result = run_result(result, Output(b"", b"", 0), b"", self._argv, self._cwd)
            return total

        total = self._wire.understand(read)
        if since is not None:
            self._read = total
        return bytes(data)


class Backgrounds:
    """Those of one sandbox, as many at a time as its policy allows."""

    def __init__(self, wire: Wire, policy: Policy) -> None:
        self._wire = wire
        self._policy = policy
        self._begun: list[Background] = []
        self._number = 0

    async def start(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], seconds: float | None
    ) -> Background:
        """Start a further one. Raises UsageError when the policy allows none."""
        for one in self._begun:
            with contextlib.suppress(OSError):  # it could not begin, as its owner is told
                await one.poll()
        running = [one for one in self._begun if one.running]
        if len(running) >= self._policy.background:
            raise UsageError(
                f"The sandbox's policy allows {self._policy.background} commands in the "
                "background.",
                "Raise `background`.",
            )
        self._number += 1
        begun = await Background.start(
            self._wire,
            self._number,
            argv,
            cwd=cwd,
            env=env,
            seconds=LONGEST_SECONDS if seconds is None else seconds,
            kept=self._policy.output_bytes,
            stop_bytes=self._policy.output_stop_bytes,
        )
        self._begun = [*running, begun]
        return begun

    def forget(self) -> None:
        """A reset has ended them all."""
        self._begun = []
