"""Values that are not what an expression stands for, so that what equals the one cannot equal the
other."""

import ast
import math
import random
import string
from collections.abc import Sequence

#: Calls whose value is another one when their first argument is.
_SCALARS = frozenset({"Decimal", "Fraction", "date", "datetime", "timedelta", "Path", "PurePath"})
_CONTAINERS = frozenset({"list", "tuple", "deque"})
_SETS = frozenset({"set", "frozenset"})
# Those of Python's own that tests do not ask for, and that code seldom raises.
_EXCEPTIONS = (
    *("BufferError", "ChildProcessError", "EOFError", "FloatingPointError"),
    *("StopAsyncIteration", "UnboundLocalError", "ZeroDivisionError"),
)

#: The node to be replaced, and the text to put there.
Wrong = tuple[ast.expr, str]


def is_literal(node: ast.expr) -> bool:
    """Whether an expression says its value, so that a value near it can be written."""
    match node:
        case ast.Constant():
            return node.value is not ...
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            return isinstance(node.operand, ast.Constant)
        case ast.List() | ast.Tuple() | ast.Set():
            return True
        case ast.Dict():
            return None not in node.keys
        case ast.Call():
            name, known = called(node), _SCALARS | _CONTAINERS | _SETS | {"approx"}
            return name in known and bool(node.args) and is_literal(node.args[0])
    return False


def called(node: ast.expr) -> str:
    """The last name of what is called; empty for no call of a name."""
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    return getattr(function, "attr", None) or getattr(function, "id", None) or ""


def wrong(node: ast.expr, draw: random.Random, *, far: bool = False) -> Wrong:
    """A replacement for part of an expression, or all of it, that changes what it equals. With
    `far`, numbers leave what a tolerance could bridge."""
    if isinstance(node, ast.UnaryOp) and is_literal(node):
        value = getattr(node.operand, "value", None)
        if isinstance(value, float) and not math.isfinite(value):
            return node, fresh(draw)
        node = node.operand
    match node:
        case ast.Constant():
            return node, _constant(node.value, draw, far)
        case ast.List() | ast.Tuple():
            return _inside(node, node.elts, draw, far)
        case ast.Dict():
            return _inside(node, node.values, draw, far)
        case ast.Call() if is_literal(node):
            return _call(node, draw, far)
    # A new element makes a set another one; one changed might be there already.
    part = draw.choice(node.elts) if isinstance(node, ast.Set) else node
    return part, fresh(draw)


def _inside(node: ast.expr, parts: Sequence[ast.expr], draw: random.Random, far: bool) -> Wrong:
    parts = [part for part in parts if not isinstance(part, ast.Starred)]
    if parts:
        return wrong(draw.choice(parts), draw, far=far)
    if isinstance(node, ast.Dict):
        return node, f"{{{fresh(draw)}: {draw.randint(2, 9)}}}"
    return node, f"[{fresh(draw)}]" if isinstance(node, ast.List) else f"({fresh(draw)},)"


def _call(node: ast.Call, draw: random.Random, far: bool) -> Wrong:
    name, first = called(node), node.args[0]
    if name == "approx":
        # A tolerance of its own may be as wide as it likes.
        plain = len(node.args) == 1 and not node.keywords
        return wrong(first, draw, far=True) if plain else (node, fresh(draw))
    if name in _SETS:
        # One of two equal elements could be replaced by a third.
        elements = getattr(first, "elts", ())
        return (draw.choice(elements) if elements else node), fresh(draw)
    if name in _CONTAINERS and isinstance(first, ast.Constant):
        return node, fresh(draw)
    return wrong(first, draw, far=far)


def _constant(value: object, draw: random.Random, far: bool) -> str:
    match value:
        case bool():
            return str(not value)
        case int():
            step = draw.randint(3, 9) * (10**6 * (abs(value) + 1) if far else 1)
            return str(value + step)
        case float() if math.isfinite(value):
            times = draw.randint(3, 9) * (9 if far else 1)
            other = round(value + times * (abs(value) + 1), 6)
            return repr(other if math.isfinite(other) else value / times)
        case str():
            return quoted(_other_text(value, draw))
        case bytes():
            return ascii(_other_text(value.decode("latin-1"), draw).encode("latin-1"))
    return fresh(draw)


def _other_text(text: str, draw: random.Random) -> str:
    """The text with one letter or digit of it changed; a digit, where it is a number."""
    digits = [index for index, char in enumerate(text) if char in string.digits]
    letters = [index for index, char in enumerate(text) if char in string.ascii_letters]
    if digits and (not letters or draw.random() < 0.5):
        index = draw.choice(digits)
        kind = string.digits
    elif letters:
        index = draw.choice(letters)
        kind = string.ascii_lowercase if text[index].islower() else string.ascii_uppercase
    else:
        return text + word(draw)
    other = draw.choice([char for char in kind if char != text[index]])
    return text[:index] + other + text[index + 1 :]


def word(draw: random.Random) -> str:
    """A word that nothing says."""
    return "".join(draw.choices(string.ascii_lowercase, k=9))


def fresh(draw: random.Random) -> str:
    """The text of a value that nothing equals."""
    return draw.choice([quoted(word(draw)), str(draw.randint(10**6, 10**9))])


def quoted(text: str) -> str:
    """A literal of a text, in the quotes that most code has."""
    return f'"{repr(chr(39) + text)[2:-1]}"' if '"' not in text else repr(text)


def other_exception(expected: str, draw: random.Random) -> str:
    """An exception that a test does not name in `expected`."""
    return draw.choice([name for name in _EXCEPTIONS if name not in expected])


def false_assertion(draw: random.Random) -> str:
    """A statement that fails wherever it is reached."""
    value = draw.randint(2, 99)
    return f"assert {value} == {value + draw.randint(1, 99)}"
