"""Cut a formula into tokens."""

import re
from dataclasses import dataclass

from formula.errors import FormulaError

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<symbol>[-+*/()]))"
)


@dataclass(frozen=True)
class Token:
    kind: str
    text: str


END = Token("end", "")


def tokenize(formula: str) -> list[Token]:
    """All tokens, with END as the last one."""
    formula = formula.rstrip()
    tokens = []
    position = 0
    while position < len(formula):
        match = TOKEN.match(formula, position)
        if match is None:
            raise FormulaError(f"unexpected {formula[position:].strip()[0]!r}")
        tokens.append(Token(match.lastgroup or "", match[match.lastgroup]))
        position = match.end()
    return [*tokens, END]
