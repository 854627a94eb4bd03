"""What a janitor does when the process that hired it was killed."""

import time
from contextlib import suppress

from sandbox.engine import Engine
from sandbox.errors import GreenroomError
from sandbox.leftovers import remove_leftovers
from sandbox.scratch import remove_left_folders

# The engine, or a program on the host, may still be at what the dead process asked of it last.
PAUSES = (0.0, 1.0, 2.0)  # seconds before each round


def clean_up() -> None:
    """Remove the folders and containers of dead processes; ends after a few seconds."""
    for pause in PAUSES:
        time.sleep(pause)
        # There is nobody to tell: what cannot be removed now is removed at the next start.
        with suppress(OSError):
            remove_left_folders()
        with suppress(GreenroomError, OSError):
            remove_leftovers(Engine.connect().api)
