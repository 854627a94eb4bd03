"""A bare git repository as a forge keeps it: plumbing only, no checkout."""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "A Forge",
    "GIT_AUTHOR_EMAIL": "forge@example.invalid",
    "GIT_COMMITTER_NAME": "A Forge",
    "GIT_COMMITTER_EMAIL": "forge@example.invalid",
}


_ID = re.compile(r"[0-9a-f]{40}")


class GitRefused(Exception):
    """A git command of the forge that failed; the text is git's."""


@dataclass(frozen=True)
class BareRepository:
    folder: Path

    @classmethod
    def create(cls, folder: Path, default_branch: str) -> "BareRepository":
        folder.mkdir(parents=True)
        made = cls(folder)
        made.run("init", "--quiet", "--bare", f"--initial-branch={default_branch}", ".")
        made.run("config", "uploadpack.allowAnySHA1InWant", "true")
        made.run("config", "uploadpack.allowFilter", "true")
        made.run("config", "http.receivepack", "true")
        return made

    def clone(self, folder: Path) -> "BareRepository":
        branch = self.text("symbolic-ref", "--short", "HEAD")
        made = BareRepository.create(folder, branch)
        made.run("fetch", "--quiet", str(self.folder), "+refs/heads/*:refs/heads/*")
        # Forges keep the commits of a repository and of its forks in one place.
        shared = made.folder / "objects" / "info" / "alternates"
        shared.write_text(f"{self.folder / 'objects'}\n")
        return made

    def run(
        self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> bytes:
        """Runs one git command. Raises GitRefused when it fails."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            input=stdin,
            env={**ENVIRONMENT, **(environment or {})},
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise GitRefused(f"git {arguments[0]}: {done.stderr.decode('utf-8', 'replace')}")
        return done.stdout

    def kept(self, *arguments: str) -> bytes:
        """Runs a git command that reads objects by their ids, which never change, once."""
        return _kept(self, arguments)

    def text(self, *arguments: str, stdin: bytes = b"") -> str:
        return self.run(*arguments, stdin=stdin).decode("utf-8", "surrogateescape").strip()

    def head(self, branch: str) -> str | None:
        """Where a branch is."""
        return self.branches().get(branch)

    def resolve(self, name: str) -> str | None:
        """The commit that a full ref, a branch or a commit's id names."""
        asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", name + "^0")
        try:
            return (self.kept(*asked) if _ID.fullmatch(name) else self.run(*asked)).decode().strip()
        except GitRefused:
            return None

    def merge_base(self, one: str, other: str) -> str | None:
        """The last commit that two have in common, None where there is none."""
        try:
            return self.text("merge-base", one, other)
        except GitRefused:
            return None

    def branches(self) -> dict[str, str]:
        if not (self.folder / "packed-refs").exists():
            # Each call of a fake asks for them, and git takes a hundred times as long.
            top = self.folder / "refs" / "heads"
            found = [path for path in top.rglob("*") if path.suffix != ".lock" and path.is_file()]
            return {path.relative_to(top).as_posix(): path.read_text().strip() for path in found}
        listed = self.text("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/")
        pairs = [line.split(" ", 1) for line in listed.splitlines()]
        return {name.removeprefix("refs/heads/"): commit for commit, name in pairs}

    def set_ref(self, ref: str, commit: str, expected: str | None = None) -> None:
        """Moves a ref, from `expected` only where that is given; forty zeros: only a new one."""
        self.run("update-ref", ref, commit, *([expected] if expected else []))

    def delete_ref(self, ref: str) -> None:
        self.run("update-ref", "-d", ref)

    def file(self, path: str, commit: str) -> bytes | None:
        """A file's content in a commit; None where there is no such file."""
        try:
            return self.run("cat-file", "blob", f"{commit}:{path}")
        except GitRefused:
            return None

    def mode(self, path: str, commit: str) -> str | None:
        """A path's mode as git writes it (100644, 100755, 120000, 040000)."""
        asked = ("--literal-pathspecs", "ls-tree", "-z", commit, "--", path)
        listed = self.kept(*asked) if _ID.fullmatch(commit) else self.run(*asked)
        return listed.split(b" ", 1)[0].decode() if listed else None

    def blob(self, content: bytes) -> str:
        return self.text("hash-object", "-w", "--stdin", stdin=content)

    def tree(self, base: str | None, entries: Sequence[tuple[str, str, str | None]]) -> str:
        """The tree of `base` with `entries`: path, mode, object; no object removes the path."""
        lines = b"".join(
            f"{mode if sha else 0} {sha or 40 * '0'}\t{path}\0".encode("utf-8", "surrogateescape")
            for path, mode, sha in entries
        )
        with tempfile.TemporaryDirectory() as place:
            own = {"GIT_INDEX_FILE": f"{place}/index"}
            self.run("read-tree", base or EMPTY_TREE, environment=own)
            self.run(
                "update-index", "--replace", "-z", "--index-info", stdin=lines, environment=own
            )
            return self.run("write-tree", environment=own).decode().strip()

    def commit_tree(
        self, tree: str, parents: Sequence[str], message: str, author: str = "A Forge"
    ) -> str:
        names = {"GIT_AUTHOR_NAME": author, "GIT_COMMITTER_NAME": author}
        named = [part for parent in parents for part in ("-p", parent)]
        made = self.run(
            "commit-tree", tree, *named, stdin=message.encode("utf-8"), environment=names
        )
        return made.decode().strip()

    def commit(
        self,
        branch: str,
        files: Mapping[str, str | bytes | None],
        message: str,
        *,
        modes: Mapping[str, str] | None = None,
        author: str = "A Forge",
    ) -> str:
        """One more commit on a branch, as somebody's push makes it; None removes a file."""
        parent = self.head(branch)
        entries: list[tuple[str, str, str | None]] = []
        for path, content in files.items():
            raw = content.encode("utf-8") if isinstance(content, str) else content
            sha = None if raw is None else self.blob(raw)
            entries.append((path, (modes or {}).get(path, "100644"), sha))
        tree = self.tree(parent, entries)
        made = self.commit_tree(tree, [parent] if parent else [], message, author)
        self.set_ref(f"refs/heads/{branch}", made)
        return made

    def take_from(self, other: "BareRepository", commit: str) -> None:
        """Copies a commit and what it needs from another repository."""
        self.run("fetch", "--quiet", "--no-write-fetch-head", str(other.folder), commit)


@cache
def _kept(git: BareRepository, arguments: tuple[str, ...]) -> bytes:
    return git.run(*arguments)
