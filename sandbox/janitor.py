"""A janitor: a small process that outlives this one for a moment, and removes what it leaves.

Nothing in a process that is killed can still run. What it had in its temporary folder would stay,
and a container that was created and not yet started. So a shell waits beside it, in a session of
its own, for the end of a pipe; then it becomes a Python that cleans up.
"""

import atexit
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from sandbox.engine import Engine
from sandbox.errors import GreenroomError
from sandbox.leftovers import remove_leftovers

# The engine may still be at what the dead process asked of it last.
PAUSES = (0.0, 1.0, 2.0)  # seconds before each round
WAIT = 'read -r word || exec "$@"'
CLEAN = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from sandbox.janitor import clean_up; clean_up(sys.argv[1])"
)


def hire(folder: Path) -> None:
    """Have `folder` removed when this process ends, and what else a kill may leave of it."""
    places = filter(os.path.isabs, sys.path)
    cleaning = (sys.executable, "-I", "-c", CLEAN, str(folder), *places)
    janitor = subprocess.Popen(
        ["/bin/sh", "-c", WAIT, "greenroom-janitor", *cleaning],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    atexit.register(_dismiss, janitor, folder, os.getpid())


def _dismiss(janitor: "subprocess.Popen[bytes]", folder: Path, hirer: int) -> None:
    """At an end in order there is nothing to do but to remove the folder."""
    if os.getpid() != hirer:
        return  # a child that was forked, and does not own what it inherited
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # the janitor was killed
        janitor.communicate(b"done\n")


def clean_up(folder: str) -> None:
    """What the janitor does when its process has ended without a word."""
    for pause in PAUSES:
        time.sleep(pause)
        shutil.rmtree(folder, ignore_errors=True)
        # There is nobody to tell: what cannot be removed now is removed at the next start.
        with suppress(GreenroomError, OSError):
            remove_leftovers(Engine.connect().api)
