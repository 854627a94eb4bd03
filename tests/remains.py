"""What processes of the tests may leave behind, and the wait until nothing of it is left."""

import os
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sandbox import leftovers
from sandbox.engine import Engine
from sandbox.leftovers import OWNER_LABEL, Owner, this_process

PATIENCE = 5.0


class Remains:
    """Folders of their own for the processes of one test, and what those leave there and on the
    engine."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self._cache, self._temporary = folder / "cache", folder / "temporary"
        for each in (self._cache, self._temporary):
            each.mkdir()
        self._engine = engine

    @property
    def variables(self) -> dict[str, str]:
        """What a process needs in its environment to leave nothing elsewhere."""
        return {"XDG_CACHE_HOME": str(self._cache), "TMPDIR": str(self._temporary)}

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | self.variables

    def files(self) -> list[Path]:
        scratch = self._cache / "greenroom" / "scratch"
        return [*(scratch.iterdir() if scratch.exists() else ()), *self._temporary.iterdir()]

    def containers(self, owners: Collection[str]) -> list[Any]:
        """Names and states of the containers with these labels."""
        found = self._engine.api.containers(all=True, filters={"label": OWNER_LABEL})
        return [(c["Names"], c["Status"]) for c in found if c["Labels"][OWNER_LABEL] in owners]

    def networks(self) -> list[str]:
        found = self._engine.api.networks()
        return [network["Name"] for network in found if "greenroom" in str(network)]

    def gone(self, owners: Collection[str], after: str) -> None:
        """Fails unless nothing is left soon; `after` tells of what."""
        deadline = time.monotonic() + PATIENCE
        while (containers := self.containers(owners)) or self.files():
            if time.monotonic() > deadline:
                pytest.fail(f"left after {after}: {containers}, {self.files()}")
            time.sleep(0.1)
        assert not self.networks(), after


def processes(command: bytes) -> list[int]:
    """The processes of this machine whose command line holds `command`; words end with a NUL."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            if entry.name.isdigit() and command in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def no_janitor_cleans() -> None:
    """Returns when those of killed processes are done: they remove the remains of anybody."""
    while set(processes(b"clean_up()")) - set(processes(b"greenroom-janitor")):
        time.sleep(0.1)


def owner_of(pid: int) -> str:
    """The label of what the living process `pid` opens."""
    here = this_process()
    return Owner(here.boot, here.namespace, pid, leftovers._start_time(pid)).label()
