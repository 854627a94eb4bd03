"""What the presets and relaxations change in a real sandbox, and what they do not."""

import asyncio
import dataclasses
import platform
from pathlib import Path

import pytest

from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.errors import SetupError
from sandbox.image import Image
from sandbox.policy import GIB, MIB, Policy
from sandbox.selfcheck import check_controls
from tests.sandbox.conftest import MakeBase

pytestmark = [pytest.mark.docker, pytest.mark.asyncio]


@pytest.fixture
def gvisor(engine: Engine) -> Engine:
    if not engine.abilities.gvisor:
        pytest.skip("no runtime named runsc is registered with this engine")
    return engine


async def test_compat_gives_root_and_a_writable_image(image: Image, make_base: MakeBase) -> None:
    async with Sandbox.open(image, make_base({"a": "a"}), Policy(preset="compat")) as box:
        said = await box.run("id -u; echo $HOME; touch /etc/made /opt/made && chown 1234 /opt/made")
        assert said.output.text == "0\n/root\n"
        assert (await box.run(["bash", "-lc", "echo $PATH"])).output.text.startswith("/root/.local")
        await box.run("echo b > a; echo c > c")
        assert (await box.delta()).paths == ("a", "c")


async def test_compat_keeps_what_is_not_needed(image: Image, make_base: MakeBase) -> None:
    async with Sandbox.open(image, make_base({"a": "a"}), Policy(preset="compat")) as box:
        for attack in (
            "cat /proc/1/environ",
            "ls -l /proc/1/fd | grep pipe",
            "echo forged > /proc/1/fd/1",
            "dd if=/proc/1/mem count=1",
            "mknod disk b 8 0",
            "mount -t tmpfs none /mnt",
            "chroot / true",
            "echo x > /proc/sys/kernel/core_pattern",
            "grep -v ' lo:' /proc/net/dev | grep :",
            "unshare -m true",
        ):
            assert (await box.run(attack)).exit_code != 0, attack
        # Signals that would end any other process.
        await box.run("for n in 1 2 3 9 15 19; do kill -$n 1; done")
        assert (await box.run("grep NoNewPrivs /proc/self/status")).output.text.split()[1] == "1"


async def test_compat_leaves_no_daemon(image: Image, make_base: MakeBase) -> None:
    async with Sandbox.open(image, make_base({"a": "a"}), Policy(preset="compat")) as box:
        await box.run("setsid sleep 300 & (setsid sh -c 'sleep 300 & sleep 300' &)")
        assert (await box.run("pgrep sleep")).exit_code == 1


async def test_a_workspace_on_disk_works_like_one_in_memory(
    engine: Engine, image: Image, make_base: MakeBase
) -> None:
    before = {volume["Name"] for volume in engine.api.volumes()["Volumes"] or []}
    policy = Policy(workspace="disk", workspace_bytes=10 * GIB)
    async with Sandbox.open(image, make_base({"a": "a\n"}), policy, resettable=True) as box:
        mounted = (await box.run("stat -f -c %T . /tmp; id -un; stat -c %U .")).output.text.split()
        assert mounted[0] != "tmpfs"
        assert mounted[1:] == ["tmpfs", "sandbox", "sandbox"]
        assert (await box.run("git status --short; touch /etc/x")).exit_code == 1
        await box.run("echo b > a; mkdir d; echo c > d/c")
        assert (await box.delta()).paths == ("a", "d/c")
        await box.reset()
        assert (await box.run("cat a; ls")).output.text == "a\na\n"
    after = {volume["Name"] for volume in engine.api.volumes()["Volumes"] or []}
    assert after <= before


async def test_more_than_memory_fits_on_disk(image: Image, make_base: MakeBase) -> None:
    policy = Policy(memory_bytes=700 * MIB, workspace="disk")
    async with Sandbox.open(image, make_base({"a": "a"}), policy) as box:
        written = await box.run("head -c 900M /dev/zero > big; stat -c %s big; rm big")
        assert written.output.text == f"{900 * MIB}\n"


async def test_gvisor_is_another_kernel(gvisor: Engine, image: Image, make_base: MakeBase) -> None:
    policy = Policy(isolation="gvisor")
    async with Sandbox.open(image, make_base({"a": "a\n"}), policy, resettable=True) as box:
        kernel = (await box.run("uname -r")).output.text
        assert kernel.strip() != platform.release()
        result = await box.run("echo b > a; git diff --stat; exit 3")
        assert result.exit_code == 3
        assert (await box.delta()).paths == ("a",)
        await box.reset()
        assert await box.read("a") == b"a\n"


async def test_gvisor_leaves_no_daemon(gvisor: Engine, image: Image, make_base: MakeBase) -> None:
    policy = Policy(isolation="gvisor", background=1)
    async with Sandbox.open(image, make_base({"a": "a"}), policy) as box:
        await box.run("setsid sleep 300 & (setsid sh -c 'sleep 300 & sleep 300' &)")
        assert (await box.run("pgrep -c sleep")).output.text == "0\n"
        late = await box.run("setsid sleep 300 & sleep 300", timeout=0.5)
        assert late.reason == "timeout"
        assert (await box.run("pgrep -c sleep")).output.text == "0\n"
        server = await box.start("sleep 300")
        await box.run("setsid sleep 301 &")
        assert (await box.run("pgrep -af sleep")).output.text.split()[-2:] == ["sleep", "300"]
        await server.kill()


async def test_the_controls_hold_in_gvisor_or_are_named(
    gvisor: Engine, image: Image, tmp_path: Path
) -> None:
    controls = await check_controls(image, gvisor, tmp_path, "gvisor")
    assert [c for c in controls if not c.holds and not c.instead] == []
    unbounded = {c.name for c in controls if c.instead}
    assert unbounded <= {"processes", "number of files", "processor time"}


async def test_gvisor_where_there_is_none(
    engine: Engine, image: Image, make_base: MakeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "abilities", dataclasses.replace(engine.abilities, gvisor=""))
    with pytest.raises(SetupError, match="no runtime named runsc"):
        async with Sandbox.open(image, make_base({"a": "a"}), Policy(isolation="gvisor")):
            await asyncio.sleep(0)
