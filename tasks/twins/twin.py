"""A test's twin: the same test with one expectation made wrong, by edits of its source."""

import ast
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tasks.twins.data import is_given_pairs, made_wrong
from tasks.twins.sites import (
    CLOSE,
    EQUAL,
    EXPECTED,
    OPPOSITE,
    Site,
    TestFunction,
    raising,
    sites,
    test_functions,
)
from tasks.twins.source import Edit, Source
from tasks.twins.tables import cells
from tasks.twins.wrong import (
    called,
    false_assertion,
    fresh,
    is_literal,
    other_exception,
    quoted,
    word,
    wrong,
)

_FLIPPED = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "!=": "==", "is": "is not", "in": "not in"}
_FLIPPED |= {"is not": "is", "not in": "in"}
_OPERATOR = re.compile(r"not\s+in\b|is\s+not\b|\bin\b|\bis\b|[<>]=?|!=")
_ACTUAL = re.compile(r"actual|result|got|found|returned|response", re.IGNORECASE)


@dataclass(frozen=True)
class Twin:
    """`edits` make it; `line` is where in the source, `says` what stands there now. `site` is None
    where it fails at its start, whatever it expects. One with `data` has no edits: what is wrong is
    that file. One that is not `wrong` expects what the test does, and is to pass as it does."""

    edits: tuple[Edit, ...]
    line: int
    says: str
    site: Site | None = None
    data: bytes | None = None
    wrong: bool = True


class TestModule:
    """A file of tests, and the twins of those in it."""

    __test__ = False

    def __init__(self, content: bytes) -> None:
        self.source = Source(content)
        self.functions = test_functions(self.source.tree)

    def twin_by_data(self, name: str, pairs: bytes, draw: random.Random) -> Twin | None:
        """A twin whose cases expect something else; None where it is not given them as pairs."""
        function = self.functions[name]
        found = sites(function)
        wrong_pairs = made_wrong(pairs, draw) if found and is_given_pairs(function) else None
        if wrong_pairs is None:
            return None
        says = wrong_pairs.decode().partition("\n")[0][:200]
        return Twin((), function.lineno, says, found[0], wrong_pairs)

    def twin(
        self, name: str, draw: random.Random, *, near: int | None = None, site: Site | None = None
    ) -> Twin:
        """A twin of a test. What is made wrong is `site`, else the first site from the line `near`
        on, else any; a test that has none gets one that fails at its start."""
        function = self.functions[name]
        found = sites(function)
        if site is None and near is not None:
            site = next((one for one in found if one.last_line >= near), None)
        if site is None:
            certain = [one for one in found if one.certain]
            site = draw.choice(certain or found) if found else None
        if site is None:
            return self.stopped(name, draw)
        edits = _Perturbation(self, function, draw).of(site.statement)
        return Twin(tuple(edits), site.statement.lineno, edits[-1].text, site)

    def stopped(self, name: str, draw: random.Random, at: Site | None = None) -> Twin:
        """A twin that fails as soon as it comes to a site, or else at its start."""
        statement = at.statement if at else self.functions[name].body[0]
        said = false_assertion(draw)
        return Twin((self.source.before(statement, said),), statement.lineno, said)

    def alike(self, name: str, draw: random.Random) -> Twin:
        """A twin that expects what the test does, and is another text, and other code."""
        statement = self.functions[name].body[0]
        said = f"_{word(draw)} = {draw.randint(2, 99)}"
        return Twin((self.source.before(statement, said),), statement.lineno, said, wrong=False)

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        """Names that the module binds once, to a literal, and that are read once in all of it."""
        tree = self.source.tree
        return single_literals(tree.body, [tree])


class _Perturbation:
    """One site made wrong. `of` gives the edits; that of the expectation itself is the last."""

    def __init__(self, module: TestModule, function: TestFunction, draw: random.Random) -> None:
        self._module = module
        self._source = module.source
        self._function = function
        self._draw = draw

    def of(self, statement: ast.stmt) -> list[Edit]:
        call = raising(statement)
        if call is not None:
            return self._raising(call)
        if isinstance(statement, ast.Assert):
            return self._condition(statement.test)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            return self._assertion(statement.value)
        raise AssertionError(f"no site: {ast.dump(statement)}")

    def _raising(self, call: ast.Call) -> list[Edit]:
        """Another exception, or another text of it."""
        texts = [k.value for k in call.keywords if k.arg in ("match", "expected_regex")]
        if called(call) == "assertRaisesRegex":
            texts += call.args[1:2]
        if texts and self._draw.random() < 0.5:
            return [self._source.replaced(texts[0], quoted(word(self._draw)))]
        named = self._source.text(call.args[0])
        return [self._source.replaced(call.args[0], other_exception(named, self._draw))]

    def _assertion(self, call: ast.Call) -> list[Edit]:
        name = called(call)
        both = len(call.args) >= 2 and not any(isinstance(a, ast.Starred) for a in call.args[:2])
        if name in EQUAL and both:
            return self._equality(call.args[0], call.args[1])
        if name in CLOSE and both:
            wide = len(call.args) > 2 or any(k.arg != "msg" for k in call.keywords)
            return self._equality(call.args[0], call.args[1], far=True, anything=wide)
        if name == "assertIn" and both and _is_text(call.args[0]):
            return [self._source.replaced(call.args[0], quoted(word(self._draw)))]
        if name in OPPOSITE:
            end = self._source.end(call.func)
            return [Edit(end - len(name), end, OPPOSITE[name])]
        return [self._source.before(self._function.body[0], false_assertion(self._draw))]

    def _condition(self, test: ast.expr) -> list[Edit]:
        """What has to be true, made false."""
        match test:
            case ast.BoolOp(op=ast.And()):
                return self._condition(self._draw.choice(test.values))
            case ast.Compare(ops=[ast.Eq()], comparators=[right]):
                return self._equality(test.left, right)
            case ast.Compare(ops=[ast.In()]) if _is_text(test.left):
                return [self._source.replaced(test.left, quoted(word(self._draw)))]
            case ast.Compare(ops=[_], comparators=[right]):
                between = self._source.between(test.left, right)
                operators = list(_OPERATOR.finditer(between))
                if len(operators) == 1 and "#" not in between:
                    return [self._flipped(test.left, operators[0])]
        return [self._source.replaced(test, f"not ({self._source.text(test)})")]

    def _flipped(self, left: ast.expr, operator: re.Match[str]) -> Edit:
        start = self._source.end(left)
        other = _FLIPPED[" ".join(operator[0].split())]
        return Edit(start + operator.start(), start + operator.end(), other)

    def _equality(
        self, left: ast.expr, right: ast.expr, *, far: bool = False, anything: bool = False
    ) -> list[Edit]:
        expected = self._expected(left, right)
        if anything:
            return [self._source.replaced(expected, quoted(word(self._draw)))]
        if isinstance(expected, ast.Name):
            edits = self._bound(expected.id, far)
            if edits:
                return edits
        node, text = wrong(expected, self._draw, far=far)
        return [self._source.replaced(node, text)]

    def _expected(self, left: ast.expr, right: ast.expr) -> ast.expr:
        """Which of two sides is what the test expects."""
        weights = self._weight(left), self._weight(right)
        if weights[0] == weights[1]:
            return left if weights[1] < _LITERAL and self._draw.random() < 0.25 else right
        return left if weights[0] > weights[1] else right

    def _weight(self, node: ast.expr) -> int:
        names = any(isinstance(part, ast.Name) for part in ast.walk(node))
        if is_literal(node) or not names:
            return _LITERAL
        if isinstance(node, ast.Name):
            return self._name_weight(node.id)
        calls = [part for part in ast.walk(node) if isinstance(part, ast.Call)]
        if node in calls and all(is_literal(c) or called(c)[:1].isupper() for c in calls):
            return 2  # an object made for the comparison
        return 0 if calls else 1

    def _name_weight(self, name: str) -> int:
        bound = (_parameters(self._function), self._literals, self._module.constants)
        if _ACTUAL.search(name):
            return 0
        if EXPECTED.search(name) or any(name in some for some in bound):
            return 3
        return 0 if name in self._assigned else 1

    def _bound(self, name: str, far: bool) -> list[Edit]:
        """The value that a name has, made wrong where it is bound; nothing where the name is used
        for more than the comparison."""
        for known in (self._literals, self._module.constants):
            if name in known:
                node, text = wrong(known[name], self._draw, far=far)
                return [self._source.replaced(node, text)]
        if name not in _parameters(self._function) or _reads(self._function.body)[name] != 1:
            return []
        table = cells(self._function, name)
        if table and self._draw.random() < 0.5:
            made = [wrong(cell, self._draw, far=far) for cell in table]
            return [self._source.replaced(node, text) for node, text in made]
        said = f"{name} = [{name}, {fresh(self._draw)}]"
        return [self._source.before(self._function.body[0], said)]

    @cached_property
    def _assigned(self) -> frozenset[str]:
        nodes = (node for node in ast.walk(self._function) if isinstance(node, ast.Name))
        return frozenset(node.id for node in nodes if isinstance(node.ctx, ast.Store))

    @cached_property
    def _literals(self) -> dict[str, ast.expr]:
        return single_literals(self._function.body, self._function.body)


_LITERAL = 4


def single_literals(body: Sequence[ast.stmt], where: Sequence[ast.AST]) -> dict[str, ast.expr]:
    """Names that are bound once in `where`, by a statement of `body` and to a literal, and read
    once."""
    bound = Counter(
        node.id
        for tree in where
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    )
    reads = _reads(where)
    found = {}
    for statement in body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            once = bound[name] == 1 and reads[name] == 1 and len(statement.targets) == 1
            if once and is_literal(statement.value):
                found[name] = statement.value
    return found


def _reads(where: Sequence[ast.AST]) -> Counter[str]:
    return Counter(
        node.id
        for tree in where
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    )


def _parameters(function: TestFunction) -> frozenset[str]:
    arguments = function.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return frozenset(argument.arg for argument in every)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(node.value)
