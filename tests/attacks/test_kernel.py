"""Attacks on the kernel: system calls, namespaces, what the machine has one share of."""

from dataclasses import replace

import pytest

from sandbox.container import Sandbox
from sandbox.image import Image
from sandbox.trees import Base
from tests.attacks.conftest import Attack, Plainly, Without
from tests.attacks.controls import POLICY, attack_in, sandbox_without, verdicts

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def test_dangerous_system_calls_are_refused(attack: Attack, without: Without) -> None:
    script = (
        "x86 = dict(ptrace=101, mount=165, umount2=166, pivot_root=155, chroot=161, unshare=272,"
        " setns=308, bpf=321, perf_event_open=298, userfaultfd=323, kexec_load=246,"
        " kexec_file_load=320, init_module=175, finit_module=313, delete_module=176, add_key=248,"
        " request_key=249, keyctl=250, process_vm_readv=310, process_vm_writev=311,"
        " open_by_handle_at=304, fsopen=430, fsconfig=431, fsmount=432, fspick=433, open_tree=428,"
        " move_mount=429, mount_setattr=442, swapon=167, reboot=169, acct=163, settimeofday=164,"
        " clock_settime=227, iopl=172, ioperm=173, modify_ldt=154, syslog=103, quotactl=179,"
        " fanotify_init=300, kcmp=312, pidfd_getfd=438, memfd_secret=447, vhangup=153,"
        " personality=135, sethostname=170, name_to_handle_at=303, mbind=237, uselib=134)\n"
        "arm64 = dict(ptrace=117, mount=40, umount2=39, pivot_root=41, chroot=51, unshare=97,"
        " setns=268, bpf=280, perf_event_open=241, userfaultfd=282, kexec_load=104,"
        " init_module=105, finit_module=273, delete_module=106, add_key=217, request_key=218,"
        " keyctl=219, process_vm_readv=270, process_vm_writev=271, fsopen=430, fsconfig=431,"
        " fsmount=432, fspick=433, open_tree=428, move_mount=429, mount_setattr=442, reboot=142,"
        " acct=89, clock_settime=112, syslog=116, fanotify_init=262, kcmp=272, pidfd_getfd=438)\n"
        "for name, number in (arm64 if arm else x86).items():\n"
        "    print(name, call(number, 0x1234567, 0, 0, 0, 0, 0))\n"
        "for name, number in dict(setup=425, enter=426, register=427).items():\n"
        "    print('io_uring_' + name, call(number, 1, 0, 0, 0, 0, 0))\n"
    )
    found = verdicts(await attack(script))
    uring = {name: found.pop(name) for name in list(found) if name.startswith("io_uring")}
    assert set(uring.values()) == {"ENOSYS"}
    assert {name: said for name, said in found.items() if said != "EPERM"} == {}
    # Without privileges, the kernel itself refuses many of them; these it takes up.
    taken = verdicts(await attack_in(await without("seccomp"), script))
    for name in ("ptrace", "keyctl", "add_key", "process_vm_readv", "setns", "unshare", "kcmp"):
        assert taken[name] != "EPERM", name


async def test_no_new_namespace_by_any_clone(attack: Attack, without: Without) -> None:
    script = (
        "def clone(flags):\n"
        "    done = libc.syscall(220 if arm else 56, flags | 17, 0, 0, 0, 0)\n"
        "    if done == 0: os._exit(0)\n"
        "    return 'worked' if done > 0 else errno.errorcode[ctypes.get_errno()]\n"
        "flags = dict(ns=0x20000, cgroup=0x2000000, uts=0x4000000, ipc=0x8000000, user=0x10000000,"
        " pid=0x20000000, net=0x40000000)\n"
        "for name, flag in flags.items(): print(name, clone(flag), flush=True)\n"
        "print('unshare', call(97 if arm else 272, 0x10000000))\n"
        "print('clone3', call(435, ctypes.create_string_buffer(88), 88))\n"
    )
    found = verdicts(await attack(script))
    assert found.pop("clone3") == "ENOSYS"
    assert set(found.values()) == {"EPERM"}
    # A user namespace needs no privilege, and gives all of them inside.
    made = verdicts(await attack_in(await without("seccomp"), script))
    assert {made["user"], made["unshare"]} == {"worked"}


async def test_the_32_bit_system_calls_are_closed(box: Sandbox, without: Without) -> None:
    # int 0x80 would reach the calls of another architecture, which the profile does not name: here
    # getpid, as mov eax, 20; int 0x80; ret.
    script = (
        "import mmap\n"
        "if arm: sys.exit(0)\n"
        "code = b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3'\n"
        "page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        "page.write(code)\n"
        "place = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
        "print('worked' if ctypes.CFUNCTYPE(ctypes.c_long)(place)() > 0 else 'refused')\n"
    )
    result = await attack_in(box, script)
    assert (result.signal, result.output.text) in [
        (31, ""),
        (11, ""),
        (None, "refused\n"),
        (None, ""),
    ]
    bare = await attack_in(await without("seccomp"), script)
    if bare.signal is None:  # a kernel may have none of them
        assert bare.output.text in ("worked\n", "")


async def test_the_system_calls_of_x32_are_closed(box: Sandbox, without: Without) -> None:
    script = "print('arm' if arm else call(0x40000000 | 39))\n"
    result = await attack_in(box, script)
    assert (result.signal, result.output.text) in [(31, ""), (None, "arm\n")]
    # The kernel is asked there, and may have none of them.
    bare = await attack_in(await without("seccomp"), script)
    assert bare.output.text in ("worked\n", "ENOSYS\n", "arm\n")


async def test_the_machine_s_asynchronous_io_cannot_be_used_up(
    attack: Attack, without: Without
) -> None:
    # fs.aio-max-nr is one number for the whole machine.
    script = (
        "context = ctypes.c_ulong(0)\n"
        "print('setup', call(0 if arm else 206, 64, ctypes.byref(context)))\n"
    )
    assert verdicts(await attack(script)) == {"setup": "ENOSYS"}
    assert verdicts(await attack_in(await without("seccomp"), script)) == {"setup": "worked"}


async def test_the_machine_s_compiled_filters_cannot_be_used_up(
    attack: Attack, without: Without
) -> None:
    # net.core.bpf_jit_limit is one number for the whole machine, and what counts against it is in
    # no memory limit. When it is used up, no container's profile can be loaded any more.
    script = (
        "code = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000))\n"
        "program = struct.pack('HxxxxxxQ', 1, ctypes.addressof(code))\n"
        "kinds = dict(inet=socket.AF_INET, inet6=socket.AF_INET6, unix=socket.AF_UNIX)\n"
        "for name, kind in kinds.items():\n"
        "    each = socket.socket(kind, socket.SOCK_DGRAM)\n"
        "    print(name, attempt(each.setsockopt, socket.SOL_SOCKET, 26, program))\n"
        "    print(name + '-port', attempt(each.setsockopt, socket.SOL_SOCKET, 51, program))\n"
        "print('usual', attempt(each.setsockopt, socket.SOL_SOCKET, socket.SO_RCVBUF, 4096))\n"
        "high = 1 << 32\n"
        "number = 208 if arm else 54\n"
        "print('high', call(number, each.fileno(), 1, high | 26, program, 16))\n"
        "print('prctl', call(167 if arm else 157, 22, 2, program))\n"
        "print('high-prctl', call(167 if arm else 157, high | 22, 2, program))\n"
        "print('seccomp', call(277 if arm else 317, 1, 0, program))\n"
    )
    found = verdicts(await attack(script))
    assert found.pop("usual") == "worked"
    assert (found.pop("prctl"), found.pop("seccomp")) == ("EINVAL", "ENOSYS")
    assert set(found.values()) == {"EPERM"}
    bare = verdicts(await attack_in(await without("seccomp"), script))
    names = ("inet", "inet6", "unix", "high", "prctl", "high-prctl", "seccomp")
    assert {bare[name] for name in names} == {"worked"}


async def test_no_line_discipline_is_loaded_and_no_terminal_typed_into(
    attack: Attack, without: Without
) -> None:
    # The kernel loads a module for a line discipline that it does not have yet.
    script = (
        "import pty\n"
        "ours, theirs = pty.openpty()\n"
        "number, null = 29 if arm else 16, ctypes.create_string_buffer(struct.pack('i', 27))\n"
        "print('controls', call(number, theirs, 0x540E, 0))\n"
        "for high in (0, 1 << 32, 1 << 63):\n"
        "    print(f'type{high:x}', call(number, theirs, high | 0x5412, ctypes.c_char_p(b'x')))\n"
        "    print(f'size{high:x}', call(number, theirs, high | 0x5413, null))\n"
        "    print(f'set{high:x}', call(number, theirs, high | 0x5423, null))\n"
    )
    found = verdicts(await attack(script))
    assert {said for name, said in found.items() if name.startswith(("type", "set"))} == {"EPERM"}
    assert {said for name, said in found.items() if name.startswith(("size", "c"))} == {"worked"}
    bare = verdicts(await attack_in(await without("seccomp"), script))
    # Not every kernel has this one, and a setting may forbid to type.
    assert bare["set0"] in ("worked", "EINVAL")
    assert bare["set100000000"] in ("worked", "EINVAL")
    assert bare["type0"] in ("worked", "EIO")


async def test_the_machine_s_huge_pages_cannot_be_taken(attack: Attack, without: Without) -> None:
    # They come from a pool that no memory limit counts.
    script = (
        "huge, private, anonymous = 0x40000, 2, 0x20\n"
        "print('map', call(222 if arm else 9, 0, 2 << 20, 3, huge | private | anonymous, -1, 0))\n"
        "print('memfd', call(279 if arm else 319, ctypes.c_char_p(b'x'), 4))\n"
        "print('plain', call(279 if arm else 319, ctypes.c_char_p(b'x'), 0))\n"
    )
    assert verdicts(await attack(script)) == {"map": "EPERM", "memfd": "EPERM", "plain": "worked"}
    bare = verdicts(await attack_in(await without("seccomp"), script))
    assert bare["map"] in ("worked", "ENOMEM")  # as many as the machine has, mostly none
    assert bare["memfd"] in ("worked", "ENODEV", "ENOENT")


async def test_root_inside_cannot_take_the_machine_s_huge_pages(image: Image, base: Base) -> None:
    # As shared memory, the group of root needs no privilege for them.
    policy = replace(POLICY, preset="compat")
    script = (
        "number = 194 if arm else 29\n"
        "print('plain', call(number, 0, 4096, 0o1600))\n"
        "print('huge', call(number, 0, 2 << 20, 0o5600))\n"
    )
    async with Sandbox.open(image, base, policy) as box:
        assert verdicts(await attack_in(box, script)) == {"plain": "worked", "huge": "EPERM"}
    opening = sandbox_without("seccomp", image=image, base=base, policy=policy, resettable=False)
    async with opening as bare:
        assert verdicts(await attack_in(bare, script))["huge"] in ("worked", "ENOMEM")


async def test_no_command_can_put_itself_before_others(attack: Attack, plainly: Plainly) -> None:
    script = (
        "import resource\n"
        "print('nice', attempt(os.setpriority, os.PRIO_PROCESS, 0, -5))\n"
        "print('fifo', attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1)))\n"
        "print('disk', call(30 if arm else 251, 1, 0, 1 << 13))\n"
        "print('lock', call(228 if arm else 149, ctypes.create_string_buffer(1 << 20), 1 << 20))\n"
        "print('other', attempt(os.sched_setaffinity, 1, {0}))\n"
        "print('limit', attempt(resource.prlimit, 1, resource.RLIMIT_NOFILE, (64, 64)))\n"
        "try: print('raise', resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)))\n"
        "except ValueError: print('raise EPERM')\n"
    )
    found = verdicts(await attack(script))
    assert set(found.values()) <= {"EPERM", "EACCES", "ENOMEM"}
    said = plainly(script, CapAdd=["SYS_NICE"]).split()
    assert dict(zip(said[::2], said[1::2], strict=True))["nice"] == "worked"
