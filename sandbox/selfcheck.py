"""Whether this engine holds what a sandbox promises: each control is tried in a real sandbox.

Every probe is harmless where its control is missing: it goes a little beyond a small bound, or
calls the kernel with arguments that no call accepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.container import CommandResult, Sandbox
from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.policy import MIB, Policy
from sandbox.trees import Base, TreeStore

#: Small bounds, so that going beyond them takes little.
POLICY = Policy(
    memory_bytes=256 * MIB,
    cpus=0.5,
    pids=64,
    workspace_bytes=16 * MIB,
    workspace_inodes=4096,
    tmp_bytes=8 * MIB,
    home_bytes=8 * MIB,
    shm_bytes=8 * MIB,
)
_LIMITS = (
    "A rootless engine limits it only with cgroup v2 and delegation of the controllers: see its "
    "documentation on limiting resources."
)
_NOT_TO_BE_TRUSTED = (
    "Do not run code that you do not trust on this engine: update it, or choose another (docker "
    "context use NAME)."
)
_PRELUDE = """
import ctypes, errno, os, socket, sys, time
arm = os.uname().machine == "aarch64"
libc = ctypes.CDLL(None, use_errno=True)

def attempt(work, *arguments):
    try:
        work(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "worked"

def call(number, *arguments):
    ctypes.set_errno(0)
    libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return errno.errorcode.get(ctypes.get_errno(), "worked")
"""


@dataclass(frozen=True)
class Probe:
    """A script that tries something and prints a word for each try; the control holds when there
    are words and all of them are in `wanted`, and the command ended for `reason`."""

    name: str
    tried: str
    script: str
    wanted: frozenset[str]
    reason: str = "exit"
    advice: str = _NOT_TO_BE_TRUSTED

    @property
    def command(self) -> Sequence[str]:
        return ("python3", "-c", _PRELUDE + self.script)

    def holds(self, words: Sequence[str], reason: str = "exit") -> bool:
        """Whether what a try printed, and how it ended, is what the control brings about."""
        answered = bool(words) or not self.wanted
        return reason == self.reason and answered and set(words) <= self.wanted


@dataclass(frozen=True)
class Control:
    """A control as it was found: `tried` is what was tried, `seen` what came of it, `advice` what
    to do where it does not hold."""

    name: str
    tried: str
    holds: bool
    seen: str
    advice: str


PROBES = (
    Probe(
        "network",
        "reach an address, find a device beside loopback",
        "for _, name in socket.if_nameindex():\n"
        "    print(name)\n"
        "for place in ('192.0.2.1', '172.17.0.1', '169.254.169.254'):\n"
        "    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:\n"
        "        print(attempt(it.connect, (place, 53)))\n",
        frozenset({"lo", "ENETUNREACH"}),
    ),
    Probe(
        "socket families",
        "open VSOCK, ALG, packet and raw sockets",
        "number = 198 if arm else 41\n"
        "for family, kind in ((40, 1), (38, 5), (17, 3), (2, 3), (16, 3)):\n"
        "    print(call(number, family, kind, 9 if family == 16 else 1 if family == 2 else 0))\n",
        frozenset({"EPERM"}),
    ),
    Probe(
        "system calls",
        "mount, trace, load programs into the kernel, make namespaces, use io_uring",
        "x86 = (165, 101, 321, 272, 308, 250, 323, 298, 304, 425)\n"
        "others = (40, 117, 280, 97, 268, 219, 282, 241, 265, 425)\n"
        "for number in others if arm else x86:\n"
        "    print(call(number, 0x1234567, 0, 0, 0, 0, 0))\n",
        frozenset({"EPERM", "ENOSYS"}),
    ),
    Probe(
        "privileges",
        "become root, have or regain a capability",
        "for work in (os.setuid, os.setgid):\n"
        "    print(attempt(work, 0))\n"
        "for line in open('/proc/self/status'):\n"
        "    name, _, value = line.partition(':')\n"
        "    if name in ('CapEff', 'CapPrm', 'CapInh', 'CapAmb'):\n"
        "        print('none' if not int(value, 16) else name)\n"
        "    elif name in ('NoNewPrivs', 'Seccomp'):\n"
        "        print(name + '=' + value.strip())\n",
        frozenset({"EPERM", "none", "NoNewPrivs=1", "Seccomp=2"}),
    ),
    Probe(
        "host",
        "find the engine's socket, a device, settings of the kernel",
        "for place in ('/var/run/docker.sock', '/run/docker.sock', '/run/podman/podman.sock'):\n"
        "    print('absent' if not os.path.exists(place) else place)\n"
        "print(attempt(os.mknod, 'disk', 0o60600, os.makedev(8, 0)))\n"
        "for path in ('/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger'):\n"
        "    print(attempt(os.open, path, os.O_WRONLY))\n"
        "for folder, _, names in os.walk('/dev'):\n"
        "    for name in names:\n"
        "        mode = os.lstat(os.path.join(folder, name)).st_mode\n"
        "        if mode & 0o170000 == 0o060000: print(name)\n",
        frozenset({"absent", "ENOENT", "EPERM", "EACCES", "EROFS"}),
    ),
    Probe(
        "supervisor",
        "signal it, write to its stream, read its memory",
        "print(attempt(os.kill, 1, 0))\n"
        "for name, how in (('fd/0', os.O_RDONLY), ('fd/1', os.O_WRONLY), ('mem', os.O_RDWR)):\n"
        "    print(attempt(os.open, '/proc/1/' + name, how))\n",
        frozenset({"EPERM", "EACCES"}),
    ),
    Probe(
        "read-only root",
        "write to the image's folders",
        "for folder in ('/', '/etc', '/usr/bin', '/var/tmp', '/run'):\n"
        "    print(attempt(os.open, folder + '/greenroom-probe', os.O_CREAT | os.O_WRONLY))\n",
        frozenset({"EROFS"}),
    ),
    Probe(
        "bytes in files",
        "write more than the workspace, /tmp, home and /dev/shm hold",
        "for folder in ('.', '/tmp', os.path.expanduser('~'), '/dev/shm'):\n"
        "    path = folder + '/greenroom-probe'\n"
        "    with open(path, 'wb', buffering=0) as it:\n"
        "        print(attempt(lambda: [it.write(bytes(1 << 20)) for _ in range(17)]))\n"
        "    os.remove(path)\n",
        frozenset({"ENOSPC"}),
    ),
    Probe(
        "number of files",
        "make more files than the workspace may have",
        "def make():\n"
        "    for n in range(5000): os.close(os.open(f'probe-{n}', os.O_CREAT))\n"
        "print(attempt(make))\n",
        frozenset({"ENOSPC"}),
    ),
    Probe(
        "processes",
        "start more than there may be",
        "def start():\n"
        "    for _ in range(80):\n"
        "        if os.fork() == 0: time.sleep(5); os._exit(0)\n"
        "print(attempt(start))\n",
        frozenset({"EAGAIN"}),
        advice=_LIMITS,
    ),
    Probe(
        "memory",
        "use twice as much",
        "import mmap\n"
        "m = mmap.mmap(-1, 512 << 20)\n"
        "for n in range(0, len(m), 4096): m[n] = 1\n"
        "print('worked')\n",
        frozenset(),
        reason="memory",
        advice=_LIMITS,
    ),
    Probe(
        "processor time",
        "use a whole core where half a one is allowed",
        "began, used = time.monotonic(), time.process_time()\n"
        "while time.monotonic() - began < 0.8: pass\n"
        "share = (time.process_time() - used) / (time.monotonic() - began)\n"
        "print('half' if share < 0.75 else f'{share:.0%}')\n",
        frozenset({"half"}),
        advice=_LIMITS,
    ),
)


async def check_controls(image: Image, engine: Engine, scratch: Path) -> list[Control]:
    """Try every control in a sandbox of `image`. `scratch` is an empty folder to work in.

    Raises what `Sandbox.open` raises.
    """
    store = TreeStore.create(scratch / "trees.git")
    base = Base(store, store.add_tree([("probe.txt", 0o100644, b"")]))
    found = []
    async with Sandbox.open(image, base, POLICY, resettable=True, engine=engine) as box:
        for probe in PROBES:
            result = await box.run(probe.command, timeout=30)
            words = result.output.text.split()
            holds = probe.holds(words, result.reason)
            found.append(
                Control(probe.name, probe.tried, holds, _seen(words, result), probe.advice)
            )
            await box.reset()
        found.append(await _time(box))
    return found


async def _time(box: Sandbox) -> Control:
    """A command that is over its time, with a daemon that has left its session."""
    result = await box.run("setsid sleep 300 & sleep 300", timeout=0.5)
    left = (await box.run(["pgrep", "-c", "sleep"])).output.text.split()
    return Control(
        "time",
        "go on after the time is up, leave a daemon",
        result.reason == "timeout" and left == ["0"],
        f"{_seen([], result)}; left: {' '.join(left)}",
        _NOT_TO_BE_TRUSTED,
    )


def _seen(words: Sequence[str], result: CommandResult) -> str:
    """What came of a try, in a few words."""
    said = " ".join(dict.fromkeys(words))[-200:]
    ended = "" if result.reason == "exit" else f"ended by {result.reason}"
    return "; ".join(part for part in (said, ended) if part)
