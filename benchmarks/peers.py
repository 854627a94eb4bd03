"""What two other sandboxes cost on this machine: mini-swe-agent's Docker environment and SWE-ReX.
Prints JSON: milliseconds by name, for each of them that this Python can import.

    PYTHON -m benchmarks.peers IMAGE ROUNDS

IMAGE needs swe-rex installed in it. Run by `benchmarks.sandbox --peers PYTHON`; it imports nothing
of Greenroom's, so that PYTHON may be that of another environment.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any


def timed(work: Callable[[], Any], rounds: int) -> float:
    """The median of some rounds, in milliseconds, after one that is not counted."""
    work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def mini_swe_agent(image: str, rounds: int) -> dict[str, float]:
    from minisweagent.environments.docker import DockerEnvironment  # noqa: PLC0415

    def opened() -> Any:
        environment = DockerEnvironment(image=image)
        environment.execute({"command": "true"})
        return environment

    opening = timed(lambda: opened().cleanup(), max(2, rounds // 10))
    environment = opened()
    try:
        return {
            "open": opening,
            "bash -lc true": timed(lambda: environment.execute({"command": "true"}), rounds),
        }
    finally:
        environment.cleanup()


def swe_rex(image: str, rounds: int) -> dict[str, float]:
    from swerex.deployment.docker import DockerDeployment  # noqa: PLC0415
    from swerex.runtime.abstract import BashAction, Command, CreateBashSessionRequest  # noqa: PLC0415

    async def measure() -> dict[str, float]:
        openings = []
        for _ in range(2):
            deployment = DockerDeployment(image=image, pull="never")
            began = time.perf_counter()
            await deployment.start()
            await deployment.runtime.execute(Command(command=["true"]))
            openings.append(time.perf_counter() - began)
            await deployment.stop()
        deployment = DockerDeployment(image=image, pull="never")
        await deployment.start()
        try:
            runtime = deployment.runtime
            await runtime.create_session(CreateBashSessionRequest())
            found = {"open": statistics.median(openings) * 1000}
            for name, action in (
                ("true", lambda: runtime.execute(Command(command=["true"]))),
                ("true in a session", lambda: runtime.run_in_session(BashAction(command="true"))),
            ):
                times = []
                for _ in range(rounds):
                    began = time.perf_counter()
                    await action()
                    times.append(time.perf_counter() - began)
                found[name] = statistics.median(times) * 1000
            return found
        finally:
            await deployment.stop()

    return asyncio.run(measure())


def main() -> None:
    image, rounds = sys.argv[1], int(sys.argv[2])
    found = {}
    for name, measure in (("mini-swe-agent", mini_swe_agent), ("SWE-ReX", swe_rex)):
        try:
            found[name] = measure(image, rounds)
        except ImportError as error:
            print(f"{name}: {error}", file=sys.stderr)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
