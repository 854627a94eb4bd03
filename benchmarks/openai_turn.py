"""What a streamed turn costs the client: processor and wall time against a server without latency.

The server runs in a process of its own, so that its time is not counted. Run it from the checkout:

    python -m benchmarks.openai_turn
"""

import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection

from agent.conversation import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from agent.models.base import Sampling
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from tests.faults.server import FaultServer, Reply, call, delta, sse, usage

TURNS = 100


def serve(port: Connection, deltas: int, *, at_once: bool) -> None:
    """Answers with `deltas` pieces of text and a call, in one write or in one write each."""

    async def run() -> None:
        chunks = [delta(content="word") for _ in range(deltas)]
        chunks += [call("shell", {"command": "ls"}), delta("tool_calls"), usage(1000, deltas)]
        steps = [sse(*chunks)] if at_once else [sse(chunk) for chunk in chunks]
        async with FaultServer(Reply([*steps, sse("[DONE]")])) as server:
            port.send(server.base_url)
            await asyncio.sleep(3600)

    asyncio.run(run())


async def measure(base_url: str, exchanges: int) -> tuple[float, float, float]:
    """Milliseconds a turn: processor, wall, and wall to the first event."""
    talk: list[Message] = [SystemMessage("s" * 2000), UserMessage("u" * 2000)]
    for number in range(exchanges):
        made = ToolCall(f"c{number}", "shell", '{"command": "ls"}')
        talk += [AssistantMessage("t" * 200, "r" * 800, (made,))]
        talk += [ToolMessage(made.id, "shell", "o" * 2000)]
    model = open_model("openai:m", ModelSettings(base_url=base_url), {})
    await model.prepare()
    first = 0.0
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(TURNS):
        start = time.perf_counter()
        begun = False
        async for _event in model.generate(talk, [], Sampling()):
            if not begun:
                begun, first = True, first + time.perf_counter() - start
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await model.close()
    return 1000 * cpu / TURNS, 1000 * wall / TURNS, 1000 * first / TURNS


def main() -> None:
    print("deltas  sent     messages  processor ms  wall ms  first event ms")
    for deltas, at_once, exchanges in (
        (20, True, 1),
        (20, False, 1),
        (300, True, 1),
        (300, False, 1),
        (300, False, 40),
    ):
        here, there = multiprocessing.Pipe()
        server = multiprocessing.Process(
            target=serve, args=(there, deltas), kwargs={"at_once": at_once}, daemon=True
        )
        server.start()
        cpu, wall, first = asyncio.run(measure(here.recv(), exchanges))
        server.kill()
        server.join()
        sent = "at once" if at_once else "singly"
        messages = 2 + 2 * exchanges
        print(f"{deltas:6}  {sent:7}  {messages:8}  {cpu:12.2f}  {wall:7.2f}  {first:14.2f}")


if __name__ == "__main__":
    main()
