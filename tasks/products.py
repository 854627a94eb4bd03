"""What a rebuild step may bring into the room of the tests.

A rebuild step runs code of the patch. So on a patch it runs in a room of its own, and the tests'
room is opened anew: the base with what the step made of that, then the patch, then those files of
the first room that the rules here let through. All else is gone with that room, whatever it was:
processes, the home folder, /tmp, links, modes, and what no walk over files would find. To put one
room back instead, each place in which something can be left would have to be known.

Let through is what code of the patch could be as well: ignored and generated files, compiled
modules, code of the project that was installed. Held back is what the patch itself may not change
or add, and what running and building leave by themselves: of those, the room has the base's.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sandbox.delta import BaseIndex
from sandbox.errors import PatchError
from sandbox.patch import Change, Patch, check_path, parents
from sandbox.trees import Base
from tasks.protection import added_modules, freed, hidden_by, matches
from tasks.task import Checks

# Forbidden as part of a patch, for nobody can read them; as products they are what is built.
COMPILED = ("!*.so", "!*.node")
_ENVIRONMENT = "pyvenv.cfg"
_INSTALLED = re.compile(r"(?:^|/)(?:site|dist)-packages/(?P<top>[^/]+)(?P<inner>/.+)?$")
_MODULE_ENDINGS = (".py", ".so")


@dataclass(frozen=True)
class Products:
    """`files` go into the workspace after the patch, `installed` (contents by path) below ~/.local.
    `held_back` are paths that the step changed in vain."""

    files: Patch = field(default_factory=Patch)
    installed: Mapping[str, bytes] = field(default_factory=dict)
    held_back: tuple[str, ...] = ()


class ProductRules:
    """Judges the files that a rebuild step made on base and `patch`, by their paths. `checks` are
    those of `tasks.screening.guarded`, `before` the files that the step makes of the base alone,
    `installed` the names of modules that the image can import."""

    def __init__(
        self,
        checks: Checks,
        base: Base,
        patch: Patch,
        before: Collection[str],
        installed: Collection[str] = (),
    ) -> None:
        self._checks = checks
        self._index = BaseIndex(base)
        self._patch = patch
        self._before = frozenset(before)
        self._installed = installed
        # The patch's own files alone: a package that the step makes decides on no other file.
        self._modules = added_modules(checks, base, patch)

    def judged(self, paths: Iterable[str]) -> Iterable[str]:
        """Those that can be named in a patch and are not left to the room itself."""
        return (p for p in paths if _can_be_named(p) and not self._index.by_product(p))

    def holds_back(self, path: str) -> bool:
        """Whether what the step made at a path, or that it removed it, may not count."""
        checks = self._checks
        if checks.hidden and path in checks.hidden.paths:
            return True
        if matches(checks.protected, path):
            return True
        if path in self._tree:
            return False
        forbidden = checks.forbidden_additions
        if freed(forbidden, path):
            return False
        return (
            self._displaces(path)
            or bool(hidden_by(path, self._tree, checks))
            or matches((*forbidden, *COMPILED), path)
            or self._outside_of_modules(path)
            or self._is_wrong_module(path)
        )

    def is_news(self, path: str) -> bool:
        """Whether holding a path back is to be told: what the step makes of the base, too, most
        often is the same."""
        return path not in self._before

    def new_modules(self, paths: Iterable[str]) -> bool:
        """Whether any path makes a module that neither the base nor its own step has."""
        new = [path for path in paths if path not in self._before and path not in self._tree]
        return self._modules is not None and self._modules.new_names(new)

    @property
    def own_modules(self) -> tuple[str, ...]:
        """The names of the project's modules, which may be found installed, too."""
        return self._modules.own_names if self._modules else ()

    def belongs_to_the_project(self, path: str) -> bool:
        """Whether an installed file is code of the project, and runs only when that is imported."""
        found = _INSTALLED.search(path)
        if found is None or not _can_be_named(path) or self._index.by_product(path):
            return False
        name = found["top"].partition(".")[0]
        module = bool(found["inner"]) or found["top"].endswith(_MODULE_ENDINGS)
        return module and name in self.own_modules and not self._is_protected_copy(path, found)

    def _is_protected_copy(self, path: str, found: re.Match[str]) -> bool:
        """Whether a protected file would have this path where it is installed."""
        protected = self._checks.protected
        inner = path[found.start("top") :]
        return matches(protected, path) or any(
            f"/{other}".endswith(f"/{inner}") and matches(protected, other) for other in self._tree
        )

    def _displaces(self, path: str) -> bool:
        """Whether a file of the base or the patch would have to go for it."""
        return path in self._folders or any(above in self._tree for above in parents(path))

    def _outside_of_modules(self, path: str) -> bool:
        """Whether a path is in a virtual environment or a folder of installed packages, and not
        among the project's own that the step installs there on the base, too."""
        found = _INSTALLED.search(path)
        if found is None:
            return any(above in self._environments for above in ("", *parents(path)))
        top = path[: found.end("top")]
        there = any(p == top or p.startswith(f"{top}/") for p in self._before)
        return not there or not self.belongs_to_the_project(path)

    def _is_wrong_module(self, path: str) -> bool:
        if self._modules is None:
            return False
        if path in self._before:
            return self._modules.runs_by_itself(path)
        return bool(self._modules.hides(path, self._installed))

    @cached_property
    def _tree(self) -> frozenset[str]:
        written = (change.path for change in self._patch if not change.deleted)
        return frozenset((*self._index.entries, *written))

    @cached_property
    def _folders(self) -> frozenset[str]:
        return frozenset(folder for path in self._tree for folder in parents(path))

    @cached_property
    def _environments(self) -> frozenset[str]:
        """The folders of virtual environments."""
        paths = (*self._before, *self._tree)
        return frozenset(
            path.rpartition("/")[0] for path in paths if path.rpartition("/")[2] == _ENVIRONMENT
        )


def deletions(paths: Iterable[str]) -> Patch:
    """A patch that removes files."""
    return Patch(tuple(Change(path, None, None) for path in paths))


def _can_be_named(path: str) -> bool:
    try:
        check_path(path)
    except PatchError:
        return False
    return True
