"""A command on a terminal of its own, for a person to type at."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from sandbox.supervisor.commands import Command
from sandbox.supervisor.processes import Account

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

END_OF_INPUT = b"\x04"  # what a terminal takes for it


class Terminal(Command):
    """Like a command; its input and output are one pseudo-terminal, whose master is kept here."""

    def open(self, account: Account, argv: list[str], request: dict[str, Any]) -> None:
        """Start `argv` on a new terminal that belongs to the sandbox's uid."""
        with account.acting():
            master, slave = os.openpty()
        self.resize(master, request["rows"], request["columns"])
        os.set_blocking(master, False)
        self.out, self.stdin = master, os.dup(master)
        start = {"uid": account.uid, "folder": request["folder"], "env": request["env"]}
        try:
            self.shim.begin(
                {**start, "argv": argv, "terminal": True}, dict.fromkeys(range(3), slave)
            )
        finally:
            os.close(slave)

    def end_input(self) -> None:
        """The terminal stays open: only what is typed has ended."""
        self.take_input(END_OF_INPUT)

    @staticmethod
    def resize(fd: int, rows: int, columns: int) -> None:
        """Tell the terminal its size; the kernel tells the program in it."""
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
