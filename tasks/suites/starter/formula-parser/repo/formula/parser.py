"""Recursive descent: a sum of products of factors."""

from formula.errors import FormulaError
from formula.nodes import Name, Node, Number, Operation
from formula.tokens import END, Token, tokenize


class Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0

    def _peek(self) -> Token:
        return self._tokens[self._position]

    def _next(self) -> Token:
        token = self._tokens[self._position]
        if token is not END:
            self._position += 1
        return token

    def formula(self) -> Node:
        node = self._sum()
        if self._peek() is not END:
            raise FormulaError(f"unexpected {self._peek().text!r}")
        return node

    def _sum(self) -> Node:
        node = self._product()
        while self._peek().text in ("+", "-"):
            symbol = self._next().text
            node = Operation(symbol, node, self._product())
        return node

    def _product(self) -> Node:
        node = self._factor()
        while self._peek().text in ("*", "/"):
            symbol = self._next().text
            node = Operation(symbol, node, self._factor())
        return node

    def _factor(self) -> Node:
        token = self._next()
        if token.kind == "number":
            return Number(float(token.text))
        if token.kind == "name":
            return Name(token.text)
        if token.text == "(":
            node = self._sum()
            if self._next().text != ")":
                raise FormulaError("a parenthesis is not closed")
            return node
        raise FormulaError(f"unexpected {token.text!r}" if token.text else "unexpected end")


def parse(formula: str) -> Node:
    return Parser(tokenize(formula)).formula()
