"""Attacks that look for a way out of the sandbox, or into another one, through sockets."""

from collections.abc import Iterator

import pytest

from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.trees import Base
from tests.attacks.conftest import Attack, Plainly, Without
from tests.attacks.controls import (
    POLICY,
    Config,
    Control,
    attack_in,
    meanwhile,
    setting,
    verdicts,
)

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

REACH = (
    "socket.setdefaulttimeout(2)\n"
    "def reach(family, kind, place):\n"
    "    with socket.socket(family, kind) as s: s.connect(place)\n"
    "four, six, tcp, udp = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM\n"
    "print('interfaces', ','.join(name for _, name in socket.if_nameindex()))\n"
)


@pytest.fixture
def network(engine: Engine) -> Iterator[tuple[str, str]]:
    """A network of the engine that leads to this machine and no further: its id and gateway."""
    made = engine.api.create_network("greenroom-attacks", driver="bridge", internal=True)["Id"]
    try:
        yield made, engine.api.inspect_network(made)["IPAM"]["Config"][0]["Gateway"]
    finally:
        engine.api.remove_network(made)


async def test_there_is_no_way_to_any_network(attack: Attack) -> None:
    result = await attack(
        REACH + "for place in ('8.8.8.8', '172.17.0.1', '169.254.169.254', '192.168.0.1'):\n"
        "    print(place, attempt(reach, four, tcp, (place, 53)))\n"
        "    print(place + '/udp', attempt(reach, four, udp, (place, 53)))\n"
        "print('v6', attempt(reach, six, tcp, ('2001:4860:4860::8888', 53)))\n"
        "try: socket.getaddrinfo('example.com', 80); print('name worked')\n"
        "except socket.gaierror as error: print('name', 'refused')\n"
    )
    found = verdicts(result)
    assert found.pop("interfaces") == "lo"
    assert found.pop("name") == "refused"
    assert set(found.values()) <= {"ENETUNREACH", "EADDRNOTAVAIL"}


async def test_even_an_internal_network_would_lead_to_the_host(
    network: tuple[str, str], without: Without
) -> None:
    # The same attempt where the sandbox has a network that is said to lead nowhere.
    ident, gateway = network
    box = await without(setting(NetworkMode=ident))
    result = await attack_in(
        box, f"{REACH}print('udp', attempt(reach, four, udp, ('{gateway}', 53)))"
    )
    found = verdicts(result)
    assert "eth0" in found["interfaces"]
    assert found["udp"] == "worked"


async def test_loopback_works(attack: Attack) -> None:
    result = await attack(
        "for family, place in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1')):\n"
        "    with socket.create_server((place, 0), family=family) as server:\n"
        "        client = socket.create_connection(server.getsockname()[:2])\n"
        "        print(family.name, 'fine')\n"
    )
    assert "AF_INET fine" in result.output.text


async def test_other_families_and_protocols_cannot_be_opened(
    attack: Attack, without: Without
) -> None:
    script = (
        "tries = dict(vsock=(40, 1, 0), alg=(38, 5, 0), packet=(17, 3, 0), packet_dgram=(17, 2, 0),"
        " raw=(2, 3, 1), raw6=(10, 3, 58), ping=(2, 2, 1), mptcp=(2, 1, 262), sctp=(2, 1, 132),"
        " udplite=(2, 2, 136), dccp=(2, 6, 33), audit=(16, 3, 9), connector=(16, 3, 11),"
        " netfilter=(16, 3, 12), uevent=(16, 3, 15), generic=(16, 3, 16), xfrm=(16, 3, 6),"
        " can=(29, 3, 1), bluetooth=(31, 3, 0), tipc=(30, 5, 0), rds=(21, 5, 0), kcm=(41, 2, 0),"
        " smc=(43, 1, 0), xdp=(44, 3, 0), high=(2 + (1 << 32), 1, 0), seqpacket=(2, 5, 0))\n"
        "number = 198 if arm else 41\n"
        "for name, values in tries.items(): print(name, call(number, *values))\n"
        "for name, values in dict(inet=(2, 1, 0), inet6=(10, 2, 17), unix=(1, 5, 0),"
        " route=(16, 3, 0), cloexec=(2, 1 | 0o2000000 | 0o4000, 6)).items():\n"
        "    print('ok-' + name, call(number, *values))\n"
    )
    found = verdicts(await attack(script))
    allowed = {name: found.pop(name) for name in list(found) if name.startswith("ok-")}
    assert set(allowed.values()) == {"worked"}
    assert set(found.values()) == {"EPERM"}
    open_ = verdicts(await attack_in(await without("seccomp"), script))
    assert {open_[name] for name in ("audit", "uevent", "generic", "high")} == {"worked"}


async def test_the_loopback_device_cannot_be_changed(attack: Attack, plainly: Plainly) -> None:
    script = (
        "import fcntl\n"
        "s = socket.socket()\n"
        "down = struct.pack('16sh14x', b'lo', 0)\n"
        "print('down', attempt(fcntl.ioctl, s, 0x8914, down))\n"
        "address = struct.pack('16sHH4s8x', b'lo', 2, 0, socket.inet_aton('10.0.0.1'))\n"
        "print('address', attempt(fcntl.ioctl, s, 0x8916, address))\n"
    )
    assert set(verdicts(await attack(script)).values()) == {"EPERM"}
    assert plainly(script, CapAdd=["NET_ADMIN"]).split()[1::2] == ["worked", "worked"]


# -- from one sandbox to another ----------------------------------------------------------------


async def test_a_socket_of_one_sandbox_cannot_be_reached_from_another(
    box: Sandbox, image: Image, base: Base, without: Without
) -> None:
    listen = (
        "names = socket.socket(socket.AF_UNIX); names.bind('\\0door'); names.listen()\n"
        "port = socket.create_server(('127.0.0.1', 4567))\n"
        "ready()\n"
    )
    knock = (
        "names = socket.socket(socket.AF_UNIX)\n"
        "print('name', attempt(names.connect, '\\0door'))\n"
        "print('port', attempt(socket.create_connection, ('127.0.0.1', 4567)))\n"
    )

    def share_network(config: Config) -> None:
        host = config["HostConfig"]
        host["NetworkMode"] = f"container:{box.container_id}"
        for name in ("ExtraHosts", "Dns", "DnsSearch"):
            del host[name]
        del config["Hostname"]

    async with meanwhile(box, listen), Sandbox.open(image, base, POLICY) as other:
        assert set(verdicts(await attack_in(other, knock)).values()) == {"ECONNREFUSED"}
        sharing = await without(Control(share_network))
        assert set(verdicts(await attack_in(sharing, knock)).values()) == {"worked"}


async def test_memory_of_one_sandbox_cannot_be_found_from_another(
    box: Sandbox, without: Without
) -> None:
    # A System V segment under a key that both know.
    number = "194 if arm else 29"
    hold = f"call({number}, 77, 4096, 0o1666); ready()\n"
    find = f"print('found', call({number}, 77, 4096, 0o666))\n"

    def of(mode: str) -> Control:
        def change(config: Config) -> None:
            config["HostConfig"] |= {"IpcMode": mode, "Sysctls": {}}
            del config["HostConfig"]["Tmpfs"]["/dev/shm"]

        return Control(change)

    giving = await without(of("shareable"))
    sharing = await without(of(f"container:{giving.container_id}"))
    async with meanwhile(giving, hold):
        assert verdicts(await attack_in(box, find)) == {"found": "ENOENT"}
        assert verdicts(await attack_in(sharing, find)) == {"found": "worked"}


async def test_two_sandboxes_do_not_share_what_the_kernel_counts_by_user(
    box: Sandbox, without: Without
) -> None:
    take = "while libc.inotify_init1(0) >= 0: pass\nready()\n"
    use = "print('inotify', 'worked' if libc.inotify_init1(0) >= 0 else 'EMFILE')\n"
    other, namesake = await without("an own uid"), await without("an own uid")
    async with meanwhile(other, take):
        assert verdicts(await attack_in(box, use)) == {"inotify": "worked"}
        assert verdicts(await attack_in(namesake, use)) == {"inotify": "EMFILE"}
