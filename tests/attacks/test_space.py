"""Attacks that fill what there is to write on, and the read-only rest."""

import pytest

from sandbox.container import FileProblem, Sandbox
from sandbox.errors import PatchError
from tests.attacks.conftest import Attack, Without
from tests.attacks.controls import Config, Control, attack_in, verdicts

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def test_a_full_memory_file_system_is_full_and_no_more(
    box: Sandbox, without: Without
) -> None:
    fill = (
        "for d in . /tmp ~ /dev/shm; do dd if=/dev/zero of=$d/fill bs=1M count=100 2>&1"
        " | grep -c 'No space left'; rm $d/fill; done"
    )
    assert (await box.run(fill)).output.text == "1\n1\n1\n1\n"
    assert (await box.run("echo still working")).ok
    bare = await without("sized file systems")
    assert (await bare.run(fill)).output.text == "0\n0\n0\n0\n"


COUNT = """
def make(folder):
    for n in range(25000): os.close(os.open(f'{folder}/f{n}', os.O_CREAT))
for folder in ('.', '/tmp', os.path.expanduser('~'), '/dev/shm'):
    print(folder, attempt(make, folder))
"""


async def test_small_files_end_at_the_count_of_files(attack: Attack, without: Without) -> None:
    # Each takes memory of the kernel's that no size of a file system counts, and that stays.
    assert set(verdicts(await attack(COUNT)).values()) == {"ENOSPC"}
    bare = verdicts(await attack_in(await without("sized file systems"), COUNT))
    assert set(bare.values()) == {"worked"}

    def docker_s_own_shm(config: Config) -> None:
        del config["HostConfig"]["Tmpfs"]["/dev/shm"]

    bare = verdicts(await attack_in(await without(Control(docker_s_own_shm)), COUNT))
    assert bare.pop("/dev/shm") == "worked"
    assert set(bare.values()) == {"ENOSPC"}


async def test_links_to_one_file_end_at_the_count_of_files(
    attack: Attack, without: Without
) -> None:
    script = (
        "def make():\n"
        "    for n in range(25000): os.link('kept.txt', f'f{n}')\n"
        "print('links', attempt(make))\n"
    )
    assert verdicts(await attack(script)) == {"links": "ENOSPC"}
    bare = await attack_in(await without("sized file systems"), script)
    assert verdicts(bare) == {"links": "worked"}


async def test_attributes_of_files_end_with_the_files(attack: Attack, without: Without) -> None:
    script = (
        "def make():\n"
        "    for n in range(600): os.setxattr('kept.txt', f'user.{n}', bytes(60000))\n"
        "print('attributes', attempt(make))\n"
    )
    found = verdicts(await attack(script))["attributes"]
    assert found in ("ENOSPC", "EOPNOTSUPP")  # before Linux 6.6 there are none
    if found == "ENOSPC":
        bare = await attack_in(await without("sized file systems"), script)
        assert verdicts(bare) == {"attributes": "worked"}


async def test_a_sparse_file_ends_at_the_file_size(box: Sandbox, without: Without) -> None:
    sparse = "truncate -s 1T huge; stat -c %s huge"
    assert "File size limit exceeded" in (await box.run(sparse)).output.text
    bare = await without("limits of a process")
    assert (await bare.run(sparse)).output.text == f"{1 << 40}\n"


async def test_open_files_end_at_their_limit(attack: Attack, without: Without) -> None:
    script = "print('open', attempt(lambda: [os.open('/', os.O_RDONLY) for _ in range(5000)]))\n"
    assert verdicts(await attack(script)) == {"open": "EMFILE"}
    bare = await attack_in(await without("limits of a process"), script)
    assert verdicts(bare) == {"open": "worked"}


async def test_the_root_is_read_only(box: Sandbox, without: Without) -> None:
    touch = (
        "for p in /x /etc/x /usr/bin/x /var/tmp/x /run/x /dev/x /proc/x /sys/x; do"
        " touch $p 2>/dev/null && echo $p; done"
    )
    assert (await box.run(touch)).output.text == ""
    assert "Read-only" in (await box.run("touch /var/tmp/x")).output.text
    assert "/var/tmp/x" in (await (await without("read-only root")).run(touch)).output.text


async def test_with_nothing_left_the_supervisor_still_answers(box: Sandbox) -> None:
    fill = (
        "def all_of(folder):\n"
        "    with open(folder + '/kept.txt', 'wb', 0) as it:\n"
        "        while it.write(bytes(1 << 20)): pass\n"
        "for folder in ('.', '/tmp', os.path.expanduser('~'), '/dev/shm'):\n"
        "    attempt(all_of, folder); attempt(make, folder)\n"
    )
    assert (await attack_in(box, COUNT + fill)).ok
    # That nothing is left is seen by what it says.
    with pytest.raises(FileProblem, match="No space left"):
        await box.write("new/file", b"x")
    with pytest.raises(FileProblem, match="No space left"):
        await box.write("kept.txt", bytes(64 << 20))
    with pytest.raises(PatchError, match="files"):
        await box.delta()
    assert (await box.list(limit=10)).truncated
    assert (await box.run("true")).ok
