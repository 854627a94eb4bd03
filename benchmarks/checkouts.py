"""Makes checkouts laid out as QuixBugs and Exercism are, with programs of our own.

    python benchmarks/checkouts.py quixbugs FOLDER --count 40
    python benchmarks/checkouts.py exercism FOLDER --count 34

For measuring the runner, and for tests, where the real ones cannot be had.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Program:
    """A correct program, the line in it that a defect stands in the place of, and its cases."""

    name: str
    told: str
    source: str
    right: str
    wrong: str
    cases: tuple[tuple[list[Any], Any], ...]

    @property
    def defective(self) -> str:
        return self.source.replace(self.right, self.wrong)


PROGRAMS = (
    Program(
        "count_even",
        "How many of the numbers are even.",
        "def count_even(numbers):\n    return sum(1 for n in numbers if n % 2 == 0)\n",
        "== 0",
        "== 1",
        (([[1, 2, 4]], 2), ([[]], 0), ([[3, 5]], 0), ([[8]], 1)),
    ),
    Program(
        "digit_sum",
        "The sum of a number's decimal digits.",
        "def digit_sum(n):\n    total = 0\n    while n:\n        total += n % 10\n"
        "        n //= 10\n    return total\n",
        "n //= 10",
        "n %= 10",
        (([0], 0), ([7], 7), ([1024], 7)),
    ),
    Program(
        "run_lengths",
        "Each letter of a run with how often it stands there.",
        "def run_lengths(text):\n    runs = []\n    for letter in text:\n"
        "        if runs and runs[-1][0] == letter:\n            runs[-1][1] += 1\n"
        "        else:\n            runs.append([letter, 1])\n    return runs\n",
        "runs[-1][1] += 1",
        "runs[-1][1] = 1",
        ((["aab"], [["a", 2], ["b", 1]]), ([""], []), (["abc"], [["a", 1], ["b", 1], ["c", 1]])),
    ),
    Program(
        "clamp",
        "The number nearest to x that is neither below low nor above high.",
        "def clamp(x, low, high):\n    return max(low, min(x, high))\n",
        "min(x, high)",
        "max(x, high)",
        (([5, 0, 9], 5), ([-1, 0, 9], 0), ([12.5, 0, 9], 9), ([1, 1, 1], 1)),
    ),
    Program(
        "title",
        "The words of a text, each beginning with a capital letter.",
        "def title(text):\n    words = text.split()\n"
        '    return " ".join(word[0].upper() + word[1:] for word in words)\n',
        "word[1:]",
        "word[2:]",
        ((["two words"], "Two Words"), ([""], ""), (["ünder a [tree]"], "Ünder A [tree]")),
    ),
    Program(
        "balanced",
        "Whether each bracket of a text has its partner.",
        "def balanced(text):\n    depth = 0\n    for letter in text:\n"
        '        depth += (letter == "(") - (letter == ")")\n        if depth < 0:\n'
        "            return False\n    return depth == 0\n",
        "return depth == 0",
        "return True",
        ((["()"], True), (["(()"], False), ([")("], False), ([""], True)),
    ),
)
_CONFTEST = """\
import pytest


def pytest_addoption(parser):
    parser.addoption("--correct", action="store_true", help="test the correct programs")
    parser.addoption("--runslow", action="store_true", help="run slow tests, too")


def pytest_configure(config):
    pytest.use_correct = config.getoption("--correct")
    pytest.run_slow = config.getoption("--runslow")
"""
_LOADER = """\
import json
from pathlib import Path


def load_json_testcases(name):
    path = Path(__file__).parent.parent / "json_testcases" / (name + ".json")
    return [json.loads(line) for line in path.read_text().splitlines()]
"""
_IMPORT = """\
if pytest.use_correct:
    from correct_python_programs.{name} import {name}
else:
    from python_programs.{name} import {name}
"""
_TEST = """\
import pytest
from load_testdata import load_json_testcases

{imports}

testdata = load_json_testcases({name}.__name__)


@pytest.mark.parametrize("input_data,expected", testdata)
def test_{name}(input_data, expected):
{skip}    assert {name}(*input_data) == expected
"""
_SKIP = """\
    if not pytest.run_slow and input_data == {value}:
        pytest.skip("takes long")
"""
_NODE = """\
class Node:
    def __init__(self, value=None, successors=()):
        self.value = value
        self.successors = list(successors)
"""
_REACHES = '''\
def reaches(start, goal):
    seen = set()

    def visit(node):
        if node in seen:
            return False
        if node is goal:
            return True
{line}
        return any(visit(each) for each in node.successors)

    return visit(start)


"""
Whether a walk along the successors of start comes to goal.
"""
'''
_REACHES_TEST = """\
import pytest
from node import Node

{imports}

def test_neighbours():
    goal = Node("goal")
    assert reaches(Node("start", [goal]), goal)


def test_circle():
    start = Node("start")
    start.successors.append(Node("other", [start]))
    assert not reaches(start, Node("goal"))
"""


def quixbugs(folder: Path, count: int = 7) -> None:
    """A checkout of that many programs, the same ones under other names after the seventh."""
    files = {
        "README.md": "Programs with a defect each.\n",
        "conftest.py": _CONFTEST,
        "python_testcases/load_testdata.py": _LOADER,
        "python_testcases/node.py": _NODE,
        "python_programs/node.py": _NODE,
        "correct_python_programs/node.py": _NODE,
        "java_programs/COUNT_EVEN.java": "class COUNT_EVEN {}\n",
    }
    for number in range(count):
        if number % 7 == 6:
            files |= _graph_program(f"reaches{_suffix(number)}")
        else:
            files |= _program(PROGRAMS[number % 7], f"{PROGRAMS[number % 7].name}{_suffix(number)}")
    _write(folder, files)


def _suffix(number: int) -> str:
    return f"_{number // 7 + 1}" if number >= 7 else ""


def _program(program: Program, name: str) -> dict[str, str]:
    text = f'\n\n"""\n{program.told}\n"""\n'
    lines = [json.dumps([given, wanted]) for given, wanted in program.cases]
    test = _TEST.format(
        name=name,
        imports=_IMPORT.format(name=name),
        skip=_SKIP.format(value=program.cases[-1][0]) if program.name == "clamp" else "",
    )
    return {
        f"python_programs/{name}.py": program.defective.replace(program.name, name) + text,
        f"correct_python_programs/{name}.py": program.source.replace(program.name, name) + "\n",
        f"json_testcases/{name}.json": "\n".join(lines) + "\n",
        f"python_testcases/test_{name}.py": test,
    }


def _graph_program(name: str) -> dict[str, str]:
    right, wrong = "        seen.add(node)", "        seen.add(goal)"
    test = _REACHES_TEST.format(imports=_IMPORT.format(name="reaches"))
    sources = {
        f"python_programs/{name}.py": _REACHES.format(line=wrong),
        f"correct_python_programs/{name}.py": _REACHES.format(line=right),
        f"python_testcases/test_{name}.py": test,
    }
    return {path: text.replace("reaches", name) for path, text in sources.items()}


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
