"""A Dockerfile of a checkout, built with the checkout's own files as its context."""

import posixpath
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from sandbox.archives import END_OF_ARCHIVE, member, members
from sandbox.buildjob import Job
from sandbox.dockerbuild import lent, run_build
from sandbox.errors import UsageError
from sandbox.ignore import Pattern
from sandbox.naming import digest
from sandbox.patch import SYMLINK, parents, printable
from sandbox.trees import Base, Entry

IGNORE_FILE = ".dockerignore"
# Stars that begin a name and are not all of it.
_ANY_FOLDER = re.compile(r"(?<=/)\*\*+(?=[^/*])")


@dataclass(frozen=True)
class CheckoutBuild:
    """A Dockerfile of a checkout. `path` and `context` (the folder whose files its steps may copy,
    "" for all) are relative to the top; `arguments` are `NAME=value`.
    """

    checkout: Base
    path: str
    context: str = ""
    target: str | None = None
    arguments: tuple[str, ...] = ()

    @cached_property
    def text(self) -> str:
        """Raises UsageError when the checkout has no such file."""
        entry = self.checkout.entries.get(self.path)
        if entry is None or entry.mode == SYMLINK:
            raise UsageError(
                f"The checkout has no file {printable(self.path)}, which is to be its Dockerfile.",
                "Name one by its path from the top of the checkout; ignored files do not count.",
            )
        content = next(self.checkout.store.read([entry.blob]))
        return content.decode("utf-8", "surrogateescape")

    @cached_property
    def files(self) -> Mapping[str, Entry]:
        """The context's files by their paths in it, without those that .dockerignore names."""
        below = f"{self.context}/" if self.context else ""
        found = {
            path.removeprefix(below): entry
            for path, entry in self.checkout.entries.items()
            if path.startswith(below)
        }
        ignored = _ignored(self._ignore_file(found))
        return {path: entry for path, entry in found.items() if not ignored(path)}

    def key(self) -> str:
        """SHA-256 of all that decides on the result but the images that it builds on."""
        listing = [f"{path}\0{entry.mode}\0{entry.blob}" for path, entry in self.files.items()]
        parts = [self.text, self.target or "", *self.arguments, "", *listing]
        return digest("dockerfile 1", *parts)

    def build(self, job: Job, tag: str) -> None:
        """Builds it and tags the result. Raises SetupError, with the failing step and its last
        lines, and UsageError for a Dockerfile that would keep a proxy's login.
        """
        what = f"Building {printable(self.path)}"
        name = f".dockerfile.{uuid.uuid4().hex}"
        given = dict(argument.partition("=")[::2] for argument in self.arguments)
        with lent(job, self.text) as (text, variables):
            archive = self._archive(name, text.encode("utf-8", "surrogateescape"))
            run_build(
                job,
                archive,
                what=what,
                dockerfile=name,
                tag=tag,
                target=self.target,
                buildargs={**variables, **given},
            )

    def _ignore_file(self, found: Mapping[str, Entry]) -> str:
        entry = found.get(IGNORE_FILE)
        if entry is None or entry.mode == SYMLINK:
            return ""
        return next(self.checkout.store.read([entry.blob])).decode("utf-8", "replace")

    def _archive(self, name: str, dockerfile: bytes) -> Iterator[bytes]:
        """The context as a tar archive, with a Dockerfile in it that no step can copy."""
        hidden = [name, *(() if IGNORE_FILE in self.files else (IGNORE_FILE,))]
        rules = "\n".join([self._ignore_file(self.files), *hidden, ""])
        others = {path: entry for path, entry in self.files.items() if path != IGNORE_FILE}
        yield from members(self.checkout, others)
        yield member(name, 0o644, dockerfile)
        yield member(IGNORE_FILE, 0o644, rules.encode())
        yield END_OF_ARCHIVE


def _ignored(rules: str) -> Callable[[str], bool]:
    """Whether a path is left out of the context, by .dockerignore's rules as the docker program
    reads them: from the top, the last one that names the path or a folder above it decides. (But
    for `a**b`, which reaches no other folder here.)
    """
    lines = [line.strip() for line in rules.splitlines()]
    patterns = [_pattern(line) for line in lines if line and not line.startswith("#")]

    def ignored(path: str) -> bool:
        for pattern in reversed(patterns):
            if any(pattern.matches(at, is_folder=True) for at in (path, *parents(path))):
                return not pattern.negative
        return False

    return ignored


def _pattern(line: str) -> Pattern:
    """A line as one of .gitignore's, whose matching takes no time without end."""
    mark, text = ("!", line[1:].strip()) if line.startswith("!") else ("", line)
    whole = posixpath.normpath("/" + text.lstrip("/"))
    return Pattern.parse(mark + _ANY_FOLDER.sub("**/*", whole))
