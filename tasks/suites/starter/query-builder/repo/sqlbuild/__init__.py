"""Build SELECT statements step by step, with parameters kept apart from the text."""

from sqlbuild.query import Query, select

__all__ = ["Query", "select"]
