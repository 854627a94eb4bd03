"""A person's terminal in a sandbox: typed at through a real pseudo-terminal."""

import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.image import Image
from sandbox.terminal import StringFilter

SHELL = """
import asyncio, sys
from pathlib import Path
from sandbox.container import Sandbox
from sandbox.image import Image
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore

async def main():
    store = TreeStore.create(Path(sys.argv[2]))
    base = Base(store, store.add_tree([("file.txt", 0o100644, b"content\\n")]))
    async with Sandbox.open(Image(sys.argv[1], ""), base, Policy()) as box:
        code = await box.shell()
        print("ended with", code, "and", (await box.delta()).paths)

asyncio.run(main())
"""


class Person:
    """Types at a program and looks at what it shows."""

    def __init__(self, command: list[str]) -> None:
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 97, 0, 0))
        # `setsid --ctty` makes it the session's terminal.
        command = ["setsid", "--ctty", "--wait", *command]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave)
        os.close(slave)
        self.seen = b""

    def types(self, text: str) -> None:
        os.write(self.master, text.encode())

    def sees(self, pattern: str, seconds: float = 20) -> str:
        os.set_blocking(self.master, False)
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern.encode(), self.seen)) is None:
            assert time.monotonic() < deadline, self.seen
            try:
                self.seen += os.read(self.master, 65536)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                assert re.search(pattern.encode(), self.seen), self.seen
        self.seen = self.seen[found.end() :]
        return found.group().decode()


@pytest.fixture
def command(image: Image, tmp_path: Path) -> list[str]:
    return [sys.executable, "-c", SHELL, image.reference, str(tmp_path / "store")]


@pytest.mark.docker
def test_a_person_works_in_a_shell(command: list[str]) -> None:
    person = Person(command)
    person.sees(r"sandbox@sandbox:/workspace\$ ")
    person.types("tty; stty size; whoami; ls\n")
    person.sees(r"/dev/pts/\d+\r\n31 97\r\nsandbox\r\nfile.txt")
    person.types("echo changed > file.txt; sleep 100\n")
    time.sleep(0.3)
    person.types("\x03")
    person.sees(r"\^C")
    ioctl(person.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    time.sleep(0.3)
    person.types("stty size\n")
    person.sees("40 120")
    person.types("printf 'a\\033]52;c;aGk=\\007b\\033[1mc\\033[0m\\n'; exit 5\n")
    person.sees(r"ab\x1b\[1mc\x1b\[0m\r\n")
    person.sees(r"ended with 5 and \('file.txt',\)")
    assert person.process.wait(10) == 0


@pytest.mark.docker
def test_much_output_comes_whole_to_a_slow_screen(command: list[str]) -> None:
    person = Person(command)
    person.sees(r"\$ ")
    person.types("seq 1 300000; echo the'-'end\n")
    time.sleep(1)
    person.sees("\r\n299999\r\n300000\r\nthe-end", 60)
    person.types("\x04")
    person.sees("ended with 0")
    assert person.process.wait(10) == 0


@pytest.mark.docker
def test_what_comes_last_is_shown_as_it_came(command: list[str]) -> None:
    person = Person(command)
    person.sees(r"\$ ")
    person.types("seq 1 30000; exit 4\n")
    time.sleep(1)  # nobody looks, while the shell ends
    person.sees("\r\n29999\r\n30000\r\n", 60)
    person.sees("ended with 4")
    assert person.process.wait(10) == 0


@pytest.mark.docker
def test_lines_from_a_pipe_are_typed_and_their_end_ends_the_shell(command: list[str]) -> None:
    result = subprocess.run(
        command, input=b"echo $((6 * 7)); exit 3\n", capture_output=True, timeout=60, check=False
    )
    assert b"42\r\n" in result.stdout
    assert b"ended with 3" in result.stdout


BAD = [b"\x1b]0;title\x07", b"\x1b]8;;http://x\x1b\\", b"\x1bPq\x1b\\", b"\xc2\x9d52;c;x\xc2\x9c"]
GOOD = [b"text", b"\x1b[31m", b"\x1b[2J", "ü€".encode(), b"\r\n\t", b"\x1b(B", b"\x1b7"]


def test_many_strings_in_one_piece_are_dropped_in_one_go() -> None:
    assert StringFilter().feed(b"\x1b]\x07" * 300_000 + b"end") == b"end"


@given(
    st.lists(st.sampled_from([(part, True) for part in GOOD] + [(part, False) for part in BAD])),
    st.integers(1, 7),
)
def test_strings_for_the_terminal_itself_are_dropped_however_they_are_cut(
    parts: list[tuple[bytes, bool]], size: int
) -> None:
    stream = b"".join(part for part, _ in parts)
    keep = StringFilter()
    cut: Callable[[int], bytes] = lambda n: stream[n : n + size]  # noqa: E731
    shown = b"".join(keep.feed(cut(n)) for n in range(0, len(stream), size))
    assert shown == b"".join(part for part, good in parts if good)
