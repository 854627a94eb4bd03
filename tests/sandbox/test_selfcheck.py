"""Each control holds in a sandbox, and its probe says so where it does not."""

from pathlib import Path

import pytest

from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.probes import PROBES, Probe
from sandbox.selfcheck import check_controls


def in_an_open_container(
    engine: Engine, image: Image, probe: Probe, folder: Path
) -> tuple[list[str], str]:
    """What a probe prints in a container without any of our controls, and how it ended."""
    api = engine.api
    host = api.create_host_config(
        security_opt=["seccomp=unconfined"], network_mode="bridge", binds=[f"{folder}:/mnt:ro"]
    )
    made = api.create_container(
        image.reference, list(probe.command), user="0:0", working_dir="/workspace", host_config=host
    )
    try:
        api.start(made)
        ended = api.wait(made, timeout=60)["StatusCode"]
        said = api.logs(made, stdout=True, stderr=False).decode().split()
    finally:
        api.remove_container(made, force=True)
    return said, "exit" if ended == 0 else "signal"


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
    words, reason = in_an_open_container(engine, image, probe, tmp_path)
    assert words
    assert not probe.holds(words, reason)


def test_a_probe_that_printed_nothing_shows_nothing() -> None:
    assert not PROBES[0].holds([])
    assert PROBES[0].holds(["lo", "ENETUNREACH"])
    assert not PROBES[0].holds(["lo", "ENETUNREACH"], "timeout")
    assert not PROBES[0].holds(["lo", "eth0", "ENETUNREACH"])
