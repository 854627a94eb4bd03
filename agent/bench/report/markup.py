"""HTML that is safe by construction: whatever is not Markup already is text, and escaped.

Reports show what models and repositories wrote; none of it may act on the page. What cannot be seen
(control characters, marks that turn text around) is shown escaped, too.
"""

from html import escape

from agent.cli.text import visible

_VOID = frozenset({"meta", "br", "col", "input", "rect", "line", "path", "circle", "polyline"})


class Markup(str):
    """Text that is HTML already. Only `tag`, `join` and our own fixed files make it."""

    __slots__ = ()


def text(content: object) -> Markup:
    """Any text as it may stand in an element or a quoted attribute."""
    if isinstance(content, Markup):
        return content
    return Markup(escape(visible(str(content)), quote=True))


def join(*children: object) -> Markup:
    """The children one after the other; None is nothing."""
    return Markup("".join(text(child) for child in children if child is not None))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element. Attributes lose a last underscore and have `-` for `_`; one that is None or
    False is left out, True is one without a value."""
    head = name
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        head += " " + key.removesuffix("_").replace("_", "-")
        if value is not True:
            head += f'="{_attribute(value)}"'
    if name in _VOID and not children:
        return Markup(f"<{head}>" if name in {"meta", "br", "col", "input"} else f"<{head}/>")
    return Markup(f"<{head}>{join(*children)}</{name}>")


def _attribute(value: object) -> str:
    # Markup, too: what is right between tags may still hold a quote.
    plain = str(value)
    return escape(visible(plain), quote=True).replace("\n", "&#10;")
