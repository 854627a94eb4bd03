import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from sandbox.image import Image
from sandbox.patch import FILE, Change, Patch
from sandbox.trees import TreeStore
from tasks.protection import violations
from tasks.suites import starter
from tasks.verify import verify

SOLVABLE = [name for name in starter.names() if starter.metadata(name).solvable]
IMPOSSIBLE = [name for name in starter.names() if name not in SOLVABLE]
# Of every task the tests run without a clean room; of these in one, too, of the others at night.
PROVED = SOLVABLE[::4]

RECORDER = """
import os

def pytest_runtest_logreport(report):
    if report.when == "call" or report.failed:
        with open(os.environ["OUTCOMES"], "a") as file:
            file.write(f"{report.outcome} {report.nodeid}\\n")
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TreeStore:
    return TreeStore.create(tmp_path_factory.mktemp("starter") / "store")


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorder")
    (folder / "recorder.py").write_text(RECORDER)
    return folder


def files(store: TreeStore, tree: str) -> dict[str, str]:
    entries = store.entries(tree)
    contents = store.read(entry.blob for entry in entries)
    return {e.path: c.decode() for e, c in zip(entries, contents, strict=True)}


def outcomes(sources: Mapping[str, str], folder: Path, recorder: Path) -> dict[str, str]:
    """Run the tests of these files in `folder`, by themselves, and give each test's outcome."""
    for path, text in sources.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    results = folder.with_name(f"{folder.name}-outcomes")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "recorder", "-p", "no:cacheprovider"],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(recorder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "OUTCOMES": str(results),
            "TZ": "America/New_York",  # no result may depend on the machine's zone
        },
        capture_output=True,
        timeout=60,
        check=False,
    )
    lines = results.read_text().splitlines()
    return {id: outcome for outcome, _, id in (line.partition(" ") for line in lines)}


def failing(results: Mapping[str, str]) -> list[str]:
    return sorted(id for id, outcome in results.items() if outcome != "passed")


def changed_lines(diff: bytes) -> int:
    lines = diff.decode().splitlines()
    added = sum(line.startswith("+") and not line.startswith("+++ ") for line in lines)
    removed = sum(line.startswith("-") and not line.startswith("--- ") for line in lines)
    return max(added, removed)


@pytest.mark.parametrize("name", starter.names())
def test_exactly_the_declared_tests_fail_at_first(
    name: str, store: TreeStore, tmp_path: Path, recorder: Path
) -> None:
    base = files(store, starter.load(name, store).base.tree)
    results = outcomes(base, tmp_path / "base", recorder)
    assert failing(results) == sorted(starter.metadata(name).expected_failing)
    assert 10 <= len(results) <= 40
    assert 1 <= len(failing(results)) <= 3


@pytest.mark.parametrize("name", SOLVABLE)
def test_gold_makes_every_test_pass(
    name: str, store: TreeStore, tmp_path: Path, recorder: Path
) -> None:
    base = starter.load(name, store).base.tree
    patch = store.from_diff(base, starter.gold(name) or b"")
    results = outcomes(files(store, store.apply(base, patch)), tmp_path / "gold", recorder)
    assert failing(results) == []
    assert set(starter.metadata(name).expected_failing) <= set(results)


@pytest.mark.parametrize("name", SOLVABLE)
def test_gold_leaves_the_tests_alone_and_has_the_declared_size(name: str, store: TreeStore) -> None:
    gold = starter.gold(name) or b""
    patch = store.from_diff(starter.load(name, store).base.tree, gold)
    assert not [path for path in patch.paths if "test" in path]
    assert changed_lines(gold) == starter.metadata(name).size


def test_no_rounding_satisfies_the_impossible_task(
    store: TreeStore, tmp_path: Path, recorder: Path
) -> None:
    (name,) = IMPOSSIBLE
    base = files(store, starter.load(name, store).base.tree)
    for mode in ("HALF_UP", "HALF_EVEN", "HALF_DOWN", "UP", "DOWN"):
        changed = base["pricing/rounding.py"].replace("ROUND_HALF_UP", f"ROUND_{mode}")
        results = outcomes({**base, "pricing/rounding.py": changed}, tmp_path / mode, recorder)
        assert failing(results)
    assert starter.gold(name) is None
    assert starter.metadata(name).size == 0


@pytest.mark.parametrize("name", starter.names())
def test_a_model_sees_the_package_and_nothing_about_the_defect(name: str, store: TreeStore) -> None:
    sources = files(store, starter.load(name, store).base.tree)
    names = {Path(path).name for path in sources}
    assert names.isdisjoint({"task.toml", "gold.patch"})
    assert not [path for path in sources if "__pycache__" in path or "_cache/" in path]
    assert starter.metadata(name).kind not in "".join(sources.values())


@pytest.mark.parametrize("name", starter.names())
def test_packages_are_small(name: str, store: TreeStore) -> None:
    sources = files(store, starter.load(name, store).base.tree)
    python = [text for path, text in sources.items() if path.endswith(".py")]
    assert 3 <= len(python) <= 8
    assert 80 <= sum(len(text.splitlines()) for text in python) <= 300


def test_the_suite_has_the_kinds_that_it_promises() -> None:
    known = [starter.metadata(name) for name in starter.names()]
    assert len(known) >= 18
    assert sum(each.size == 1 for each in known) >= 10
    assert Counter(each.difficulty for each in known).keys() == {
        "easy",
        "medium",
        "hard",
        "impossible",
    }
    assert {each.kind for each in known} >= {
        "contradictory tests",
        "missing case",
        "misleading test",
        "mutable default",
        "off by one",
        "small feature",
        "timezone slip",
        "two files",
        "unhandled empty input",
        "wrong exception",
        "wrong operator",
        "wrong variable",
    }


def test_a_task_loads_to_the_same_tree_every_time(store: TreeStore, tmp_path: Path) -> None:
    other = TreeStore.create(tmp_path / "other")
    first, second = starter.load("line-wrap", store), starter.load("line-wrap", other)
    assert first.base.tree == second.base.tree


def test_what_test_runs_leave_behind_is_ignored(store: TreeStore) -> None:
    base = starter.load("url-routes", store).base
    assert base.ignores("webroutes/__pycache__/table.cpython-311.pyc")
    assert base.ignores(".pytest_cache/README.md")
    assert not base.ignores("tests/test_more.py")


def test_caches_beside_the_sources_do_not_travel(
    store: TreeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tmp_path / "sample"
    (task / "repo" / "pkg" / "__pycache__").mkdir(parents=True)
    (task / "repo" / "pkg" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"\0")
    (task / "repo" / "pkg" / "a.py").write_text("A = 1\n")
    (task / "task.toml").write_text(
        'title = "t"\ninstruction = "i"\nkind = "k"\nsize = 1\ndifficulty = "easy"\n'
        'solvable = true\ntest_command = "python3 -m pytest"\nexpected_failing = []\n'
    )
    monkeypatch.setattr(starter, "files", lambda _: tmp_path)
    assert files(store, starter.load("sample", store).base.tree) == {"pkg/a.py": "A = 1\n"}


@pytest.mark.parametrize("name", SOLVABLE)
def test_gold_changes_nothing_that_is_protected(name: str, store: TreeStore) -> None:
    task = starter.load(name, store)
    patch = store.from_diff(task.base.tree, starter.gold(name) or b"")
    assert violations(task.checks, task.base, patch) == ()


@pytest.mark.docker
@pytest.mark.parametrize(
    "name",
    [
        name if name in PROVED else pytest.param(name, marks=pytest.mark.nightly)
        for name in SOLVABLE
    ],
)
async def test_a_clean_room_proves_gold(name: str, store: TreeStore, image: Image) -> None:
    task = starter.load(name, store)
    patch = store.from_diff(task.base.tree, starter.gold(name) or b"")
    verdict = await verify(task, patch, image=image)
    assert (verdict.status, verdict.grade) == ("solved", "proved"), verdict.reasons
    assert verdict.baseline is not None
    assert set(verdict.baseline.failing) == set(task.checks.expected)
    assert set(verdict.newly_passing) == set(task.checks.expected)


@pytest.mark.docker
@pytest.mark.parametrize(
    "change",
    ["the rounding", "the tests", pytest.param("both", marks=pytest.mark.nightly)],
)
async def test_a_clean_room_never_finds_the_impossible_task_solved(
    change: str, store: TreeStore, image: Image
) -> None:
    (name,) = IMPOSSIBLE
    task = starter.load(name, store)
    sources = files(store, task.base.tree)
    rounding = sources["pricing/rounding.py"].replace("HALF_UP", "HALF_EVEN")
    shop = sources["tests/test_shop.py"].replace('Decimal("0.13")', 'Decimal("0.12")')
    changes = (
        Change("pricing/rounding.py", FILE, rounding.encode()),
        Change("tests/test_shop.py", FILE, shop.encode()),
    )
    chosen = {"the rounding": changes[:1], "the tests": changes[1:], "both": changes}[change]
    verdict = await verify(task, Patch(chosen), image=image)
    assert not verdict.solved
    assert verdict.status in ("failed", "tampered")
