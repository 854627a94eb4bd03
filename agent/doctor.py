"""What a user's machine has for Greenroom, and whether its engine holds what a sandbox promises."""

import asyncio
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from agent import settings
from agent.request import image_of
from sandbox.engine import Engine, shared_engine
from sandbox.image import Image, ImageSpec
from sandbox.policy import Policy
from sandbox.scratch import scratch_folder
from sandbox.selfcheck import Control, check_controls


@dataclass(frozen=True)
class Machine:
    """The engine that was found, the image, and each control as it was tried."""

    engine: Engine
    image: Image
    controls: tuple[Control, ...]

    @property
    def lacking(self) -> tuple[Control, ...]:
        """The controls that do not hold, and that nothing else stands for."""
        return tuple(c for c in self.controls if not c.holds and not c.instead)


def own_versions() -> str:
    """Greenroom's version and what it runs on."""
    return f"{version('greenroom')}, Python {platform.python_version()}, {platform.system()}"


async def examine(
    isolation: str | None, say: Callable[[str], None], told: Callable[[Engine], None]
) -> Machine:
    """Finds the engine (`told` of it), makes the sandbox image where it is not here, and tries the
    controls in a sandbox of that isolation (None: the settings').

    Raises SetupError or InfrastructureError, which say what is wrong and what to do.
    """
    found = settings.load(None, {"isolation": isolation})
    engine = await asyncio.to_thread(shared_engine)
    told(engine)
    engine.check(Policy(isolation=found["isolation"]))
    image = await image_of(ImageSpec(), found, say)
    say(f"trying each control in a sandbox (isolation: {found['isolation']}) ...")
    with scratch_folder() as folder:
        controls = await check_controls(image, engine, folder, found["isolation"])
    return Machine(engine, image, tuple(controls))
