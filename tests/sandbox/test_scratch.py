"""Temporary folders: gone at their end, after a kill, and where the janitor was killed too."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox import scratch
from sandbox.history import make_history
from sandbox.scratch import remove_left_folders, scratch_folder
from sandbox.trees import Base, TreeStore
from tests.remains import processes

HOLD = """
import sys, time
from sandbox.scratch import scratch_folder
with scratch_folder("x-") as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    sys.stdin.readline()
"""
Holder = subprocess.Popen[str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder() -> Iterator[Holder]:
    """A process with a folder, which ends when it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def folder_of(holder: Holder) -> Path:
    assert holder.stdout is not None
    return Path(holder.stdout.readline().strip())


def janitor_of(holder: Holder) -> int:
    """The process that waits for the end of `holder`."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for pid in processes(b"greenroom-janitor"):
            with suppress(OSError):  # it has ended meanwhile
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == holder.pid:
                    return pid
    raise AssertionError("no janitor was hired")


def goes(folder: Path) -> None:
    deadline = time.monotonic() + 5
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_is_private_and_goes_at_its_end() -> None:
    with scratch_folder("x-") as folder:
        (folder / "file").write_text("x")
        assert folder.name.startswith("x-")
        for each in (folder, folder.parent, folder.parent.parent):
            assert each.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_an_end_in_order_leaves_no_folder_and_no_janitor(holder: Holder) -> None:
    folder = folder_of(holder)
    janitor = janitor_of(holder)
    holder.communicate("\n")
    assert holder.returncode == 0
    assert not folder.parent.exists()
    assert not Path(f"/proc/{janitor}").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_s_folder_goes_by_itself(holder: Holder, number: int) -> None:
    folder = folder_of(holder)
    holder.send_signal(number)  # and nobody asks for its end
    goes(folder.parent)


def test_where_the_janitor_was_killed_too_the_next_process_removes(holder: Holder) -> None:
    folder = folder_of(holder)
    with scratch_folder() as living:
        os.kill(janitor_of(holder), signal.SIGKILL)
        holder.kill()
        holder.wait()
        assert remove_left_folders(dry_run=True) == [folder.parent]
        assert folder.exists()
        subprocess.run([sys.executable, "-c", HOLD], input="\n", text=True, check=True)
        assert not folder.parent.exists()
        assert living.exists()


def test_a_folder_that_is_just_being_made_is_left_alone() -> None:
    with scratch_folder() as folder:
        root = folder.parent.parent
        young, old = root / "young", root / "old"
        for each in (young, old):
            each.mkdir()
        os.utime(old, (time.time() - 2 * scratch._MAKING,) * 2)
        assert remove_left_folders() == [old]
        assert young.exists()
        assert not old.exists()


def test_beside_a_folder_of_another_file_system_it_is_there() -> None:
    other = Path("/dev/shm")
    with scratch_folder() as usual:
        if not other.is_dir() or other.stat().st_dev == usual.stat().st_dev:
            pytest.skip("this machine has no other file system that can be written")
    with scratch_folder(beside=other) as folder:
        assert folder.parent == other
    assert not folder.exists()
    with scratch_folder(beside=usual.parent) as folder:
        assert folder.parent == usual.parent


def test_a_history_is_laid_out_also_from_a_store_on_another_file_system(cache: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == cache.stat().st_dev:
        pytest.skip("there is no other file system here")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        store = TreeStore.create(Path(folder) / "store")
        base = Base(store, store.add_tree([("a", 0o100644, b"a")]))
        made = make_history(base, "/run/greenroom")
    assert any(path.endswith(".pack") for path in made.private)
