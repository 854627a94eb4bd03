import ast
import textwrap

import pytest

from agent.models.names import Known

MODULE = """
import os.path as where
from math import sqrt

LIMIT = 3
for index in range(2):
    pass


class Base:
    size = 1

    def grow(self):
        self.height = 2


class Child(Base):
    def width(self):
        return self.size


class Foreign(where.Thing):
    pass
"""


def missing(code: str, owner: str = "", module: str = MODULE) -> str | None:
    known = Known.of(ast.parse(module))
    return known.missing(ast.parse(textwrap.dedent(code)), owner)


@pytest.mark.parametrize(
    "code",
    [
        "def f(a, *b, c=1, **d): return a, b, c, d",
        "def f(): return where.join, sqrt(LIMIT), index, Base, len([])",
        "def f():\n    for x in []: y = x\n    return y",
        "def f(): return [x for x in [] if x]",
        "def f(): return {k: v for k, v in {}.items()}",
        "def f():\n    def g(): return h()\n    def h(): return 1\n    return g",
        "def f():\n    try: pass\n    except OSError as error: return error",
        "def f():\n    with open('a') as file: return file",
        "def f(x):\n    match x:\n        case {'a': y, **rest}: return y, rest\n"
        "        case [z, *others]: return z, others",
        "def f(): return (found := 1) + found",
        "def f():\n    import json\n    return json",
        "f = lambda a: a",
        "def f():\n    global made\n    made = 1\n    return made",
        "async def f(y):\n    async for x in y(): return x",
        "def f():\n    class A:\n        b = 1\n        def c(self): return A\n    return A().b",
    ],
)
def test_what_is_bound_somewhere_is_not_missing(code: str) -> None:
    assert missing(code) is None


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("def f(): return limit", "limit"),
        ("def f():\n    [x for x in []]\n    return x", "x"),
        ("def f(a): return b", "b"),
        ("def f():\n    def g(a): pass\n    return a", "a"),
        ("f = lambda a: b", "b"),
        ("def f():\n    class A:\n        b = 1\n    return b", "b"),
    ],
)
def test_what_nothing_binds_is_named(code: str, name: str) -> None:
    assert missing(code) == name


def test_a_star_import_hides_all_names() -> None:
    assert missing("def f(): return anything", module="from x import *") is None


def test_what_the_module_reads_already_is_there_somehow() -> None:
    assert missing("def g(): return magic", module="def f(): return magic") is None


def test_attributes_of_an_object_of_a_class_that_is_shown_whole() -> None:
    assert missing("def f(self): return self.size, self.height, self.grow", "Child") is None
    assert missing("def f(self): return self.weight", "Child") == "self.weight"
    assert missing("def f(self): return self.__class__", "Child") is None
    assert missing("def f(self): self.weight = 1; return other.weight", "Child") == "other"


def test_attributes_of_a_class_with_a_foreign_base_are_unknown() -> None:
    assert missing("def f(self): return self.weight", "Foreign") is None


def test_a_class_that_makes_up_attributes_hides_them() -> None:
    module = "class A:\n    def __getattr__(self, name): return name\n"
    assert missing("def f(self): return self.weight", "A", module) is None
