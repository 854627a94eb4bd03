import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent import scratch
from agent.scratch import scratch_folder

HOLD = "import time\nfrom agent.scratch import scratch_folder\n"
HOLD += "with scratch_folder() as folder:\n    print(folder, flush=True)\n    time.sleep(60)\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_it_is_private_and_goes_at_its_end() -> None:
    with scratch_folder() as folder:
        (folder / "file").write_text("x")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays() -> None:
    held = [
        subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    dead, living = (Path(process.stdout.readline().strip()) for process in held if process.stdout)
    held[0].send_signal(signal.SIGKILL)
    held[0].wait()
    with scratch_folder():
        assert not dead.exists()
        assert living.exists()
    held[1].terminate()
    held[1].wait()


def test_a_folder_that_is_just_being_made_is_left_alone(cache: Path) -> None:
    with scratch_folder() as folder:
        young, old = folder.parent / "young", folder.parent / "old"
        for each in (young, old):
            each.mkdir()
        os.utime(old, (time.time() - 2 * scratch._MAKING,) * 2)
        with scratch_folder():
            assert young.exists()
            assert not old.exists()
