"""From the lines that failing tests ran to the places worth changing."""

import ast
import io
import tokenize
from collections.abc import Iterator, Mapping, Sequence

from agent.models.names import FUNCTIONS
from agent.models.python_source import PythonSource

#: A default acts when its function runs; the line itself ran once, at import, untraced.
_DEFAULTS = 0.5
#: So did constants and class attributes: they act where they are read, or anywhere.
_READ = 0.5
_OUTSIDE = 0.2

Span = tuple[int, int]


def weigh(source: PythonSource, ran: Mapping[int, float]) -> list[float]:
    """How much a change at each character of a file is worth trying, 0 to 1; the end included.

    `ran` holds the suspicion of the lines that failing tests ran. A statement of several lines
    counts as one. What does not act when the code runs has no weight: comments, docstrings,
    annotations, and the names under which things are defined.
    """
    weights = [0.0] * (len(source.text) + 1)
    if source.tree is None:
        for line, score in ran.items():
            _set(weights, source.line_span(line), score)
        return weights
    highest = max(ran.values(), default=0.0)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.stmt | ast.ExceptHandler):
            first, last = _lines(node)
            score = max((ran.get(line, 0.0) for line in range(first, last + 1)), default=0.0)
            start, end = source.line_span(first)[0], source.line_span(last)[1]
            _set(weights, (max(start, source.offset(node)), end), score)
    for node in ast.walk(source.tree):
        if isinstance(node, FUNCTIONS):
            _set(weights, (source.offset(node), source.offset(node.body[0]) - 1), 0.0)
            body = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
            score = _DEFAULTS * max((ran.get(line, 0.0) for line in body), default=0.0)
            for default in [*node.args.defaults, *node.args.kw_defaults]:
                if default is not None:
                    _set(weights, source.span(default), score)
    read = _where_read(source.tree, ran)
    for names, value in _values_outside(source.tree):
        known = max((read.get(name, 0.0) for name in names), default=0.0)
        _set(weights, source.span(value), max(_READ * known, _OUTSIDE * highest))
    for span in _inert(source):
        _set(weights, span, 0.0)
    return weights


def _set(weights: list[float], span: Span, score: float) -> None:
    """The end of a span counts: to add something there is a change of it."""
    first, last = span
    for place in range(first, last + 1):
        weights[place] = score


def _lines(node: ast.stmt | ast.ExceptHandler) -> Span:
    """First and last line of a statement; of a compound one only its head."""
    body: Sequence[ast.stmt] = getattr(node, "body", ())
    last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
    return node.lineno, max(last, node.lineno)


def _values_outside(tree: ast.AST) -> Iterator[tuple[list[str], ast.expr]]:
    """The values assigned at the top of the module and of its classes, with the names they get."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = [part for target in targets for part in ast.walk(target)]
            yield [part.id for part in named if isinstance(part, ast.Name)], node.value
        elif isinstance(node, ast.stmt) and not isinstance(node, FUNCTIONS):
            yield from _values_outside(node)


def _where_read(tree: ast.AST, ran: Mapping[int, float]) -> dict[str, float]:
    """The suspicion of the most suspicious line that reads each name or attribute."""
    read: dict[str, float] = {}
    for node in ast.walk(tree):
        match node:
            case (
                ast.Name(id=name, ctx=ast.Load(), lineno=line)
                | ast.Attribute(attr=name, ctx=ast.Load(), lineno=line)
            ):
                read[name] = max(read.get(name, 0.0), ran.get(line, 0.0))
            case _:
                pass
    return read


def _inert(source: PythonSource) -> Iterator[Span]:
    """Places of which a change means nothing: docstrings, annotations, comments."""
    for node in ast.walk(source.tree or ast.Module([], [])):
        match node:
            case (
                ast.AnnAssign(annotation=annotation) | ast.arg(annotation=ast.expr() as annotation)
            ):
                yield source.span(annotation)
            case ast.Expr(value=ast.Constant(value=str()) as text):
                yield source.span(text)
            case _:
                pass
    reader = io.StringIO(source.text).readline
    try:
        for token in tokenize.generate_tokens(reader):
            if token.type == tokenize.COMMENT:
                start = source.line_span(token.start[0])[0] + token.start[1]
                yield start, start + len(token.string)
    except (tokenize.TokenError, SyntaxError):
        # Only the parser's word counts; what it takes and the tokenizer does not has no comments
        # that are known.
        return
