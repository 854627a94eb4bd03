"""Variables that an image gives to every sandbox of it: which may be set, and setting them."""

import re
from collections.abc import Iterable, Sequence

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The supervisor, too, starts with the image's variables; and what a sandbox sets itself.
_NOT_FOR_IMAGES = (
    *("LD_", "GCONV_PATH", "LOCPATH", "MALLOC_", "GLIBC_TUNABLES", "GREENROOM_"),
    *("PATH=", "HOME=", "USER=", "LOGNAME=", "SHELL=", "TERM="),
)
USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def may_be_set(variable: str) -> bool:
    """Whether a `NAME=value` may become a variable of an image."""
    name, equals, value = variable.partition("=")
    plain = bool(equals and _NAME.fullmatch(name)) and (value.isprintable())
    return plain and not variable.startswith(_NOT_FOR_IMAGES)


def with_environment(variables: Iterable[str], added: Sequence[tuple[str, str]]) -> list[str]:
    """An image's `NAME=value` variables with others; a PATH is searched after the image's own."""
    found = dict(variable.partition("=")[::2] for variable in variables)
    for name, value in added:
        found[name] = _searched(found.get(name) or USUAL_PATH, value) if name == "PATH" else value
    return [f"{name}={value}" for name, value in found.items()]


def _searched(folders: str, last: str) -> str:
    return folders if last in folders.split(":") else f"{folders}:{last}"
