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
        return tuple(control for control in self.controls if not control.holds)


def own_versions() -> str:
    """Greenroom's version and what it runs on."""
    return f"{version('greenroom')}, Python {platform.python_version()}, {platform.system()}"


async def examine(say: Callable[[str], None], told: Callable[[Engine], None]) -> Machine:
    """Finds the engine (`told` of it), makes the sandbox image where it is not here, and tries the
    controls in a sandbox.

    Raises SetupError or InfrastructureError, which say what is wrong and what to do.
    """
    found = settings.load(None, {})
    engine = await asyncio.to_thread(shared_engine)
    told(engine)
    image = await image_of(ImageSpec(), found, say)
    say("trying each control in a sandbox ...")
    with scratch_folder() as folder:
        controls = await check_controls(image, engine, folder)
    return Machine(engine, image, tuple(controls))
