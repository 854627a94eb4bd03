"""What a command finds of itself: its account entry, its variables, its login shell's PATH."""

from __future__ import annotations

import os

PRIVATE = "/run/greenroom"


def environment(given: dict[str, str], home: str) -> dict[str, str]:
    """The image's variables with those given; programs of the sandbox's home, where it has one,
    are found first."""
    search = os.environ.get("PATH") or os.defpath
    if "/usr/local/bin" not in search.split(":"):
        search = "/usr/local/bin:" + search
    own = {name: text for name, text in os.environ.items() if name != "LC_CTYPE"}
    first = f"{home}/.local/bin:" if home else ""
    return {**own, **given, "PATH": first + search}


def write_profile(path: str, search: str) -> None:
    """A login shell starts with the distribution's PATH: give it the image's again."""
    quoted = search.replace("'", "'\\''")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as stream:
        stream.write(f"PATH='{quoted}'\nexport PATH\n")


def write_account(name: str, line: str) -> None:
    """Add the sandbox's entry where the image links /etc/passwd and /etc/group to."""
    link = "/etc/" + name
    target = PRIVATE + "/" + name
    if os.path.islink(link) and os.readlink(link) == target:
        with open(f"/etc/{name}.image") as stream:
            known = stream.read()
        with open(target, "w") as stream:
            stream.write(known + line)
