"""Expected values that stand in a file of their own: pairs of input and output in JSON, one a line,
in a file that has the name of the module of tests which is given them case by case."""

import ast
import json
import posixpath
import random
from collections.abc import Collection
from typing import Any

from tasks.twins.sites import EXPECTED, TestFunction
from tasks.twins.wrong import called, word


def file_of(path: str, paths: Collection[str]) -> str:
    """The file of pairs for a module of tests, `test_gcd.py`: a `gcd.json` in a folder of tests;
    empty where there is not exactly one."""
    stem = posixpath.basename(path).removesuffix(".py").removeprefix("test_").removesuffix("_test")
    found = [
        other
        for other in paths
        if posixpath.basename(other) == f"{stem}.json" and "test" in posixpath.dirname(other)
    ]
    return found[0] if len(found) == 1 else ""


def is_given_pairs(function: TestFunction) -> bool:
    """Whether a test has cases that its source does not list: an input, and what is expected."""
    for decorator in function.decorator_list:
        if called(decorator) != "parametrize" or not isinstance(decorator, ast.Call):
            continue
        names, *values = [*decorator.args, None]
        last = values[0]
        if isinstance(names, ast.Constant) and isinstance(last, ast.Name | ast.Call):
            words = [name.strip() for name in str(names.value).split(",")]
            return len(words) == 2 and EXPECTED.search(words[1]) is not None
    return False


def made_wrong(content: bytes, draw: random.Random) -> bytes | None:
    """The pairs with other outputs; None where the content is no pairs."""
    lines = []
    try:
        for line in filter(bytes.strip, content.splitlines()):
            given, expected = json.loads(line)
            lines.append(json.dumps([given, _wrong(expected, draw)]))
    except (ValueError, TypeError, RecursionError):
        return None
    return "".join(f"{line}\n" for line in lines).encode() if lines else None


def alike(content: bytes) -> bytes:
    """The same pairs as another text."""
    return content.replace(b"\n", b" \n", 1)


def _wrong(value: Any, draw: random.Random) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + draw.randint(3, 9) * 10 * (abs(value) + 1)
        case list():
            return [*value, word(draw)]
        case dict():
            return value | {word(draw): draw.randint(1, 9)}
    return f"{value}{word(draw)}" if isinstance(value, str) else word(draw)
