"""What a rebuild step makes of a patch, in the room of its tests: real rooms, real builds."""

from pathlib import Path

import pytest

from sandbox.container import Sandbox
from sandbox.errors import PatchError
from sandbox.image import Image
from sandbox.patch import PatchLimits
from sandbox.policy import Policy
from sandbox.rebuild import Rebuild
from sandbox.trees import Base, TreeStore
from tasks import rebuilding, rooms
from tasks.products import Products
from tests.tasks.judging import ADD, CALC, FIX, Judge, judging

pytestmark = [pytest.mark.docker, pytest.mark.asyncio]

BROKEN, FIXED = CALC["calc.py"], FIX["calc.py"]
PYTEST = "python3 -m pytest -q"
SETUP = (
    "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
    "[project]\nname = 'calc'\nversion = '1'\n"
    "[tool.pytest.ini_options]\naddopts = '--import-mode=importlib'\n"
)
PIP = "python3 -m pip install --user --no-deps --no-build-isolation --no-index -q"
LAID_OUT = {
    "pyproject.toml": SETUP,
    "src/calc/__init__.py": BROKEN,
    "tests/test_calc.py": CALC["tests/test_calc.py"],
}


@pytest.fixture
def judge(image: Image, tmp_path: Path) -> Judge:
    return judging(image, tmp_path)


@pytest.mark.parametrize(
    "how", ["-e .", pytest.param("--force-reinstall .", marks=pytest.mark.nightly)]
)
async def test_the_project_installed_by_pip(how: str, judge: Judge) -> None:
    step = Rebuild(f"{PIP} {how}")
    fixed = {"src/calc/__init__.py": f"from calc.parts import *\n{FIXED}", "src/calc/parts.py": ""}
    verdict = await judge(LAID_OUT, fixed, expected=(ADD,), rebuild=step)
    assert verdict.grade == "proved"
    assert len(verdict.reasons) == 1


async def test_claims_on_what_is_installed_that_contradict_each_other_are_said_in_a_sentence(
    image: Image, tmp_path: Path
) -> None:
    store = TreeStore.create(tmp_path / "trees")
    site = "lib/python3.11/site-packages/calc"
    claims = Products(installed={f"{site}/a": b"", f"{site}/a/b.py": b""})
    async with Sandbox.open(image, Base(store, store.add_tree([])), Policy()) as box:
        await box.run(f"mkdir -p ~/.local/{site}")
        with pytest.raises(PatchError) as caught:
            await rebuilding.bring(box, claims)
    assert str(caught.value) == (
        "What the rebuild step installed cannot be used: "
        f"~/.local/{site}/a/b.py cannot be written: File exists"
    )


# A step that makes files of `calc.txt`, by where it makes them.
TABLE = "import pathlib\npathlib.Path('{}').write_text(open('calc.txt').read())\n"
MADE = {
    "a generated module": ("calc_made.py", "from calc_made import *"),
    "a folder of build products": (
        "build/calc_made.py",
        "exec(open('build/calc_made.py').read())",
    ),
    "a compiled module": (
        "calc_made.so",
        "from importlib.machinery import SourceFileLoader as L\n"
        "globals().update(vars(L('calc_made', 'calc_made.so').load_module()))",
    ),
}

# One that the base has and one that it has not; the others are nightly.
ALWAYS = (("a folder of build products", False), ("a compiled module", True))


@pytest.mark.parametrize(
    ("what", "tracked"),
    [
        pytest.param(what, tracked, marks=() if (what, tracked) in ALWAYS else pytest.mark.nightly)
        for what in MADE
        for tracked in (False, True)
    ],
)
async def test_what_is_made_of_the_patch_is_tested(what: str, tracked: bool, judge: Judge) -> None:
    path, use = MADE[what]
    files = CALC | {"calc.py": f"{use}\n", "calc.txt": BROKEN, "make.py": TABLE.format(path)}
    folder = path.rpartition("/")[0]
    step = Rebuild(f"mkdir -p ./{folder}; python3 make.py", inputs=("calc.txt",))
    files |= {path: BROKEN} if tracked else {}
    verdict = await judge(files, {"calc.txt": FIXED}, expected=(ADD,), rebuild=step)
    assert (verdict.grade, verdict.reasons[1:]) == ("proved", ()), verdict.reasons


async def test_a_new_module_is_made(judge: Judge) -> None:
    step = Rebuild("for f in *.txt; do cp $f ${f%.txt}_made.py; done", inputs=("*.txt",))
    files = CALC | {"calc.py": "from calc_made import *\n", "calc.txt": BROKEN}
    changes = {"calc.txt": "from other_made import *\n", "other.txt": FIXED}
    verdict = await judge(files, changes, expected=(ADD,), rebuild=step)
    assert (verdict.grade, verdict.reasons[1:]) == ("proved", ()), verdict.reasons


async def test_what_the_step_removes_is_gone(judge: Judge) -> None:
    step = Rebuild("rm -f old_*.py; cat *.txt > old_$(cat *.txt | wc -l).py")
    code = "import glob\nfor name in glob.glob('old_*.py'): exec(open(name).read())\n"
    files = CALC | {"calc.py": code, "calc.txt": BROKEN}
    verdict = await judge(files, {"calc.txt": FIXED + "\n" * 90}, expected=(ADD,), rebuild=step)
    assert (verdict.grade, verdict.reasons[1:]) == ("proved", ()), verdict.reasons


async def test_a_virtual_environment_in_the_workspace(judge: Judge) -> None:
    site = ".venv/lib/python3.11/site-packages"
    step = Rebuild(
        "python3 -m venv --without-pip --system-site-packages --clear .venv && "
        f"echo /workspace/src > {site}/calc.pth"
    )
    command = ".venv/bin/python -m pytest -q"
    fixed = {"src/calc/__init__.py": FIXED}
    verdict = await judge(LAID_OUT, fixed, expected=(ADD,), rebuild=step, test_command=command)
    assert (verdict.grade, verdict.reasons[1:]) == ("proved", ()), verdict.reasons


async def test_modules_of_node_stay_as_the_base_s_step_made_them(judge: Judge) -> None:
    step = Rebuild("mkdir -p node_modules/dep && cp calc.py node_modules/dep/index.js")
    command = f"grep -q 'a - b' node_modules/dep/index.js && {PYTEST}"
    verdict = await judge(CALC, FIX, expected=(ADD,), rebuild=step, test_command=command)
    assert verdict.grade == "proved"


async def test_the_step_runs_once_for_a_patch(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    async def counted(*given: object) -> object:
        built.append(given)
        return await rebuilding.build(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(rooms, "build", counted)
    step = Rebuild("true", inputs=("calc.py",))
    verdict = await judge(CALC, FIX, expected=(ADD,), rebuild=step, lint_command="true")
    assert verdict.grade == "proved"
    assert len(built) == 1
    await judge(CALC, {"README": "words"}, rebuild=step)
    assert len(built) == 1


async def test_products_too_large_are_said(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "LIMITS", PatchLimits(100, 1000, 1000))
    step = Rebuild("head -c $(grep -c '+ b' calc.py)k /dev/zero > big")
    verdict = await judge(CALC, FIX, expected=(ADD,), rebuild=step)
    assert verdict.status == "failed"
    assert verdict.reasons[0].startswith("What the rebuild step makes cannot be used: ")
    assert "too large" in verdict.reasons[0]


async def test_a_step_that_may_fail_on_the_patch(judge: Judge) -> None:
    step = Rebuild("cp calc.py made.py; ! grep -q '+ b' calc.py", optional=True)
    command = f"grep -q '+ b' made.py; test $? -lt 2 && {PYTEST}"
    verdict = await judge(CALC, FIX, expected=(ADD,), rebuild=step, test_command=command)
    assert verdict.grade == "proved"


async def test_a_test_that_the_step_makes_of_the_patch_proves_nothing(judge: Judge) -> None:
    step = Rebuild(
        "mkdir -p made/tests; for f in *.spec; do cp $f made/tests/test_${f%.spec}.py; done"
    )
    files = CALC | {"old.spec": "def test_old(): pass\n"}
    new = "def test_new(): pass\n"
    verdict = await judge(files, {"new.spec": new, "old.spec": new}, rebuild=step)
    assert verdict.grade == "regression-only"
    assert verdict.report is not None
    assert [id for id in verdict.report.results if "made" in id] == [
        "made/tests/test_old.py::test_old"
    ]
    assert "were not used: made/tests/test_new.py." in verdict.reasons[-1]
