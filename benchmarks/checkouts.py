"""Makes checkouts laid out as QuixBugs and Exercism are, with programs of our own.

    python benchmarks/checkouts.py quixbugs FOLDER --count 40
    python benchmarks/checkouts.py exercism FOLDER --count 34

For measuring the runner, and for tests, where the real ones cannot be had.
"""

import argparse
import json
import sys
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


_EXERCISE_TEST = """\
import unittest

from {module} import {name}


class {title}Test(unittest.TestCase):
{tests}

if __name__ == "__main__":
    unittest.main()
"""
#: One exercise, "twice", in each further language.
TWICE = {
    "rust": {
        "Cargo.toml": '[package]\nname = "twice"\nversion = "0.1.0"\nedition = "2021"\n',
        "src/lib.rs": 'pub fn twice(n: i64) -> i64 {\n    todo!("{n}")\n}\n',
        ".meta/example.rs": "pub fn twice(n: i64) -> i64 {\n    n * 2\n}\n",
        "tests/twice.rs": (
            "use twice::*;\n\n#[test]\nfn zero() {\n    assert_eq!(twice(0), 0);\n}\n\n"
            "#[test]\n#[ignore]\nfn three() {\n    assert_eq!(twice(3), 6);\n}\n"
        ),
    },
    "go": {
        "go.mod": "module twice\n\ngo 1.18\n",
        "twice.go": 'package twice\n\nfunc Twice(n int) int {\n\tpanic("write this")\n}\n',
        ".meta/example.go": "package twice\n\nfunc Twice(n int) int {\n\treturn n * 2\n}\n",
        "cases_test.go": "package twice\n\nvar cases = map[int]int{0: 0, 3: 6}\n",
        "twice_test.go": (
            'package twice\n\nimport "testing"\n\nfunc TestTwice(t *testing.T) {\n'
            "\tfor n, want := range cases {\n\t\tif got := Twice(n); got != want {\n"
            '\t\t\tt.Fatalf("Twice(%d) = %d", n, got)\n\t\t}\n\t}\n}\n'
        ),
    },
    "javascript": {
        "package.json": json.dumps(
            {
                "name": "@exercism/javascript-twice",
                "devDependencies": {
                    "@babel/core": "^7.25.2",
                    "@exercism/babel-preset-javascript": "^0.2.1",
                    "@exercism/eslint-config-javascript": "^0.6.0",
                    "babel-jest": "^29.6.4",
                    "core-js": "~3.37.1",
                    "eslint": "^8.49.0",
                    "jest": "^29.7.0",
                },
                "scripts": {"test": "jest ./*"},
            }
        ),
        "babel.config.js": "module.exports = { presets: ['@exercism/babel-preset-javascript'] };\n",
        "twice.js": "export const twice = (n) => {\n  throw new Error('write this');\n};\n",
        ".meta/proof.ci.js": "export const twice = (n) => n * 2;\n",
        "twice.spec.js": (
            "import { twice } from './twice';\n\ndescribe('Twice', () => {\n"
            "  test('zero', () => {\n    expect(twice(0)).toEqual(0);\n  });\n\n"
            "  xtest('three', () => {\n    expect(twice(3)).toEqual(6);\n  });\n});\n"
        ),
    },
    "java": {
        "build.gradle": "plugins { id 'java' }\n",
        "src/main/java/Twice.java": "class Twice {}\n",
        ".meta/src/reference/java/Twice.java": "class Twice { Helper helper; }\n",
        ".meta/src/reference/java/Helper.java": "class Helper {}\n",
        "src/test/java/TwiceTest.java": "class TwiceTest {}\n",
    },
}
_LISTED = {
    "rust": ("src/lib.rs", "tests/twice.rs", ".meta/example.rs"),
    "go": ("twice.go", "twice_test.go", ".meta/example.go"),
    "javascript": ("twice.js", "twice.spec.js", ".meta/proof.ci.js"),
    "java": (
        *("src/main/java/Twice.java", "src/test/java/TwiceTest.java"),
        ".meta/src/reference/java/Twice.java",
    ),
}


def exercism(folder: Path, count: int = 6, others: tuple[str, ...] = ()) -> None:
    """A checkout laid out as the polyglot benchmark, with that many exercises in Python and one in
    each of the other languages."""
    files: dict[str, str] = {"README.md": "Exercises.\n"}
    for number in range(count):
        program = PROGRAMS[number % 6]
        suffix = f"-{number // 6 + 1}" if number >= 6 else ""
        slug = f"{program.name.replace('_', '-')}{suffix}"
        files |= _below(f"python/exercises/practice/{slug}", _python_exercise(program, slug))
    for language in others:
        solution, test, example = _LISTED[language]
        more = {
            ".docs/instructions.md": "# Instructions\n\nGive a number twice.\n",
            ".meta/config.json": _config([solution], [test], [example]),
        }
        place = f"{language}/exercises/practice/twice"
        files |= _below(place, {**TWICE[language], **more})
    _write(folder, files)


def _python_exercise(program: Program, slug: str) -> dict[str, str]:
    module = slug.replace("-", "_")
    head = program.source.partition("\n")[0]
    tests = "".join(
        f"    def test_case_{number}(self):\n"
        f"        self.assertEqual({program.name}(*{given!r}), {wanted!r})\n\n"
        for number, (given, wanted) in enumerate(program.cases)
    )
    return {
        ".docs/introduction.md": "# Introduction\n\nAn exercise of our own.\n",
        ".docs/instructions.md": f"# Instructions\n\n{program.told}\n",
        ".docs/instructions.append.md": "# Append\n\nReturn it, print nothing.\n",
        ".approaches/config.json": "{}\n",
        ".approaches/plain/content.md": program.source,
        ".meta/config.json": _config([f"{module}.py"], [f"{module}_test.py"], [".meta/example.py"]),
        ".meta/example.py": program.source,
        ".meta/tests.toml": "# what is tested\n",
        f"{module}.py": f"{head}\n    pass\n",
        f"{module}_test.py": _EXERCISE_TEST.format(
            module=module, name=program.name, title=program.name.title(), tests=tests
        ),
    }


def _config(solution: list[str], test: list[str], example: list[str]) -> str:
    files = {"solution": solution, "test": test, "example": example}
    return json.dumps({"authors": [], "files": files, "blurb": "An exercise."}, indent=2)


def _below(place: str, files: Mapping[str, str]) -> dict[str, str]:
    return {f"{place}/{path}": text for path, text in files.items()}


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["quixbugs", "exercism"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=40)
    options = parser.parse_args()
    (quixbugs if options.kind == "quixbugs" else exercism)(options.folder, options.count)
    print(f"{options.count} in {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
