"""A janitor: a small process that outlives this one for a moment, and removes what it leaves.

Nothing in a process that is killed can still run. What it had in its temporary folder would stay,
and a container that was created and not yet started. So a shell waits beside it, in a session of
its own, for the end of a pipe; then it becomes a Python that cleans up (`sandbox/cleanup.py`).
"""

import atexit
import os
import subprocess
import sys
from contextlib import suppress

WAIT = 'read -r word || exec "$@"'
CLEAN = "import sys; sys.path[:] = sys.argv[1:]; from sandbox.cleanup import clean_up; clean_up()"


def hire() -> None:
    """Have somebody clean up when this process ends without a word."""
    places = filter(os.path.isabs, sys.path)
    cleaning = (sys.executable, "-I", "-c", CLEAN, *places)
    janitor = subprocess.Popen(
        ["/bin/sh", "-c", WAIT, "greenroom-janitor", *cleaning],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    atexit.register(_dismiss, janitor, os.getpid())


def _dismiss(janitor: "subprocess.Popen[bytes]", hirer: int) -> None:
    """At an end in order nothing is left to do. (A child that was forked has hired nobody.)"""
    if os.getpid() == hirer:
        with suppress(OSError):  # the janitor was killed
            janitor.communicate(b"done\n")
