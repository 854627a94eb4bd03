"""The image that a checkout needs, built by itself, and what it was made of."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.keys import IMAGE
from agent.request import Request, from_checkout, image_of, settings_of
from sandbox.image import Image
from sandbox.scratch import scratch_folder
from sandbox.trees import TreeStore

Say = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """An image that is ready, and the seconds that it took. `reasons` say what was found where, and
    which settings had a say.
    """

    image: Image
    reasons: tuple[str, ...]
    seconds: float


async def build(request: Request, say: Say, live: Say | None) -> Built:
    """Makes the image that the checkout needs; `live` gets all that programs print on the way.

    Raises UsageError, SetupError or InfrastructureError, each shown to the user as it is.
    """
    begun = time.monotonic()
    found = settings_of(request, say)
    with scratch_folder() as folder:
        store = TreeStore.create(folder / "trees.git")
        made = from_checkout(request, found, store)
        for note in made.task.notes:
            say(note)
        image = await image_of(made.task.image, found, say, checkout=made.task.base, live=live)
    given = [
        f"{name} is set: {found.sources[name]}" for name in (*IMAGE, "setup") if found.given(name)
    ]
    return Built(image, (*made.detected.reasons, *given), time.monotonic() - begun)
