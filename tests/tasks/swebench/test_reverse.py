from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import UsageError
from sandbox.patch import FILE
from sandbox.trees import TreeStore
from tasks.suites.swebench.reverse import reversed_diff

LINES = st.lists(st.sampled_from([b"a", b"-- b", b"++ c", b"", b"@@ d", b"\\ e"]), max_size=8)
FILES = st.dictionaries(st.sampled_from(["x.py", "d/y.py", "z"]), LINES, max_size=3)


def contents(files: dict[str, list[bytes]], end: bytes) -> list[tuple[str, int, bytes]]:
    return [(path, FILE, b"\n".join(lines) + end) for path, lines in sorted(files.items())]


@settings(max_examples=40, deadline=None)
@given(old=FILES, new=FILES, end=st.sampled_from([b"\n", b""]))
def test_a_diff_and_its_reverse_lead_back(
    tmp_path_factory: pytest.TempPathFactory,
    old: dict[str, list[bytes]],
    new: dict[str, list[bytes]],
    end: bytes,
) -> None:
    store = TreeStore.create(tmp_path_factory.getbasetemp() / "reverse")
    first, second = store.add_tree(contents(old, end)), store.add_tree(contents(new, end))
    diff = store.diff(first, second)
    if not diff:
        return
    back = store.apply(second, store.from_diff(second, reversed_diff(diff)))
    assert back == first


def test_a_new_mode_and_a_new_name_are_taken_back(tmp_path: Path) -> None:
    diff = b"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n"
    assert reversed_diff(diff) == b"diff --git a/x b/x\nold mode 100755\nnew mode 100644\n"


def test_a_binary_diff_is_refused() -> None:
    with pytest.raises(UsageError, match="binary"):
        reversed_diff(b"diff --git a/x b/x\nGIT binary patch\nliteral 3\n")
