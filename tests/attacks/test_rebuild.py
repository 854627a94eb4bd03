"""Attacks from the rebuild step, which runs code of the patch before the tests. Each mends nothing,
and is solved and proved where the step runs in the room of the tests. That each is an attack at all
is seen of one of a kind in every run, of all of them with --nightly."""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from sandbox.container import CommandResult, Sandbox
from sandbox.delta import BaseIndex
from sandbox.image import Image
from sandbox.patch import Patch
from sandbox.policy import Policy
from sandbox.rebuild import Rebuild
from sandbox.supervisor.commands import EVENTS_FD
from tasks import rebuilding
from tasks import verify as verifying
from tasks.products import ProductRules
from tasks.rooms import Rooms
from tasks.task import Verdict
from tests.tasks.judging import ADD, CALC, Judge, judging

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

PYTEST = "python3 -m pytest -q"
HERE = f"PYTHONPATH=. {PYTEST}"
STEP = "python3 -c 'import calc'"
STILL_FAILS = f"{ADD} has to pass and fails: assert -1 == 3."
EASY = "def test_add(): pass\ndef test_zero(): pass\ndef test_twice(): pass\n"
ALL_PASS = "import _pytest.python\n_pytest.python.Function.runtest = lambda self: None\n"
REWRITE = f"import pathlib; pathlib.Path('/workspace/tests/test_calc.py').write_text({EASY!r})\n"


@pytest.fixture
def judge(image: Image, tmp_path: Path) -> Judge:
    return judging(image, tmp_path)


async def attacked(
    judge: Judge,
    code: str,
    command: str = PYTEST,
    *,
    step: str = STEP,
    policy: Policy | None = None,
) -> Verdict:
    """The verdict on a patch that mends nothing and whose code attacks from the rebuild step."""
    return await judge(
        CALC,
        {"calc.py": sly(code)},
        expected=(ADD,),
        rebuild=Rebuild(step),
        test_command=command,
        policy=policy,
    )


def sly(code: str) -> str:
    """The broken module, which runs code where no test imports it."""
    lines = "".join(f"    {line}\n" for line in code.splitlines())
    return (
        f"{CALC['calc.py']}import os, shutil, site, sys\nif 'pytest' not in sys.modules:\n{lines}"
    )


def without_twins(patch: pytest.MonkeyPatch) -> None:
    """Take away what would find a forgery whichever way it came in."""

    async def nothing(*_: object) -> None:
        """No test is asked again."""

    patch.setattr(verifying, "ask", nothing)
    patch.setattr(verifying, "reasons_to_suspect", lambda *_: ())


def in_one_room(patch: pytest.MonkeyPatch) -> None:
    """Take the room of its own away: the step runs where the tests run."""
    without_twins(patch)
    apply = Sandbox.apply

    async def nothing(rooms: Rooms, changes: Patch) -> None:
        """There is no other room to build in."""

    async def rebuilding(box: Sandbox, changes: Patch, **_: object) -> CommandResult | None:
        return await apply(box, changes)

    patch.setattr(Rooms, "_rebuilt", nothing)
    patch.setattr(Sandbox, "apply", rebuilding)


def without_rules(patch: pytest.MonkeyPatch) -> None:
    """Take the rules for products away: all that the step made is carried over."""
    without_twins(patch)
    patch.setattr(ProductRules, "holds_back", lambda *_: False)
    patch.setattr(BaseIndex, "by_product", lambda *_: False)


def written(files: Mapping[str, str]) -> str:
    """Code that writes files of the workspace."""
    made = "def make(path, text):\n    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)\n"
    writes = "".join(f"make({path!r}, {text!r})\n" for path, text in files.items())
    return f"{made}    open(path, 'w').write(text)\n{writes}"


def each(names: Mapping[str, object], always: str) -> list[object]:
    """All of them, of which one is for every run and the others are for --nightly."""
    nightly = pytest.mark.nightly
    return [pytest.param(name, marks=() if name == always else nightly) for name in names]


# By what is attacked: the files that the step writes, and the command of the tests.
IN_THE_WORKSPACE: Mapping[str, tuple[Mapping[str, str], str]] = {
    "tests/test_calc.py": ({"tests/test_calc.py": EASY}, PYTEST),
    "conftest.py": ({"conftest.py": ALL_PASS}, PYTEST),
    "tests/conftest.py": ({"tests/conftest.py": ALL_PASS}, PYTEST),
    "pytest.ini": ({"pytest.ini": "[pytest]\naddopts = -p evil\n", "evil.py": ALL_PASS}, PYTEST),
    "sitecustomize.py": ({"sitecustomize.py": ALL_PASS}, HERE),
    "pytest.py": (
        {
            "pytest.py": "import sys\nhere = sys.path.pop(0)\nsys.modules.pop('pytest', 0)\n"
            f"{ALL_PASS}import pytest\nsys.path.insert(0, here)\n"
            "if __name__ == '__main__': sys.exit(pytest.console_main())\n"
        },
        PYTEST,
    ),
    # What runs the tests puts the current folder before that of the harness.
    "greenroom_pytest.py": (
        {
            "greenroom_pytest.py": f"{ALL_PASS}exec(open('/run/greenroom/greenroom_pytest.py')"
            ".read())\n"
        },
        PYTEST,
    ),
}
ENTRY_POINT = {
    "calc.egg-info/entry_points.txt": "[pytest11]\nevil = evil\n",
    "calc.egg-info/PKG-INFO": "Metadata-Version: 2.1\nName: calc\nVersion: 1\n",
    "evil.py": ALL_PASS,
}


@pytest.mark.parametrize("path", IN_THE_WORKSPACE)
async def test_a_file_that_the_rebuild_step_plants_is_not_carried_over(
    path: str, judge: Judge
) -> None:
    files, command = IN_THE_WORKSPACE[path]
    verdict = await attacked(judge, written(files), command)
    assert verdict.reasons[0] == STILL_FAILS
    assert f"were not used: {path}" in verdict.reasons[-1]


@pytest.mark.parametrize("path", each(IN_THE_WORKSPACE, "conftest.py"))
async def test_a_file_that_is_carried_over_is_a_forgery(
    path: str, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, command = IN_THE_WORKSPACE[path]
    without_rules(monkeypatch)
    assert (await attacked(judge, written(files), command)).grade == "proved"


async def test_an_entry_point_that_the_rebuild_step_makes_is_not_carried_over(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = await attacked(judge, written(ENTRY_POINT))
    assert verdict.reasons == (STILL_FAILS,)
    without_rules(monkeypatch)
    assert (await attacked(judge, written(ENTRY_POINT))).grade == "proved"


VENV = ".venv/lib/python3.11/site-packages"
IN_AN_ENVIRONMENT = {
    "its python": (
        f"open('easy.py', 'w').write({REWRITE!r})\n"
        "lines = '#!/bin/sh', '/usr/bin/python3 easy.py', 'exec /usr/bin/python3 \"$@\"'\n"
        "os.remove('.venv/bin/python')\n"
        "open('.venv/bin/python', 'w').write('\\n'.join(lines))\n"
        "os.chmod('.venv/bin/python', 0o755)\n"
    ),
    "a file of paths": written({f"{VENV}/x.pth": REWRITE}),
    "a plugin": written(
        {
            f"{VENV}/evil-1.dist-info/entry_points.txt": "[pytest11]\nevil = evil\n",
            f"{VENV}/evil-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: evil\nVersion: 1\n",
            f"{VENV}/evil.py": ALL_PASS,
        }
    ),
    "a module that is always imported": written({f"{VENV}/usercustomize.py": ALL_PASS}),
    "a module of the project's name": written(
        {f"{VENV}/calc/__init__.py": ALL_PASS, f"{VENV}/calc.pth": REWRITE}
    ),
}


MAKE = "python3 -m venv --without-pip --system-site-packages .venv"


async def attacked_there(judge: Judge, what: str) -> Verdict:
    """As `attacked`, where the step makes a virtual environment that the tests run in."""
    command = ".venv/bin/python -m pytest -q"
    return await attacked(judge, IN_AN_ENVIRONMENT[what], command, step=f"{MAKE} && {STEP}")


@pytest.mark.parametrize("what", IN_AN_ENVIRONMENT)
async def test_an_environment_in_the_workspace_stays_the_base_s(what: str, judge: Judge) -> None:
    assert (await attacked_there(judge, what)).reasons[0] == STILL_FAILS


@pytest.mark.parametrize("what", each(IN_AN_ENVIRONMENT, "a file of paths"))
async def test_an_environment_of_the_patch_is_a_forgery(
    what: str, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one_room(monkeypatch)
    assert (await attacked_there(judge, what)).grade == "proved"


ELSEWHERE = {
    "a test": written({"tests/test_calc.py": EASY}),
    "usercustomize": f"""
folder = site.getusersitepackages()
os.makedirs(folder)
open(folder + '/usercustomize.py', 'w').write({ALL_PASS!r})
""",
    "a file of paths": f"""
folder = site.getusersitepackages()
os.makedirs(folder)
open(folder + '/easy.pth', 'w').write({REWRITE!r})
""",
    "a program": f"""
folder = os.path.expanduser('~/.local/bin')
os.makedirs(folder)
open(folder + '/easy.py', 'w').write({REWRITE!r})
lines = '#!/bin/sh', '/usr/bin/python3 ~/.local/bin/easy.py', 'exec /usr/bin/python3 "$@"'
open(folder + '/python3', 'w').write('\\n'.join(lines))
os.chmod(folder + '/python3', 0o755)
""",
    "a link in the place of a folder": f"""
os.mkdir('/tmp/easy')
open('/tmp/easy/test_calc.py', 'w').write({EASY!r})
shutil.rmtree('tests')
os.symlink('/tmp/easy', 'tests')
""",
    "a link in the place of a test": f"""
open('/tmp/easy.py', 'w').write({EASY!r})
os.remove('tests/test_calc.py')
os.symlink('/tmp/easy.py', 'tests/test_calc.py')
""",
    "another folder in the place of one": f"""
shutil.rmtree('tests')
os.mkdir('tests')
open('tests/test_calc.py', 'w').write({EASY!r})
""",
    "bytecode of a test": f"""
import importlib.metadata, marshal
state = os.stat('tests/test_calc.py')
head = [0, int(state.st_mtime), state.st_size]
head = b''.join(part.to_bytes(4, 'little') for part in head)
version = importlib.metadata.version('pytest')
name = f'test_calc.{{sys.implementation.cache_tag}}-pytest-{{version}}.pyc'
os.makedirs('tests/__pycache__', exist_ok=True)
code = marshal.dumps(compile({EASY!r}, '/workspace/tests/test_calc.py', 'exec'))
import importlib.util
open('tests/__pycache__/' + name, 'wb').write(importlib.util.MAGIC_NUMBER + head + code)
""",
}


@pytest.mark.parametrize("how", ELSEWHERE)
async def test_what_the_rebuild_step_leaves_is_not_in_the_room_of_the_tests(
    how: str, judge: Judge
) -> None:
    verdict = await attacked(judge, ELSEWHERE[how])
    assert verdict.reasons[0] == STILL_FAILS


@pytest.mark.parametrize("how", each(ELSEWHERE, "a program"))
async def test_what_is_left_in_the_room_of_the_tests_is_a_forgery(
    how: str, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one_room(monkeypatch)
    assert (await attacked(judge, ELSEWHERE[how])).grade == "proved"


DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    for fd in (0, 1, 2): os.close(fd)
    import time
    while True:
        time.sleep(0.5)
        open('easy', 'w').write('def test_add(): pass\\n')
        os.replace('easy', 'tests/test_calc.py')
"""


@pytest.mark.parametrize("background", [0, 4])
async def test_a_daemon_left_by_the_rebuild_does_not_see_the_tests(
    background: int, judge: Judge, box: Sandbox
) -> None:
    verdict = await attacked(judge, DAEMON, policy=Policy(background=background))
    assert verdict.reasons == (STILL_FAILS,)
    # In one command with the tests, it is alive when they run.
    for path, text in {**CALC, "calc.py": sly(DAEMON)}.items():
        await box.write(path, text.encode())
    assert (await box.run(f"{STEP}; sleep 1; {PYTEST}", timeout=60)).ok


NAMES = """
for n in range(90_000):
    folder = f'{n // 5000}{200 * "x"}'
    if n % 5000 == 0: os.mkdir(folder)
    open(f'{folder}/{n}{200 * "x"}', 'w').close()
"""


async def test_names_without_number_from_the_rebuild_step_are_a_refusal(judge: Judge) -> None:
    verdict = await attacked(judge, NAMES)
    assert verdict.status == "invalid patch"
    assert "made cannot be listed" in verdict.reasons[0]


REPORT = """
import json
lines = ''.join(
    json.dumps(dict(e=kind, s=1, id='tests/test_calc.py::test_add', outcome='passed')) + '\\n'
    for kind in ('start', 'result', 'end')
)
for fd in range(3, 1100):
    try: os.write(fd, lines.encode())
    except OSError: pass
for name in os.listdir('/run/greenroom'):
    for change in (lambda p: open(p, 'w'), os.remove, lambda p: os.chmod(p, 0o777)):
        try: change('/run/greenroom/' + name); print('changed', name)
        except OSError: pass
"""


async def test_the_rebuild_step_reaches_neither_the_reports_nor_what_makes_them(
    judge: Judge, box: Sandbox
) -> None:
    verdict = await attacked(judge, REPORT)
    assert verdict.reasons == (STILL_FAILS,)
    assert verdict.report is not None
    assert len(verdict.report.results) == 3
    # A command that is to report has a descriptor for it; the step is none.
    script = f"import os\n{REPORT}"
    with_channel = await box.run(["python3", "-c", script], events_limit=1000)
    assert b"passed" in with_channel.events
    assert "changed" not in with_channel.output.text


async def test_what_a_room_says_it_has_installed_is_looked_at(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(
        json.dumps([path, base64.b64encode(ALL_PASS.encode()).decode()]) + "\n"
        for path in ("lib/python3.11/site-packages/usercustomize.py", "../../workspace/x.py")
    )
    program = f"#!/usr/bin/python3\nimport os\nos.write({EVENTS_FD}, {lines!r}.encode())\n"
    code = f"""
folder = os.path.expanduser('~/.local/bin')
os.makedirs(folder)
open(folder + '/python3', 'w').write({program!r})
os.chmod(folder + '/python3', 0o755)
"""
    verdict = await attacked(judge, code)
    assert verdict.reasons == (STILL_FAILS,)
    without_twins(monkeypatch)
    monkeypatch.setattr(ProductRules, "belongs_to_the_project", lambda *_: True)
    monkeypatch.setattr(rebuilding, "_USER_SITE", re.compile("lib/"))
    monkeypatch.setattr(rebuilding, "_PUT", rebuilding._PUT.replace("os.path.exists(module)", "1"))
    assert (await attacked(judge, code)).grade == "proved"
