"""Whole file systems, honest and hostile, judged by the task's own verifier."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.image import Image, ensure_image
from sandbox.imagestore import list_images
from sandbox.trees import Base, TreeStore
from tasks.suites.harbor import open_suite
from tasks.system.judge import judge
from tasks.system.work import open_work, run_script
from tasks.task import Task, Verdict
from tests.tasks.harbor import made

pytestmark = pytest.mark.docker

HELLO = "echo hello > hello.txt"
SEEDED = "echo '{\"reward\": 1}' > /logs/verifier/reward.json; echo 1 > /logs/verifier/reward.txt"
FORGE = "echo 1 > /logs/verifier/reward.txt"
# Is run by the verifier, as a program that a test starts would be.
RUNS_WHAT_IS_THERE = "#!/bin/bash\n[ ! -x run ] || ./run\necho 0 > /logs/verifier/reward.txt\n"
IMPORTS = "import sys\n\nsys.path.insert(0, '/app')\n\n\ndef test_it():\n    import hello\n\n"
IMPORTS += "    assert hello.WORD == 'hello'\n"


@dataclass(frozen=True)
class Place:
    """Images of the two kinds of tasks, built once, and where more tasks are made on them."""

    image: str
    shared: Image
    verifier: Image


@pytest.fixture(scope="module")
def place(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("harbor")
    store = TreeStore.create(folder / "trees.git")
    made.task(folder / "apart", image.name, separate=True)
    apart = open_suite(str(folder / "apart")).load("apart", store)
    assert apart.verifier is not None
    assert apart.verifier.image is not None
    files = Base(store, apart.verifier.image_files)

    async def both() -> tuple[Image, Image]:
        assert apart.verifier is not None
        assert apart.verifier.image is not None
        return (
            await ensure_image(apart.image, checkout=apart.base),
            await ensure_image(apart.verifier.image, checkout=files),
        )

    shared, verifier = asyncio.run(both())
    return Place(image.name, shared, verifier)


class Judging:
    def __init__(self, place: Place, folder: Path) -> None:
        self._place = place
        self._folder = folder

    async def __call__(
        self,
        command: str,
        *,
        script: str = made.BARE,
        tests: str = made.TESTS,
        apart: bool = False,
        solved_first: bool = False,
    ) -> Verdict:
        """The verdict after a command has worked, as root, in the task's folder."""
        folder = made.task(
            self._folder / "t", self._place.image, separate=apart, script=script, tests=tests
        )
        store = TreeStore.create(self._folder / "trees.git")
        suite = open_suite(str(folder))
        task: Task = suite.load("t", store)
        async with open_work(task, self._place.shared, everywhere=solved_first) as work:
            if solved_first:
                solution = suite.script("t", store)
                assert solution is not None
                assert (await run_script(work, task, solution)).ok
            ran = await work.box.run(command, cwd=work.folder)
            assert ran.ok, ran.output.text
            own = self._place.verifier if apart else None
            return await judge(task, work, verifier_image=own)


@pytest.fixture
def judged(place: Place, tmp_path: Path) -> Judging:
    return Judging(place, tmp_path)


async def test_the_solution_is_worth_one_and_nothing_is_kept_of_it(judged: Judging) -> None:
    before = {image.reference for image in await asyncio.to_thread(list_images)}
    verdict = await judged("true", script=made.TEST_SCRIPT, solved_first=True)
    assert verdict.status == "solved", verdict.reasons
    assert verdict.rewards == {"reward": 1.0}
    handed = [
        image
        for image in await asyncio.to_thread(list_images)
        if image.what == "handed in" and image.reference not in before
    ]
    assert handed == []


@pytest.mark.nightly
async def test_a_verifier_apart_gets_the_artifacts(judged: Judging) -> None:
    verdict = await judged("true", apart=True, script=made.TEST_SCRIPT, solved_first=True)
    assert verdict.status == "solved", verdict.reasons


async def test_a_partial_reward_is_no_solution_and_is_recorded(judged: Judging) -> None:
    script = '#!/bin/bash\necho \'{"reward": 0.5, "style": 1}\' > /logs/verifier/reward.json\n'
    verdict = await judged(HELLO, script=script)
    assert verdict.status == "failed"
    assert verdict.rewards == {"reward": 0.5, "style": 1.0}
    assert verdict.report is not None
    assert verdict.report.failing == ("reward",)


@pytest.mark.nightly
async def test_a_verifier_that_gives_no_reward_solves_nothing(judged: Judging) -> None:
    verdict = await judged(SEEDED, script="#!/bin/bash\necho at work; exit 3\n")
    assert verdict.status == "failed"
    assert "wrote no reward" in verdict.reasons[0]
    assert "at work" in verdict.reasons[0]


#: What is done in the place of the work, and what the verdict is; none may be solved.
ATTACKS: Mapping[str, tuple[str, str]] = {
    "rewards and tests put there before, and a daemon that goes on": (
        f"mkdir -p /tests; echo '{FORGE}' > /tests/test.sh; chmod +x /tests/test.sh; {SEEDED};"
        f" (setsid nohup sh -c 'while :; do {FORGE}; sleep 0.05; done' > /dev/null 2>&1 &)",
        "failed",
    ),
    "a folder of rewards that leads elsewhere": (
        "rm -rf /logs; mkdir -p /srv/logs/verifier; ln -s /srv/logs /logs;"
        " echo 1 > /srv/logs/verifier/reward.txt",
        "failed",
    ),
    "tests that would hide what the supervisor runs from": (
        "rm -rf /tests;"
        " ln -s $(python3 -c 'import os; print(os.path.dirname(os.__file__))') /tests",
        "failed",
    ),
    "another shell": (
        f"printf '#!/bin/dash\\n{FORGE}\\n' > /usr/bin/bash.new; chmod +x /usr/bin/bash.new;"
        " mv /usr/bin/bash.new /usr/bin/bash",
        "suspect",
    ),
    "another Python, which the supervisor would be": (
        "printf '#!/bin/bash\\nexit 0\\n' > /usr/local/bin/python3;"
        " chmod +x /usr/local/bin/python3",
        "suspect",
    ),
    "a library for every program": ("echo /app/evil.so > /etc/ld.so.preload", "suspect"),
}


def _each(names: Mapping[str, object], nightly: tuple[str, ...]) -> list[object]:
    mark = pytest.mark.nightly
    return [pytest.param(n, marks=mark) if n in nightly else pytest.param(n) for n in names]


@pytest.mark.parametrize(
    "name",
    _each(
        ATTACKS,
        (
            "a folder of rewards that leads elsewhere",
            "tests that would hide what the supervisor runs from",
            "a library for every program",
        ),
    ),
)
async def test_a_container_that_was_prepared_is_not_solved(judged: Judging, name: str) -> None:
    command, status = ATTACKS[name]
    verdict = await judged(command)
    assert verdict.status == status, verdict.reasons


#: The same, where the verifier runs pytest.
FORGERIES: Mapping[str, str] = {
    "a pytest before the other": (
        "printf '#!/bin/sh\\nexit 0\\n' > /usr/local/bin/pytest; chmod +x /usr/local/bin/pytest"
    ),
    "code that ends the run": "echo 'import os; os._exit(0)' > hello.py",
}


@pytest.mark.parametrize("name", _each(FORGERIES, ("a pytest before the other",)))
async def test_a_run_of_pytest_that_is_forged_is_suspect(judged: Judging, name: str) -> None:
    verdict = await judged(FORGERIES[name], script=made.TEST_SCRIPT, tests=IMPORTS)
    assert verdict.status == "suspect", verdict.reasons


_SITE = "d=$(python3 -c 'import site; print(site.getsitepackages()[0])'); mkdir -p $d; "
PASSES = (
    "import pytest\\n@pytest.hookimpl(tryfirst=True)\\ndef pytest_pyfunc_call(): return True\\n"
)
POISONED = """python3 - <<'END'
import importlib.util, marshal, os, struct
import _pytest.python as target
source = open(target.__file__).read() + "\\nFunction.runtest = lambda self: None\\n"
cached, seen = importlib.util.cache_from_source(target.__file__), os.stat(target.__file__)
os.makedirs(os.path.dirname(cached), exist_ok=True)
head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(seen.st_mtime), seen.st_size)
open(cached, "wb").write(head + marshal.dumps(compile(source, target.__file__, "exec")))
END"""
#: Where the script chooses its tests, so that no second run with a test that fails is made.
UNSEEN: Mapping[str, tuple[str, str]] = {
    "bytecode of pytest's that is another one's": (POISONED, "failed"),
    "a plugin that an installed package brings": (
        f"{_SITE} mkdir -p $d/x.dist-info; printf '{PASSES}' > $d/x.py;"
        " printf '[pytest11]\\nx=x\\n' > $d/x.dist-info/entry_points.txt;"
        " printf 'Metadata-Version: 2.1\\nName: x\\nVersion: 1\\n' > $d/x.dist-info/METADATA",
        "suspect",
    ),
    "bytecode that runs when Python starts": (
        "d=$(python3 -m site --user-site); mkdir -p $d; cd $d;"
        " echo 'import os, sys; \"pytest\" in str(sys.orig_argv) and os._exit(0)' > /tmp/s.py;"
        ' python3 -c \'import py_compile; py_compile.compile("/tmp/s.py", "usercustomize.pyc")\'',
        "suspect",
    ),
}


@pytest.mark.parametrize("name", _each(UNSEEN, tuple(UNSEEN)[1:]))
async def test_without_a_test_that_fails_what_pytest_loads_is_looked_at(
    judged: Judging, name: str
) -> None:
    command, status = UNSEEN[name]
    script = made.TEST_SCRIPT.replace("outputs.py", "outputs.py::test_outputs")
    verdict = await judged(command, script=script)
    assert verdict.status == status, verdict.reasons


@pytest.mark.nightly
async def test_a_script_that_a_program_under_test_ends_is_suspect(judged: Judging) -> None:
    command = f"printf '#!/bin/sh\\n{FORGE}\\nkill -9 $PPID\\n' > run; chmod +x run"
    verdict = await judged(command, script=RUNS_WHAT_IS_THERE)
    assert verdict.status == "suspect", verdict.reasons
    assert "SIGKILL" in verdict.reasons[0]


async def test_a_reward_that_a_program_under_test_writes_beside_is_suspect(
    judged: Judging,
) -> None:
    command = (
        "printf '#!/bin/sh\\ncp ready.json /logs/verifier/reward.json\\n' > run; chmod +x run;"
        " echo '{\"reward\": 1}' > ready.json"
    )
    verdict = await judged(command, script=RUNS_WHAT_IS_THERE)
    assert verdict.status == "suspect", verdict.reasons
    assert "do not agree" in verdict.reasons[0]


async def test_an_artifact_that_leads_elsewhere_is_not_carried(judged: Judging) -> None:
    verdict = await judged("ln -s /tests/test_outputs.py hello.txt", apart=True)
    assert verdict.status == "failed", verdict.reasons


async def test_neither_tests_nor_solution_are_where_the_work_is_done(
    place: Place, tmp_path: Path
) -> None:
    folder = made.task(tmp_path / "t", place.image)
    task = open_suite(str(folder)).load("t", TreeStore.create(tmp_path / "trees.git"))
    async with open_work(task, place.shared) as work:
        look = await work.box.run("ls -d /tests /solution /workspace; pwd; echo $GREETING$EXPECTED")
    assert look.output.text.splitlines()[-2:] == ["/app", "hello"]
    assert look.output.text.count("No such file") == 3
