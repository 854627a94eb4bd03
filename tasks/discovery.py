"""Finding the checkout that a folder is in, and asking its repository what belongs to it.

The repository is a stranger's. Only commands are used that run no filter, hook or other program
that its settings could name, and its place is found here, not by git.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.git import DEFAULT_LIMITS, Git, GitError, GitLimits
from sandbox.patch import decode_path

MAX_POINTER_BYTES = 4096
ANSWER_SECONDS = 15.0
# The user's own configuration, which no repository writes, may be read as git would read it.
USER_VARIABLES = ("HOME", "XDG_CONFIG_HOME", "EMAIL")
IDENTITY_VARIABLES = (
    *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"),
    *USER_VARIABLES,
)


@dataclass(frozen=True)
class Listed:
    """One entry of the index: mode, path, and whether it is meant to be in the work tree
    (`sparse` ones are not) and in conflict."""

    path: str
    mode: int
    sparse: bool
    conflict: bool


@dataclass(frozen=True)
class Checkout:
    """A work tree (`top`), its git directory, and the directory shared with other work trees."""

    top: Path
    git_folder: Path
    common_folder: Path

    @property
    def git(self) -> Git:
        """Git on this repository, under Greenroom's settings."""
        return Git(
            self.git_folder,
            work_tree=self.top,
            settings=("core.splitIndex=false", "core.sparseCheckout=false"),
        )

    def head(self) -> str | None:
        """The oid of the commit that HEAD names, None before the first commit."""
        found = self._ask("rev-parse", "--quiet", "--verify", "HEAD", may_fail=True)
        return found.decode("ascii").strip() or None

    def latest_tag(self) -> str:
        """The nearest tag before HEAD, empty when there is none."""
        found = self._ask("describe", "--tags", "--abbrev=0", "HEAD", may_fail=True)
        return found.decode("utf-8", "replace").strip()

    def tracked(self) -> list[Listed]:
        """The entries of the index, each path once."""
        found: dict[str, Listed] = {}
        # A pipe where git expects a file of settings would hang it: asked at once, and not long.
        self._ask("rev-parse", "--git-dir", limits=GitLimits(seconds=ANSWER_SECONDS))
        for line in self._ask("ls-files", "-z", "-t", "--stage").split(b"\0")[:-1]:
            fields, _, raw = line.partition(b"\t")
            tag, mode, _, stage = fields.split()
            path = decode_path(raw)
            found[path] = Listed(path, int(mode, 8), tag == b"S", stage != b"0")
        return list(found.values())

    def untracked(self, excludes: Path | None, *, ignored: bool = False) -> list[str]:
        """Files that are not in the index: those not ignored, or only those that are. A nested
        repository comes as its folder with a slash at the end. `excludes` are the user's global
        ignore rules."""
        git = Git(
            self.git_folder,
            work_tree=self.top,
            settings=() if excludes is None else (f"core.excludesFile={excludes}",),
        )
        kind = ("-i",) if ignored else ()
        listed = self._ask("ls-files", "-z", "-o", *kind, "--exclude-standard", git=git)
        return [decode_path(raw) for raw in listed.split(b"\0")[:-1]]

    def _ask(
        self,
        *arguments: str,
        may_fail: bool = False,
        git: Git | None = None,
        limits: GitLimits = DEFAULT_LIMITS,
    ) -> bytes:
        try:
            result = (git or self.git).run(*arguments, check=not may_fail, limits=limits)
        except GitError as error:
            raise UsageError(
                f"The git repository of {self.top} could not be read: {error.stderr.strip()}",
                "See that `git status` works there.",
            ) from error
        return result.stdout if result.status == 0 else b""


def find_checkout(folder: Path) -> Checkout:
    """The checkout that `folder` is in. Raises UsageError when it is in none."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise UsageError(f"{folder} {what}.", "Name a folder inside a git checkout.")
    start = folder.resolve()
    for place in (start, *start.parents):
        git_folder = _git_folder(place / ".git")
        if git_folder is not None:
            return Checkout(place, git_folder, _common_folder(git_folder))
        if place.name == ".git" or _is_git_folder(place):
            raise UsageError(
                f"{place} is a repository without a work tree, so there are no files to work on.",
                "Go to a checkout of it (git clone, git worktree add) or name one with -C.",
            )
    raise UsageError(
        f"{start} is not in a git repository.",
        "Go to a checkout, name one with -C, or make this one: git init.",
    )


def user_excludes() -> Path | None:
    """The file of the user's global ignore rules, None when there is none."""
    outside = {"GIT_DIR": "/nonexistent"}
    git = Git(environment={**_user_environment(USER_VARIABLES), **outside})
    named = git.run(
        *("config", "-z", "--show-scope", "--type=path", "--get-all", "core.excludesFile"),
        check=False,
    )
    found: Path | None = None
    for scope, value in _pairs(named.stdout.split(b"\0")[:-1]):
        if scope in (b"system", b"global"):
            found = Path(os.fsdecode(value))
    if found is None:
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        found = Path(home) / "git" / "ignore"
    return found if found.is_file() else None


def user_git(checkout: Checkout) -> Git:
    """Git on a checkout with the user's identity, which has to be configured or in the
    environment: none is made up."""
    return Git(
        checkout.git_folder,
        work_tree=checkout.top,
        settings=(*checkout.git.settings, "user.useConfigOnly=true"),
        environment=_user_environment(IDENTITY_VARIABLES),
    )


def _user_environment(names: tuple[str, ...]) -> dict[str, str | None]:
    kept: dict[str, str | None] = {n: os.environ[n] for n in names if n in os.environ}
    kept.setdefault("HOME", os.path.expanduser("~"))
    kept["GIT_CONFIG_NOSYSTEM"] = None
    kept["GIT_CONFIG_GLOBAL"] = os.environ.get("GIT_CONFIG_GLOBAL")
    return kept


def _pairs(fields: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    yield from zip(fields[::2], fields[1::2], strict=False)


def _is_git_folder(place: Path) -> bool:
    return (place / "HEAD").is_file() and all((place / n).is_dir() for n in ("objects", "refs"))


def _git_folder(entry: Path) -> Path | None:
    """The git directory that a `.git` is or names: the latter in submodules and further work
    trees. None when it is neither."""
    if entry.is_dir():
        return entry if (entry / "HEAD").is_file() else None
    if not entry.is_file():
        return None
    with entry.open("rb") as stream:
        pointer = re.match(rb"gitdir: ([^\r\n]+)", stream.read(MAX_POINTER_BYTES))
    target = Path(os.path.join(entry.parent, os.fsdecode(pointer[1]))) if pointer else None
    if target is None or not (target / "HEAD").is_file():
        raise UsageError(
            f"{entry} names no git directory.",
            "The main checkout may have moved: `git worktree repair` there mends it.",
        )
    return target.resolve()


def _common_folder(git_folder: Path) -> Path:
    pointer = git_folder / "commondir"
    if not pointer.is_file():
        return git_folder
    with pointer.open("rb") as stream:
        named = stream.read(MAX_POINTER_BYTES).rstrip(b"\r\n")
    return Path(os.path.join(git_folder, os.fsdecode(named))).resolve()
