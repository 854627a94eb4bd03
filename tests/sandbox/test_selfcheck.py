"""Each control holds in a sandbox, and its probe says so where it does not."""

from pathlib import Path

import pytest

from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.probes import PROBES, Probe
from sandbox.selfcheck import check_controls
from tests.plain_container import run_plainly


@pytest.mark.docker
@pytest.mark.asyncio
async def test_every_control_holds_in_a_sandbox(
    engine: Engine, image: Image, tmp_path: Path
) -> None:
    controls = await check_controls(image, engine, tmp_path)
    assert {c.name for c in controls} == {probe.name for probe in PROBES} | {"time"}
    assert [c for c in controls if not c.holds] == []


@pytest.mark.docker
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_without_its_control_a_probe_finds_a_way(
    probe: Probe, engine: Engine, image: Image, tmp_path: Path
) -> None:
    said, ended = run_plainly(engine, image, probe.command, tmp_path, NetworkMode="bridge")
    assert said
    assert not probe.holds(said.split(), "signal" if ended else "exit")


def test_a_probe_that_printed_nothing_shows_nothing() -> None:
    assert not PROBES[0].holds([])
    assert PROBES[0].holds(["lo", "ENETUNREACH"])
    assert not PROBES[0].holds(["lo", "ENETUNREACH"], "timeout")
    assert not PROBES[0].holds(["lo", "eth0", "ENETUNREACH"])
