"""What must not be possible in a sandbox, each as a script that tries it.

Every probe is harmless where its control is missing: it goes a little beyond a small bound, or
calls the kernel with arguments that no call accepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.policy import MIB, Isolation, Policy

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
    "See that the engine can limit it: the kernel needs that controller, a rootless engine also "
    "cgroup v2 with the controllers delegated to it."
)
NOT_TO_BE_TRUSTED = (
    "Do not run code that you do not trust on this engine: update it, or choose another (docker "
    "context use NAME)."
)
#: What a try in Python may use: system calls by number, and a word for what came of each.
PRELUDE = """
import ctypes, errno, os, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
arm = os.uname().machine == "aarch64"

def call(number, *arguments):
    ctypes.set_errno(0)
    done = libc.syscall(ctypes.c_long(number), *[
        ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return "worked" if done >= 0 else errno.errorcode[ctypes.get_errno()]

def attempt(work, *arguments):
    try:
        work(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "worked"
"""


@dataclass(frozen=True)
class Probe:
    """A script that tries something and prints a word for each try; the control holds when there
    are words and all of them are in `wanted`, and the command ended for `reason`. gVisor's kernel
    also answers with `in_gvisor`; `without` says what holds instead where it has no such bound."""

    name: str
    tried: str
    script: str
    wanted: frozenset[str]
    reason: str = "exit"
    advice: str = NOT_TO_BE_TRUSTED
    in_gvisor: frozenset[str] = frozenset()
    without: str = ""

    @property
    def command(self) -> Sequence[str]:
        return ("python3", "-c", PRELUDE + self.script)

    def holds(
        self, words: Sequence[str], reason: str = "exit", isolation: Isolation = "container"
    ) -> bool:
        """Whether what a try printed, and how it ended, is what the control brings about."""
        answered = bool(words) or not self.wanted
        wanted = self.wanted | (self.in_gvisor if isolation == "gvisor" else frozenset())
        return reason == self.reason and answered and set(words) <= wanted


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
        in_gvisor=frozenset({"EHOSTUNREACH"}),
    ),
    Probe(
        "socket families",
        "open VSOCK, ALG, packet and raw sockets",
        "number = 198 if arm else 41\n"
        "for family, kind in ((40, 1), (38, 5), (17, 3), (2, 3), (16, 3)):\n"
        "    print(call(number, family, kind, 9 if family == 16 else 1 if family == 2 else 0))\n",
        frozenset({"EPERM"}),
        in_gvisor=frozenset({"EAFNOSUPPORT", "EPROTONOSUPPORT"}),
    ),
    Probe(
        "system calls",
        "mount, trace, bpf, keyrings, new namespaces, io_uring",
        "x86 = (165, 101, 321, 272, 308, 250, 323, 298, 304, 425)\n"
        "others = (40, 117, 280, 97, 268, 219, 282, 241, 265, 425)\n"
        "for number in others if arm else x86:\n"
        "    print(call(number, 0x1234567, 0, 0, 0, 0, 0))\n",
        frozenset({"EPERM", "ENOSYS"}),
        in_gvisor=frozenset(["ESRCH", "EINVAL", "ENOTSUP", "EACCES", "ENODEV", "EFAULT"]),
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
        in_gvisor=frozenset({"Seccomp=0"}),
    ),
    Probe(
        "host",
        "the engine's socket, devices, settings of the kernel",
        "for place in ('/var/run/docker.sock', '/run/docker.sock', '/run/podman/podman.sock'):\n"
        "    print('absent' if not os.path.exists(place) else place)\n"
        "print(attempt(os.mknod, 'disk', 0o60600, os.makedev(8, 0)).replace('worked', 'node'))\n"
        "for path in ('/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger'):\n"
        "    print(attempt(os.open, path, os.O_WRONLY))\n"
        "for folder, _, names in os.walk('/dev'):\n"
        "    for name in names:\n"
        "        mode = os.lstat(os.path.join(folder, name)).st_mode\n"
        "        if mode & 0o170000 == 0o060000: print(name)\n",
        frozenset({"absent", "ENOENT", "EPERM", "EACCES", "EROFS"}),
        in_gvisor=frozenset({"node"}),
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
        in_gvisor=frozenset({"EACCES"}),
    ),
    Probe(
        "bytes in files",
        "overfill the workspace, /tmp, home and /dev/shm",
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
        without="only memory bounds how many there are",
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
        without="only memory bounds how many there are",
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
        "have more than the half of a core that is allowed",
        "found = []\n"
        "for path in ('cpu/cpu.cfs_quota_us', 'cpu/cpu.cfs_period_us', 'cpu.max'):\n"
        "    try: found += open('/sys/fs/cgroup/' + path).read().split()\n"
        "    except OSError: pass\n"
        "bounded = len(found) == 2 and 'max' not in found and int(found[0]) > 0\n"
        "print('half' if bounded and int(found[0]) * 2 <= int(found[1]) else 'unbounded')\n",
        frozenset({"half"}),
        advice=_LIMITS,
        without="bounded from outside, which cannot be seen from inside",
    ),
    Probe(
        "per process",
        "open more files, write larger ones, dump core, lock memory",
        "import resource\n"
        f"wanted = dict(NOFILE={POLICY.open_files}, FSIZE={POLICY.file_bytes}, CORE=0, MEMLOCK=0,"
        " MSGQUEUE=0)\n"
        "for name, most in wanted.items():\n"
        "    limit = resource.getrlimit(getattr(resource, 'RLIMIT_' + name, 12))[1]\n"
        "    print('bounded' if 0 <= limit <= most else name)\n",
        frozenset({"bounded"}),
    ),
    Probe(
        "account",
        "share the uid of a user of this machine, have groups",
        "print('own' if os.getuid() >= 20000 and os.getuid() == os.getgid() else 'shared')\n"
        "print('none' if not os.getgroups() else 'groups')\n",
        frozenset({"own", "none"}),
    ),
    Probe(
        "mounts",
        "find a folder of the host",
        "known = ('/', '/workspace', '/tmp', '/home/sandbox', '/run/greenroom', '/proc', '/sys',\n"
        "    '/dev', '/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/run/.containerenv')\n"
        "for line in open('/proc/self/mountinfo'):\n"
        "    place = line.split()[4]\n"
        "    kernel = place.startswith(('/proc/', '/sys/', '/dev/'))\n"
        "    print('known' if place in known or kernel else place)\n",
        frozenset({"known"}),
    ),
    Probe(
        "masked files",
        "read what tells of the host's kernel",
        "for name in ('cmdline', 'kallsyms', 'interrupts', 'config.gz', 'keys', 'kcore'):\n"
        "    try: print('hidden' if not open('/proc/' + name, 'rb').read(1) else name)\n"
        "    except OSError: print('hidden')\n",
        frozenset({"hidden"}),
        in_gvisor=frozenset({"cmdline"}),  # of its own kernel
    ),
)
