"""Names of tables and columns are checked, because they cannot be parameters."""

import re

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")


class BadName(ValueError):
    """Something that is not a plain name, possibly an attack."""


def checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise BadName(f"not a name: {name!r}")
    return name
