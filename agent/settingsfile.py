"""A settings file as it stands in a checkout or in a commit of it, or in the user's folder: read
within bounds, parsed, and not yet judged."""

import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.errors import UsageError

OWN, PROJECT = "greenroom.toml", "pyproject.toml"
MOST_BYTES = 4 << 20

#: A table beside the settings that is not of them: what a maintainer lets the bot do
#: (`agent.bot.config`).
BOT = "ci"

#: Gives the content of a file by its name, None where there is no such file.
Reader = Callable[[str], bytes | None]


@dataclass(frozen=True)
class RepositoryFile:
    """The settings table of a checkout. `path` is where it stands in the checkout."""

    path: Path
    label: str
    table: Mapping[str, object] = field(default_factory=dict)


def in_folder(folder: Path) -> Reader:
    """Reads the files that lie in a folder now. A folder, a FIFO or the like where a file should be
    is a UsageError."""

    def read(name: str) -> bytes | None:
        path = folder / name
        try:
            if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
                raise UsageError(
                    f"{path} is a link out of the checkout", "Put a file in its place."
                )
            return _content(path)
        except (FileNotFoundError, NotADirectoryError):
            if path.is_symlink():
                raise UsageError(f"{path} is a link to nothing", "Mend it, or remove it.") from None
            return None
        except OSError as problem:  # such as a name too long for any file
            raise _unreadable(path, problem) from None

    return read


def repository_file(checkout: Path, read: Reader | None = None) -> RepositoryFile | None:
    """The checkout's `greenroom.toml` or its `[tool.greenroom]`, None where it has neither.

    `read` gives the files' contents; those in the checkout now unless given. Raises UsageError for
    a file that is no settings file, and where there are both: one would silence the other.
    """
    read = read or in_folder(checkout)
    own, project = read(OWN), read(PROJECT)
    table = _project_table(project, checkout / PROJECT)
    if own is None:
        if table is None:
            return None
        return RepositoryFile(checkout / PROJECT, f"{PROJECT} [tool.greenroom]", _settings(table))
    if table is not None:
        raise UsageError(
            f"{checkout} has settings both in {OWN} and in {PROJECT} below [tool.greenroom]",
            "Keep one of them.",
        )
    return RepositoryFile(checkout / OWN, OWN, _settings(parse_toml(own, checkout / OWN)))


def _settings(table: Mapping[str, object]) -> Mapping[str, object]:
    return {name: value for name, value in table.items() if name != BOT}


def _project_table(project: bytes | None, path: Path) -> Mapping[str, object] | None:
    if project is None or b"greenroom" not in project:
        return None
    tool = parse_toml(project, path).get("tool", {})
    table = tool.get("greenroom") if isinstance(tool, dict) else None
    if table is None or isinstance(table, dict):
        return table
    raise UsageError(
        f"{path}: tool.greenroom: expected a table, got {table!r:.80}",
        "Write the settings below [tool.greenroom].",
    )


def read_toml(path: Path) -> dict[str, object]:
    """The table in `path`. Raises UsageError that names the file and the bad line."""
    try:
        return parse_toml(_content(path), path)
    except OSError as problem:
        raise _unreadable(path, problem) from None


def parse_toml(data: bytes, path: Path) -> dict[str, object]:
    """The table in a file's content. Raises UsageError that names the file and the bad line."""
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path} is larger than any settings file: over {MOST_BYTES:,} bytes")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise UsageError(
            f"{path} is not valid TOML: not UTF-8 text (at line {line})", "Mend the file."
        ) from None
    except ValueError as problem:  # also a number of more digits than Python reads
        raise UsageError(f"{path} is not valid TOML: {problem}", "Mend the file.") from None
    except RecursionError:
        raise UsageError(f"{path} is not valid TOML: nested too deeply", "Mend the file.") from None


def _content(path: Path) -> bytes:
    """The content of a regular file up to the bound. Raises OSError, and UsageError for what is no
    file: nothing is waited for."""
    with open(path, "rb", opener=_at_once) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise UsageError(f"{path} is no file", "Put a file in its place, or remove it.")
        return stream.read(MOST_BYTES + 1)


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _unreadable(path: Path, problem: OSError) -> UsageError:
    return UsageError(f"cannot read {path}: {problem.strerror}")
