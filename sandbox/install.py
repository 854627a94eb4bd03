"""A repository's dependencies as plain data: the files that determine them, the commands that
install them. One layer each (sandbox/layers.py), cached by content."""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sandbox.errors import UsageError
from sandbox.imageenv import may_be_set

#: Where the files lie and the commands run, in the build container; wiped before the commit.
SCRATCH = "/var/tmp/greenroom-install"  # noqa: S108 - a path in the container

_KIND = re.compile(r"[a-z]{1,20}")


@dataclass(frozen=True)
class Install:
    """Dependencies to install while the image is built.

    `kind` names the layer, `what` tells the user what is installed and what decided on it. `files`
    are pairs of a relative path and its content, laid into an empty folder of the build container;
    `commands` are lines for `sh -eu`, run there one after the other, as root. Neither holds for the
    image: the folder is removed. `environment` does, and only there: variables of every sandbox of
    the image; PATH names a folder that is searched after the image's own.
    """

    kind: str
    what: str
    files: tuple[tuple[str, bytes], ...]
    commands: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()

    def check(self) -> None:
        """Raises UsageError for a path that leads out of the folder, or a variable that must not
        be set in an image."""
        if not _KIND.fullmatch(self.kind):
            raise UsageError(f"{self.kind!r} is not the name of a layer.")
        if not self.files:
            raise UsageError(f"Nothing decides on what the {self.kind} layer holds.")
        for path, _content in self.files:
            if {"", ".", ".."} & set(path.split("/")) or not path.isprintable():
                raise UsageError(f"{path!r} is not a path within a folder.")
        for name, value in self.environment:
            named = "=" not in name and not name.startswith("PYTHON")
            searched = name == "PATH" and value.isprintable()
            if not searched and not (named and may_be_set(f"{name}={value}")):
                raise UsageError(f"{name}={value!r} cannot be a variable of an image.")

    def content(self) -> tuple[str, ...]:
        """What decides on the layer, for its key."""
        files = [(path, sha256(content).hexdigest()) for path, content in self.files]
        return tuple(json.dumps(part) for part in (files, self.commands, self.environment))

    def as_dict(self) -> dict[str, Any]:
        """For the record of a run: everything but the files' contents."""
        return {
            "kind": self.kind,
            "what": self.what,
            "files": [path for path, _content in self.files],
            "commands": list(self.commands),
            "environment": dict(self.environment),
        }
