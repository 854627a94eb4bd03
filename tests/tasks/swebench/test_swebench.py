import json
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from sandbox.errors import SetupError, UsageError
from sandbox.image import Image, ensure_image
from sandbox.patch import FILE, Change, Patch
from sandbox.trees import TreeStore
from tasks.suites import suite
from tasks.suites.suite import Suite, Unsupported
from tasks.task import Task, Verdict
from tasks.verify import verify
from tests.tasks.swebench import made

pytestmark = pytest.mark.docker
NAME = "demo__calc-1"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, image: Image) -> Iterator[tuple[str, str, str]]:
    """The repository's base, gold and tests; the image of its row is there meanwhile."""
    checkout = tmp_path_factory.mktemp("swebench") / "demo__calc"
    found = made.repository(checkout)
    made.make_image(checkout, found[0], image.reference)
    yield found
    docker.from_env().images.remove(made.IMAGE)


@pytest.fixture
def opened(rows: tuple[str, str, str], tmp_path: Path) -> Suite:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(made.row(*rows)) + "\n")
    return suite.find(f"swebench:{file}")


async def judge(task: Task, patch: Patch) -> Verdict:
    return await verify(task, patch, image=await ensure_image(task.image, checkout=task.base))


async def test_gold_is_proved_and_the_empty_patch_is_not(opened: Suite, tmp_path: Path) -> None:
    store = TreeStore.create(tmp_path / "trees")
    task = opened.load(NAME, store)
    gold = store.from_diff(task.base.tree, opened.gold(NAME) or b"")
    verdict = await judge(task, gold)
    assert verdict.status == "solved", verdict.reasons
    assert verdict.grade == "proved"
    assert (await judge(task, Patch())).status == "failed"


async def test_a_wrong_patch_fails_by_the_suites_own_ids(opened: Suite, tmp_path: Path) -> None:
    store = TreeStore.create(tmp_path / "trees")
    task = opened.load(NAME, store)
    wrong = made.WRONG.replace("a - b", "3")
    verdict = await judge(task, Patch((Change("calc.py", FILE, wrong.encode()),)))
    assert verdict.status == "failed"
    assert "test_calc.py::test_add[three has to pass and" in verdict.reasons[0]


async def test_what_passed_has_to_go_on_passing(opened: Suite, tmp_path: Path) -> None:
    store = TreeStore.create(tmp_path / "trees")
    task = opened.load(NAME, store)
    broken = made.RIGHT.replace("n * 2", "n * 3")
    verdict = await judge(task, Patch((Change("calc.py", FILE, broken.encode()),)))
    assert verdict.status == "failed"
    assert "test_calc.py::test_twice has to go on passing and" in " ".join(verdict.reasons)


_PRINTED = """
import os, sys

sys.stderr.write("test_add (test_calc.T.test_add) ... ok\\n\\nRan 1 test in 0.0s\\n\\nOK\\n")
sys.stderr.flush()
os._exit(0)
"""


@pytest.mark.nightly
async def test_a_log_that_the_code_prints_does_not_deceive(
    rows: tuple[str, str, str], tmp_path: Path
) -> None:
    base, gold, _ = rows
    tests = (
        "--- a/test_calc.py\n+++ b/test_calc.py\n@@ -1,5 +1,8 @@\n-from calc import twice\n"
        "+import unittest\n+from calc import add\n \n \n-def test_twice():\n"
        "-    assert twice(4) == 8\n+class T(unittest.TestCase):\n"
        "+    def test_add(self):\n+        self.assertEqual(add(1, 2), 3)\n"
    ).replace("+1,8", "+1,7")
    fields = {
        "eval_script": made.eval_script(base, tests, "python3 -m unittest -v test_calc"),
        "log_parser": "parse_log_django",
        "FAIL_TO_PASS": '["test_add (test_calc.T.test_add)"]',
        "PASS_TO_PASS": "[]",
    }
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(made.row(base, gold, tests, **fields)))
    store = TreeStore.create(tmp_path / "trees")
    task = suite.find(f"swebench:{file}").load(NAME, store)
    found = {}
    for name, text in (("honest", made.RIGHT), ("printed", made.WRONG + _PRINTED)):
        found[name] = await judge(task, Patch((Change("calc.py", FILE, text.encode()),)))
    assert found["honest"].status == "solved", found["honest"].reasons
    assert found["printed"].status == "tampered", found["printed"].reasons


def test_the_base_has_no_history_and_what_the_image_was_built_with(
    opened: Suite, tmp_path: Path
) -> None:
    store = TreeStore.create(tmp_path / "trees")
    task = opened.load(NAME, store)
    paths = set(task.base.entries)
    assert paths == {"calc.py", "test_calc.py", ".gitignore", "kernel.built"}
    assert store.blob(task.base.tree, "calc.py") == made.WRONG.encode()
    assert "test_add" not in (store.blob(task.base.tree, "test_calc.py") or b"").decode()
    assert not task.checks.visible


async def test_the_sandbox_has_the_suites_paths_and_no_solution(
    opened: Suite, tmp_path: Path
) -> None:
    from sandbox.container import Sandbox

    task = opened.load(NAME, TreeStore.create(tmp_path / "trees"))
    image = await ensure_image(task.image)
    async with Sandbox.open(image, task.base, task.policy) as box:
        found = await box.run("cd /testbed && pwd -P && git log --oneline --all | wc -l")
        assert found.output.text.split() == ["/workspace", "1"]
        found = await box.run("which python; grep -rl 'return a + b' / --include=calc.py 2>&-")
        assert found.output.text.split() == ["/opt/miniconda3/envs/testbed/bin/python"]
        login = await box.run(["bash", "-lc", "which python"])
        assert login.output.text.strip() == "/opt/miniconda3/envs/testbed/bin/python"


def test_a_clone_does_where_there_is_no_image(
    rows: tuple[str, str, str], tmp_path: Path, image: Image
) -> None:
    clones = tmp_path / "clones"
    base, *_ = made.repository(clones / "calc")
    fields = made.row(base, *rows[1:], image="nowhere.example/none:1")
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([fields]))
    store = TreeStore.create(tmp_path / "trees")
    with pytest.raises(SetupError, match="could not be pulled"):
        suite.find(f"swebench:{file}").load(NAME, store)
    found = suite.find(f"swebench:{file},repos={clones},image={image.reference}")
    task = found.load(NAME, store)
    assert set(task.base.entries) == {"calc.py", "test_calc.py", ".gitignore"}
    assert task.image.base == image.reference
    assert suite.find(found.reference) == found


def test_a_smith_row_has_its_defect_applied_and_the_way_back_as_gold(
    rows: tuple[str, str, str], tmp_path: Path
) -> None:
    defect = made.row(*rows)["patch"]
    from tasks.suites.swebench.reverse import reversed_diff

    fields = made.row(*rows)
    for name in ("test_patch", "image", "eval_script", "log_parser", "version"):
        del fields[name]
    image = made.IMAGE
    fields |= {"repo": "swesmith/demo__calc.1", "image_name": image}
    # The image's files are wrong already here; what makes them right is a defect as good as any.
    fields["patch"] = defect
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(fields))
    found = suite.find(f"swebench:{file}")
    store = TreeStore.create(tmp_path / "trees")
    task = found.load(NAME, store)
    assert store.blob(task.base.tree, "calc.py") == made.RIGHT.encode()
    assert found.gold(NAME) == reversed_diff(defect.encode())
    patch = store.from_diff(task.base.tree, found.gold(NAME) or b"")
    assert store.blob(store.apply(task.base.tree, patch), "calc.py") == made.WRONG.encode()
    assert task.checks.test_command.endswith("test_calc.py")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"eval_type": "fail_only"}, "graded by failures alone"),
        ({"image_assets": '{"test_patch": [{"path": "a.png", "url": "x"}]}'}, "binary files"),
        ({"FAIL_TO_PASS": "[]"}, "names no test"),
        ({"eval_script": ""}, "does not say how it is tested"),
        ({"log_parser": ""}, "how its log is read"),
    ],
)
def test_what_cannot_be_graded_truly_is_refused_by_name(
    rows: tuple[str, str, str], tmp_path: Path, fields: dict[str, str], reason: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(made.row(*rows, **fields)))
    with pytest.raises(Unsupported, match=reason):
        suite.find(f"swebench:{file}").load(NAME, TreeStore.create(tmp_path / "trees"))


def test_a_wrong_key_of_the_reference_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no key of a swebench suite 'repo'"):
        suite.find("swebench:x.jsonl,repo=.")
