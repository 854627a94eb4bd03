"""Git on the host: one hardened way to run it, used by everything that needs git.

A repository's own settings can make git run programs (fsmonitor, hooks, filters, pagers, remote
helpers), and so can the environment that Greenroom was started in. So git runs with an environment
of its own, settings that outrank any repository's, a time limit and resource limits, through
GitPython's `Git().execute`. Filters cannot be switched off by settings: callers use only commands
that run none.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

from sandbox.errors import GreenroomError, SetupError

ENVIRONMENT: Mapping[str, str] = {
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_PROTOCOL_FROM_USER": "0",
}
SETTINGS: tuple[str, ...] = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.autocrlf=false",
    "core.safecrlf=false",
    "core.symlinks=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "protocol.allow=never",
    "submodule.recurse=false",
    "safe.bareRepository=explicit",
    "gc.auto=0",
)
# `env -i` drops what GitPython copies from this process; `ulimit` instead of a function run
# between fork and exec, which can deadlock in a program with threads. A limit that cannot be set
# is one that the system does not have, or one that is already lower.
# The shell changes folder itself because GitPython expands `~` and `$` in the folder it is given.
WRAPPER = (
    'for limit in "$1" "$2" "$3"; do ulimit $limit 2>/dev/null || :; done; '
    'cd -- "$4" || exit 126; shift 4; exec /usr/bin/env -i "$@"'
)
# What nobody may see in a list of processes comes on standard input, before git's own.
PRIVATE = 'while IFS= read -r pair && [ -n "$pair" ]; do export "$pair"; done; exec "$@"'


@dataclass(frozen=True)
class GitLimits:
    """What one git process may use: wall-clock and CPU seconds, address space, size of one file."""

    seconds: float = 300.0
    cpu_seconds: int = 300
    memory_bytes: int = 8 << 30
    file_bytes: int = 8 << 30


DEFAULT_LIMITS = GitLimits()


class GitError(GreenroomError):
    """A git command on the host that failed; `stderr` is what git said, `status` its exit code."""

    def __init__(self, command: str, status: int, stderr: str) -> None:
        said = stderr.strip() or "no message"
        super().__init__(f"git {command} failed with status {status}: {said}")
        self.status = status
        self.stderr = stderr


@dataclass(frozen=True)
class GitResult:
    """What a finished git command left: exit status (negative: the signal), output, messages."""

    status: int
    stdout: bytes
    stderr: str


@dataclass(frozen=True)
class Git:
    """Git bound to one repository.

    `directory` is the git directory itself, always named explicitly, so that nothing is discovered.
    `work_tree` overrides what the repository's settings say, and is then the current folder.
    `settings` are further `name=value` pairs, `environment` further variables, None to drop
    one of the fixed ones. `private` are variables that hold secrets: they are in git's environment
    and in no argument of any process.
    """

    directory: Path | None = None
    work_tree: Path | None = None
    settings: tuple[str, ...] = ()
    environment: Mapping[str, str | None] | None = None
    private: Mapping[str, str] = field(default_factory=dict, repr=False)

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        limits: GitLimits = DEFAULT_LIMITS,
        check: bool = True,
    ) -> GitResult:
        """Run one command to its end. Raises GitError when it fails (unless `check` is false) or
        takes too long, SetupError when the machine has no git."""
        with self.process(*arguments, environment=environment, limits=limits) as process:
            try:
                stdout, stderr = process.communicate(
                    self._private_lines() + stdin, timeout=limits.seconds
                )
            except subprocess.TimeoutExpired:
                message = f"stopped: it took longer than {limits.seconds:g} seconds"
                raise GitError(arguments[0], -signal.SIGKILL, message) from None
        result = GitResult(process.returncode, stdout, stderr.decode("utf-8", "replace"))
        if result.status and "No space left on device" in result.stderr:
            raise SetupError(
                f"git {arguments[0]} could not write: the disk of {self.directory} is full.",
                "Free some space and try again.",
            )
        if check and result.status:
            raise GitError(arguments[0], result.status, result.stderr)
        return result

    @contextmanager
    def process(
        self,
        *arguments: str,
        stdin: int | IO[bytes] = subprocess.PIPE,
        environment: Mapping[str, str] | None = None,
        limits: GitLimits = DEFAULT_LIMITS,
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Start one command and give its process, for streaming. Whatever is left of it is killed
        at the end. The time limit is the caller's to keep, and what is private is `run`'s alone.
        Raises SetupError without git."""
        command = self._command(arguments, environment or {}, limits)
        # The wrapper object terminates its process when collected: it has to live as long.
        running = _git_python().execute(
            command, istream=stdin, as_process=True, start_new_session=True
        )
        process: subprocess.Popen[bytes] = running.proc
        try:
            yield process
        finally:
            _end(process)

    def _command(
        self, arguments: Sequence[str], environment: Mapping[str, str], limits: GitLimits
    ) -> list[str]:
        variables: dict[str, str | None] = {**ENVIRONMENT, "PATH": _search_path()}
        if self.directory is not None:
            variables["GIT_DIR"] = str(self.directory)
        if self.work_tree is not None:
            variables["GIT_WORK_TREE"] = str(self.work_tree)
        variables |= {**(self.environment or {}), **environment}
        ulimits = (
            f"-t {limits.cpu_seconds}",
            f"-v {limits.memory_bytes // 1024}",
            f"-f {limits.file_bytes // 512}",
        )
        folder = self.work_tree or self.directory or Path("/")
        command = ["/bin/sh", "-c", WRAPPER, "git", *ulimits, str(folder)]
        command += [f"{name}={value}" for name, value in variables.items() if value is not None]
        command += ["/bin/sh", "-c", PRIVATE, "git"] if self.private else []
        command += [_executable(), "--no-pager"]
        for setting in (*SETTINGS, *self.settings):
            command += ["-c", setting]
        return [*command, *arguments]

    def _private_lines(self) -> bytes:
        if not self.private:
            return b""
        lines = [f"{name}={value}" for name, value in self.private.items()]
        if any("\n" in line or "\0" in line for line in lines):
            raise ValueError("a private variable of more than one line")
        return "\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Leave nothing of a process: it leads a session of its own, so its group is its children."""
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _search_path() -> str:
    """PATH without its relative entries: a folder worked on must not provide programs."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if os.path.isabs(entry))


def _executable() -> str:
    found = shutil.which("git", path=_search_path())
    if found is None:
        raise SetupError(
            "git was not found on this machine.",
            "Install it (Debian and Ubuntu: apt-get install git) and try again.",
        )
    return found


@cache
def _git_python() -> Any:
    """GitPython's command runner. Its import starts git, so it waits until git is needed."""
    _executable()
    try:
        from git.cmd import Git as Runner  # noqa: PLC0415
    except ImportError as error:
        raise SetupError(
            f"git could not be started: {error}", "See that `git version` works, and try again."
        ) from error
    return Runner()
