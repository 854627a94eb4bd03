"""Texts of a model or a stranger, made so that showing them sets nothing off."""


def line(text: str, most: int = 200) -> str:
    """One line without Markdown: a title, the subject of a commit."""
    raise NotImplementedError


def plain(text: str, most: int = 20_000) -> str:
    """Lines without Markdown: the body of a commit's message."""
    raise NotImplementedError


def text(text: str, most: int = 20_000) -> str:
    """Markdown that shows the text as prose."""
    raise NotImplementedError


def quoted(text: str, most: int = 20_000) -> str:
    """Markdown that shows the text as prose in a block quote."""
    raise NotImplementedError


def code(text: str, language: str = "", *, exact: bool = False) -> str:
    """Markdown that shows the text as a block of code. `exact` keeps every character, for a patch
    in a comment."""
    raise NotImplementedError


def for_model(title: str, text: str, author: str) -> str:
    """A stranger's words as a model sees them: marked as data, between marks of their own."""
    raise NotImplementedError
