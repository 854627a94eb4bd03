"""Gitignore rules as plain data, and the question whether they ignore a path.

The rules are those of a base tree, read once. What a model writes into a `.gitignore` later
changes nothing about what counts as part of its patch.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from pathspec import GitIgnoreSpec

from sandbox.patch import parents

Rules = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class IgnoreRules:
    """Rules by folder ("" is the root) in rising priority within a folder, as git orders them."""

    rules: Rules

    def ignores(self, path: str, *, folder: bool = False) -> bool:
        """Whether git would ignore an untracked file (or `folder`) at `path`. Nothing can be
        included again below an ignored folder."""
        above = (self._decision(parent, is_folder=True) for parent in parents(path))
        return any(above) or self._decision(path, is_folder=folder)

    def _decision(self, path: str, *, is_folder: bool) -> bool:
        known = self._folders.get(path) if is_folder else None
        if known is not None:
            return known
        decided = False
        for place in (*parents(path), ""):
            spec = self._specs.get(place)
            if spec is None:
                continue
            inner = path[len(place) + 1 :] if place else path
            answer = spec.check_file(inner + "/" * is_folder).include
            if answer is not None:
                decided = answer
                break
        if is_folder:
            self._folders[path] = decided
        return decided

    @cached_property
    def _folders(self) -> dict[str, bool]:
        return {}

    @cached_property
    def _specs(self) -> dict[str, GitIgnoreSpec]:
        lines: dict[str, list[str]] = {}
        for folder, more in self.rules:
            lines.setdefault(folder, []).extend(more)
        return {folder: GitIgnoreSpec.from_lines(part) for folder, part in lines.items()}


def readable_lines(text: bytes) -> tuple[str, ...]:
    """The rules in a gitignore file, without its comments, blank lines and invalid patterns.

    A byte order mark and CR LF endings are taken as git takes them.
    """
    decoded = text.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    return tuple(line for line in _lines(decoded) if _valid(line))


def _lines(text: str) -> Iterable[str]:
    for line in text.split("\n"):
        rule = line.removesuffix("\r")
        if rule.strip() and not rule.startswith("#"):
            yield rule


def _valid(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        # git ignores a pattern that it cannot read; so a stray one must not end the work.
        return False
    return True
