"""Twins of tests on honest code: whatever is drawn, each fails, and no other test does."""

import os
import random
import re
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from tasks.twins.sites import sites
from tasks.twins.source import Edit
from tasks.twins.twin import TestModule, Twin

SAMPLE = Path(__file__).with_name("sample.txt").read_bytes()


def passing(contents: Sequence[bytes], folder: Path) -> list[tuple[set[str], set[str]]]:
    """Of each file, the functions of which all cases pass, and those of which one fails."""
    for number, content in enumerate(contents):
        (folder / f"test_{number}.py").write_bytes(content)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=no", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # pytest 9 tells of subtests apart, and their test passes.
    pattern = r"^(PASSED|FAILED|SUBFAILED)\S* test_(\d+)\.py::([^\s\[]+)"
    told = re.findall(pattern, run.stdout, re.MULTILINE)
    found = []
    for number in range(len(contents)):
        here = [(word, name) for word, file, name in told if int(file) == number]
        failed = {name for word, name in here if word != "PASSED"}
        found.append(({name for _, name in here} - failed, failed))
    return found


def edited(module: TestModule, twins: Collection[Twin]) -> bytes:
    return module.source.edited([edit for twin in twins for edit in twin.edits])


def test_every_twin_of_honest_code_fails(tmp_path: Path) -> None:
    module = TestModule(SAMPLE)
    made = []
    for seed in range(8):
        draw = random.Random(seed)
        made.append(edited(module, [module.twin(name, draw) for name in module.functions]))
    for passed, failed in passing(made, tmp_path):
        assert passed == set()
        assert failed == set(module.functions)


def test_every_site_of_a_test_can_be_made_wrong(tmp_path: Path) -> None:
    """Site by site, the functions at once: the n-th of each."""
    module = TestModule(SAMPLE)
    draw = random.Random(1)
    found = {name: sites(function) for name, function in module.functions.items()}
    made, names = [], []
    for number in range(max(map(len, found.values()))):
        names.append({name for name, some in found.items() if number < len(some)})
        twins = [module.twin(name, draw, site=found[name][number]) for name in names[-1]]
        made.append(edited(module, twins))
    assert [failed for _, failed in passing(made, tmp_path)] == names


def test_a_test_is_stopped_at_a_site_or_at_its_start(tmp_path: Path) -> None:
    module = TestModule(SAMPLE)
    draw = random.Random(1)
    last = {n: sites(f)[-1] for n, f in module.functions.items() if sites(f)}
    at = [module.stopped(name, draw, site) for name, site in last.items()]
    start = [module.stopped(name, draw) for name in module.functions]
    found = passing([edited(module, at), edited(module, start)], tmp_path)
    assert [failed for _, failed in found] == [set(last), set(module.functions)]


def twin(body: str, seed: int = 0, near: int | None = None) -> str:
    module = TestModule(body.encode())
    (name,) = module.functions
    made = module.twin(name, random.Random(seed), near=near)
    return module.source.edited(made.edits).decode()


def test_what_failed_before_is_made_wrong_first() -> None:
    body = "def test_a():\n    assert a() == 1\n    assert b() == 2\n    assert c() == 3\n"
    made = twin(body, near=3)
    assert "a() == 1" in made
    assert "b() == 2" not in made
    assert "c() == 3" in made


def test_values_of_the_code_under_test_stay() -> None:
    """`is_even(4)` made `is_even(6)` would still be right."""
    for seed in range(50):
        made = twin("def test_a():\n    assert is_even(2) == is_even(4)\n", seed)
        assert ("is_even(2)" in made) != ("is_even(4)" in made)


def test_a_value_that_is_also_given_to_the_code_stays() -> None:
    body = "def test_a():\n    expected = 5\n    assert same(expected) == expected\n"
    assert all("expected = 5\n" in twin(body, seed) for seed in range(50))


def test_tables_and_parameters_are_made_wrong() -> None:
    body = (
        "@pytest.mark.parametrize('n, expected', [(1, 10), (2, 20)])\n"
        "def test_a(n, expected):\n    assert f(n) == expected\n"
    )
    made = {twin(body, seed) for seed in range(50)}
    assert any("(1, 10)" not in text and "(2, 20)" not in text for text in made)
    assert any("expected = [expected, " in text for text in made)
    assert all(("(1, 10)" in text) == ("(2, 20)" in text) for text in made)


def test_a_twin_is_drawn_anew() -> None:
    body = "def test_a():\n    assert f() == 'some words'\n"
    assert len({twin(body, seed) for seed in range(50)}) > 20


def test_only_what_every_run_reaches_is_certain() -> None:
    body = (
        "def test_a():\n"
        "    assert 1\n"
        "    assert a()\n"
        "    with pytest.raises(E):\n        assert b()\n"
        "    with suppress(E):\n        assert c()\n"
        "    with self.subTest():\n        assert d()\n"
        "    for x in y:\n        assert e()\n"
        "    if x:\n        return\n"
        "    assert f()\n"
    )
    (function,) = TestModule(body.encode()).functions.values()
    found = {site.statement.lineno: site.certain for site in sites(function)}
    assert found == {3: True, 4: True, 5: False, 7: False, 9: True, 11: False, 14: False}


@pytest.mark.parametrize("content", [b"def test_a(:\n", b"\xff\xfe", b"x = '\0'\n"])
def test_what_is_no_python_is_told(content: bytes) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        TestModule(content)


def test_edits_that_make_no_sense_are_told() -> None:
    module = TestModule(b"def test_a():\n    assert 1 == 2\n")
    with pytest.raises(SyntaxError):
        module.source.edited([Edit(0, 3, "")])
