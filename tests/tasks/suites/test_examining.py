from pathlib import Path

import pytest

from benchmarks import checkouts
from sandbox.trees import TreeStore
from tasks.suites import suite
from tasks.suites.examining import examine


@pytest.fixture
def store(tmp_path: Path) -> TreeStore:
    return TreeStore.create(tmp_path / "store")


def test_all_of_a_good_suite_is_good(tmp_path: Path, store: TreeStore) -> None:
    checkouts.quixbugs(tmp_path / "checkout", 40)
    found = suite.find(f"quixbugs:{tmp_path}/checkout")
    assert len(found.names()) == 40
    statuses = {examine(found, name, store).finding.status for name in found.names()[::6]}
    assert statuses == {"good"}


def test_what_is_wrong_with_a_solution_is_told(tmp_path: Path, store: TreeStore) -> None:
    task = '[[task]]\nid = "a"\ninstruction = "Do."\nbase = "base"\nexpected = ["x"]\n'
    (tmp_path / "base").mkdir()
    (tmp_path / "base/test_a.py").write_text("def test_a(): assert False\n")
    suite_file = tmp_path / "suite.toml"
    suite_file.write_text(task)
    found = examine(suite.find(f"tasks:{suite_file}"), "a", store).finding
    assert (found.status, found.told) == ("good", "it has no reference solution")
    suite_file.write_text(task + 'gold = "gold.patch"\n')
    for line, told in (("other", "does not apply"), ("def test_a(): assert False", "is protected")):
        diff = f"--- a/test_a.py\n+++ b/test_a.py\n@@ -1 +1 @@\n-{line}\n+def test_a(): pass\n"
        (tmp_path / "gold.patch").write_text(diff)
        found = examine(suite.find(f"tasks:{suite_file}"), "a", store).finding
        assert found.status == "wrong"
        assert told in found.told
        assert found.hint
