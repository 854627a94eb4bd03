"""Names and attributes that a piece of Python reads and that nothing can have given a value."""

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_BUILTINS = frozenset({*dir(builtins), "__file__", "__name__", "__class__", "__doc__"})
_SCOPES = (*FUNCTIONS, ast.Lambda, ast.ClassDef, *_COMPREHENSIONS)
#: What gives a class attributes that its own text does not show.
_OPEN = frozenset({"__getattr__", "__getattribute__", "setattr", "__dict__", "vars"})


@dataclass(frozen=True)
class Known:
    """What a module gives its functions: `names` (None: a star import hides them), and by class
    the `attributes` of its objects, where the module shows them all."""

    names: frozenset[str] | None
    attributes: dict[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: ast.Module) -> "Known":
        return cls(_module_names(tree), _attributes(tree))

    def missing(self, tree: ast.AST, owner: str = "") -> str | None:
        """A name or attribute that `tree`, a part of the module, reads in vain; None if all may be
        there. `owner` is the class of which `tree` is a method."""
        if self.names is None:
            return None
        unbound = next(_unbound(tree, self.names | _BUILTINS), None)
        return unbound or next(_unknown(tree, self.attributes.get(owner)), None)


def _module_names(tree: ast.Module) -> frozenset[str] | None:
    names: set[str] = set()
    for node in tree.body:
        names |= _own_names(node)
    for part in ast.walk(tree):
        if isinstance(part, ast.Global):
            names.update(part.names)
    if "*" in names:
        return None
    # What the module reads already is there somehow, however it came about.
    return frozenset(names.union(_unbound(tree, frozenset(names) | _BUILTINS)))


def _bound(tree: ast.AST) -> set[str]:
    """Names that something in `tree` binds; what functions, classes and comprehensions in it bind
    for themselves is left out."""
    names: set[str] = set()
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name):
                names.add(name)
            case ast.alias(name=name, asname=other):
                names.add((other or name).split(".")[0])
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                names.add(name)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                names.add(name)
            case _:
                pass
        if isinstance(node, _SCOPES) and node is not tree:
            # A walrus in a comprehension binds outside of it.
            todo += [each for each in ast.walk(node) if isinstance(each, ast.NamedExpr)]
        else:
            todo += ast.iter_child_nodes(node)
    return names


def _unbound(node: ast.AST, known: frozenset[str]) -> Iterator[str]:
    """Names that `node` reads and that neither `known` nor a scope around them binds."""
    if isinstance(node, (*FUNCTIONS, ast.Lambda)):
        known = known | _bound(node)
    elif isinstance(node, _COMPREHENSIONS):
        for generator in node.generators:
            known = known | _bound(generator.target)
    elif isinstance(node, ast.ClassDef):
        known = known | {name for part in node.body for name in _bound(part)}
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in known:
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from _unbound(child, known)


def _unknown(tree: ast.AST, attributes: frozenset[str] | None) -> Iterator[str]:
    """Attributes that a method reads of its own object and that are not among `attributes`."""
    for method in ast.walk(tree):
        if isinstance(method, FUNCTIONS) and method.args.args and attributes is not None:
            own = method.args.args[0].arg
            for node in ast.walk(method):
                match node:
                    case ast.Attribute(value=ast.Name(id=name), attr=attribute, ctx=ast.Load()):
                        if name == own and attribute not in attributes:
                            yield f"{name}.{attribute}"
            return


def _attributes(tree: ast.Module) -> dict[str, frozenset[str]]:
    """Attributes by class, for classes that derive from nothing outside of the module."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.FunctionDef(name=name):
                if name in _OPEN:
                    return {}
    # An attribute may be set from anywhere.
    given = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    found: dict[str, frozenset[str]] = {"object": frozenset({*dir(object), "__dict__"})}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or node.keywords:
            continue
        bases = [base.id if isinstance(base, ast.Name) else "" for base in node.bases]
        if all(base in found for base in bases):
            own = {name for part in node.body for name in _own_names(part)}
            # What it reads already is there somehow, however it came about.
            read = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
            inherited = [found[base] for base in [*bases, "object"]]
            found[node.name] = frozenset(own | given | read).union(*inherited)
    return found


def _own_names(part: ast.stmt) -> set[str]:
    """Names that a statement of a module or class gives to it."""
    return {part.name} if isinstance(part, (*FUNCTIONS, ast.ClassDef)) else _bound(part)
