"""Attacks on privileges and on the host: its settings, devices, secrets."""

from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.container import Sandbox
from sandbox.image import Image
from sandbox.trees import Base
from tests.attacks.conftest import SECRET, Attack, Plainly, Without
from tests.attacks.controls import (
    POLICY,
    Control,
    attack_in,
    sandbox_without,
    setting,
    verdicts,
)

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def test_no_privilege_can_be_regained(attack: Attack, plainly: Plainly) -> None:
    tries = (
        "for name, work in dict(setuid=os.setuid, setgid=os.setgid, seteuid=os.seteuid).items():\n"
        "    print(name, attempt(work, 0))\n"
        "print('setgroups', attempt(os.setgroups, [0]))\n"
        "print('mknod', attempt(os.mknod, 'sda', 0o60600, os.makedev(8, 0)))\n"
        "open('own', 'w').close()\n"
        "print('chown', attempt(os.chown, 'own', 1, 1))\n"
    )
    status = (
        "for line in open('/proc/self/status').read().splitlines():\n"
        "    if line.startswith(('CapEff', 'CapPrm', 'CapInh', 'CapAmb', 'NoNewPrivs')):\n"
        "        print(*line.split(':'))\n"
    )
    found = verdicts(await attack(tries + status))
    assert found.pop("NoNewPrivs") == "1"
    none = {found.pop(f"Cap{kind}") for kind in ("Eff", "Prm", "Inh", "Amb")}
    assert none == {"0000000000000000"}
    assert set(found.values()) == {"EPERM"}
    assert set(plainly(tries).split()[1::2]) == {"worked"}


async def test_a_set_uid_program_gives_no_other_uid(box: Sandbox, without: Without) -> None:
    # su waits for a password; it shows what uid it has.
    ask = "(sleep 2 | su root -c true) >/dev/null 2>&1 & sleep 0.3; ps -o euid= -C su"
    own = (await box.run("id -u")).output.text
    assert (await box.run(ask)).output.text.strip() == own.strip()
    bare = await without("no new privileges")
    assert (await bare.run(ask)).output.text.strip() == "0"


SETTINGS = """
import glob
places = ['/proc/sys/kernel/core_pattern', '/proc/sys/vm/drop_caches', '/proc/sysrq-trigger',
    '/proc/sys/kernel/modprobe', '/proc/sys/net/ipv4/ip_forward', '/sys/kernel/uevent_helper',
    '/sys/fs/cgroup/release_agent', '/dev/kmsg', '/dev/mem', '/proc/irq/default_smp_affinity',
    '/etc/passwd', '/etc/shadow', '/run/greenroom/passwd', '/etc/hosts', '/etc/resolv.conf',
    '/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock']
for name in ('release_agent', 'cgroup.procs', 'memory.limit_in_bytes', 'notify_on_release'):
    places += glob.glob('/sys/fs/cgroup/*/' + name)
def open_to_write(place):
    # To open is enough: nothing of the machine's is changed where it works.
    fd = os.open(place, os.O_WRONLY)
    if os.fstat(fd).st_rdev == os.makedev(1, 3): raise OSError(errno.EACCES, 'masked')
for place in places: print(place, attempt(open_to_write, place))
"""


async def test_nothing_of_the_host_s_settings_can_be_written(
    attack: Attack, plainly: Plainly
) -> None:
    found = verdicts(await attack(SETTINGS))
    refused = {"EACCES", "EPERM", "EROFS", "ENOENT", "ENXIO"}
    assert {place: said for place, said in found.items() if said not in refused} == {}
    said = plainly(SETTINGS, MaskedPaths=[], ReadonlyPaths=[]).splitlines()
    bare = dict(line.split() for line in said)
    for place in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/etc/shadow"):
        assert bare[place] == "worked"


async def test_what_tells_of_the_host_s_kernel_is_hidden(attack: Attack, without: Without) -> None:
    script = (
        "for place in ('kcore', 'keys', 'kallsyms', 'cmdline', 'config.gz', 'interrupts',"
        " 'timer_list'):\n"
        "    try: print(place, len(open('/proc/' + place, 'rb').read(10)))\n"
        "    except OSError: print(place, 0)\n"
    )
    assert set(verdicts(await attack(script)).values()) == {"0"}
    bare = verdicts(await attack_in(await without("masked paths"), script))
    assert {bare[place] for place in ("kallsyms", "cmdline", "interrupts")} == {"10"}


async def test_there_are_no_devices_but_the_harmless(box: Sandbox, without: Without) -> None:
    async def devices(room: Sandbox) -> set[str]:
        result = await room.run("find /dev -type b -o -type c")
        return {path.rpartition("/")[2] for path in result.output.text.split()}

    harmless = {"console", "full", "null", "ptmx", "random", "tty", "urandom", "zero"}
    assert await devices(box) <= harmless
    assert await devices(await without("no devices")) - harmless == {"sda"}


async def test_nothing_secret_is_in_the_environment_or_the_mounts(
    box: Sandbox, without: Without, tmp_path: Path
) -> None:
    async def told(room: Sandbox) -> tuple[str, set[str]]:
        shown = await room.run("env; cat /proc/self/mountinfo")
        binds = await room.run(
            "grep -v -e tmpfs -e overlay -e ^proc -e sysfs /proc/mounts | cut -d' ' -f2"
        )
        places = set(binds.output.text.split())
        return shown.output.text, {
            p for p in places if not p.startswith(("/sys/fs/cgroup", "/dev/"))
        }

    text, mounts = await told(box)
    for word in (SECRET, "TOKEN", "SECRET", "PASSWORD", "API_KEY", "docker.sock"):
        assert word.lower() not in text.lower()
    assert mounts <= {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}
    _, mounts = await told(await without(setting(Binds=[f"{tmp_path}:/mnt:ro"])))
    assert "/mnt" in mounts


async def test_a_crash_writes_no_core(box: Sandbox, without: Without) -> None:
    crash = "ulimit -c unlimited 2>/dev/null; sh -c 'kill -SEGV $$'; ls"
    assert (await box.run(crash)).output.text.endswith("kept.txt\n")
    assert "core" not in (await box.run(crash)).output.text
    pattern = await box.run("cat /proc/sys/kernel/core_pattern")
    if pattern.output.text.startswith("core"):  # else a program of the host's, or another folder
        bare = await without("limits of a process")
        assert "core" in (await bare.run(crash)).output.text.split()


async def test_ordinary_tools_keep_working_under_the_profile(box: Sandbox) -> None:
    script = (
        "import multiprocessing, sqlite3, subprocess, tempfile, threading, asyncio, mmap, os\n"
        "lock = multiprocessing.Lock()\n"
        "def double(n):\n"
        "    with lock: return 2 * n\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.Pool(3) as pool: assert pool.map(double, range(9))[8] == 16\n"
        "    from multiprocessing import shared_memory\n"
        "    memory = shared_memory.SharedMemory(create=True, size=4096); memory.unlink()\n"
        "    threads = [threading.Thread(target=sum, args=([1],)) for _ in range(20)]\n"
        "    [t.start() for t in threads]; [t.join() for t in threads]\n"
        "    db = sqlite3.connect('x.db'); db.execute('pragma journal_mode=wal')\n"
        "    db.execute('create table t(x)'); db.commit(); db.close()\n"
        "    assert asyncio.run(asyncio.to_thread(lambda: 5)) == 5\n"
        "    assert subprocess.check_output(['sh', '-c', 'printf hi']) == b'hi'\n"
        "    os.memfd_create('x'); os.eventfd(0); os.pidfd_open(os.getpid())\n"
        "    import pty; master, slave = pty.openpty()\n"
        "    print('fine')\n"
    )
    await box.write("tools.py", script.encode())
    assert (await box.run("python3 tools.py")).output.text == "fine\n"
    result = await box.run(
        "git config --global user.name x; git config --global user.email x@x;"
        "git init -q x && cd x && echo a > a && git add a && git commit -qm a && git log --oneline"
        " | wc -l; printf 'all:\\n\\techo made\\n' > Makefile; make -s; rg -c a a;"
        " python3 -m venv --without-pip v && v/bin/python -c 'print(1)'"
    )
    assert result.output.text.split() == ["1", "made", "1", "1"]


async def test_a_module_that_root_inside_changes_is_not_loaded_into_the_supervisor(
    image: Image, base: Base
) -> None:
    # The supervisor hashes contents only once a command has run.
    policy = replace(POLICY, preset="compat")
    script = (
        "import hashlib\n"
        'text = \'import os; open(f"/taken-by-{os.getpid()}", "w"); from _sha1 import sha1\'\n'
        "print('write', attempt(open(hashlib.__file__, 'w').write, text))\n"
    )

    async def attempted(room: Sandbox) -> str:
        assert verdicts(await attack_in(room, script)) == {"write": "worked"}
        await room.delta()
        return (await room.run("ls / | grep taken")).output.text.strip()

    async with Sandbox.open(image, base, policy) as box:
        assert await attempted(box) == ""
        assert (await box.search("kept")).matches
    late = Control(source=(("            load_no_more()\n", "            pass\n"),))
    opening = sandbox_without(late, image=image, base=base, policy=policy, resettable=False)
    async with opening as open_:
        assert await attempted(open_) == "taken-by-1"
