"""A task described in a TOML file, for `--task-file`: what its fields are, and reading one."""

import difflib
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from sandbox.errors import UsageError
from sandbox.patch import DEFAULT_LIMITS, EXECUTABLE, FILE, Change, Patch, check_patch


@dataclass(frozen=True)
class TaskFile:
    """A task file's fields. Where one is named as a setting is, it means the same.

    Only `instruction` is required. `repository` and `hidden` are folders, relative to the file:
    the checkout to work on (the file's own folder unless given), and tests that only the clean
    room adds, laid out as in the repository. `expected` are test ids that must pass. `test_timeout`
    is in seconds, `memory` and `workspace_size` in bytes (a number, or text such as "2G").
    """

    instruction: str
    id: str
    repository: Path
    test_cmd: str | None = None
    quick_test_cmd: str | None = None
    lint_cmd: str | None = None
    rebuild: str | None = None
    test_timeout: float | None = None
    expected: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    forbidden_additions: tuple[str, ...] = ()
    hidden: Path | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    image: str | None = None
    dockerfile: str | None = None
    python: str | None = None
    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    memory: int | None = None
    workspace_size: int | None = None
    cpus: float | None = None
    pids: int | None = None
    given: frozenset[str] = field(default=frozenset(), repr=False)

    def settings(self) -> dict[str, Any]:
        """The fields that were given and that are settings too, by name."""
        return {name: getattr(self, name) for name in sorted(self.given - _NO_SETTINGS)}

    def hidden_tests(self) -> Patch | None:
        """What `hidden` holds, as a patch that adds it. Raises UsageError for a folder that cannot
        be read, and PatchError for files that no patch may add."""
        if self.hidden is None:
            return None
        patch = Patch(tuple(additions(self.hidden)))
        check_patch(patch)
        return patch


_NO_SETTINGS = frozenset(
    {"instruction", "id", "repository", "expected", "forbidden_additions", "hidden"}
)
_FIELDS = tuple(f.name for f in fields(TaskFile) if f.name != "given")
Kind = Literal["text", "texts", "size", "number", "whole", "folder", "file", "truth"]
#: What a value has to be, where it is no text.
KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(("expected", "protected", "forbidden_additions", "include"), "texts"),
    **dict.fromkeys(("exclude", "apt", "pip", "setup", "network"), "texts"),
    **dict.fromkeys(("memory", "workspace_size"), "size"),
    **dict.fromkeys(("test_timeout", "cpus"), "number"),
    **dict.fromkeys(("repository", "hidden"), "folder"),
    "pids": "whole",
}
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def read_task_file(path: Path) -> TaskFile:
    """Read a task file.

    Raises UsageError, shown to the user, that names the file and the field: for a file that cannot
    be read or is no TOML, a missing or unknown field (with the nearest that exists), a value of
    the wrong kind, and a folder that is not there.
    """
    table = _read(path)
    for name in table:
        if name not in _FIELDS:
            close = difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.5)
            nearest = f"; did you mean {close[0]!r}?" if close else "."
            raise UsageError(
                f"{path}: there is no field {name!r}{nearest}", f"Fields: {', '.join(_FIELDS)}."
            )
    if "instruction" not in table:
        raise UsageError(
            f"{path}: the field 'instruction' is missing.",
            'It says what is to be done: instruction = "Fix the failing date test."',
        )
    home = path.absolute().parent
    values = {
        name: check_value(f"{path}: {name}", raw, KINDS.get(name, "text"), home)
        for name, raw in table.items()
    }
    values.setdefault("id", path.stem)
    values.setdefault("repository", path.absolute().parent)
    return TaskFile(**values, given=frozenset(table))


def _read(path: Path) -> Mapping[str, object]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except ValueError as problem:  # no TOML, no text, or a number of too many digits
        raise UsageError(f"{path} is not valid TOML: {problem}", "Mend the file.") from None
    except RecursionError:
        raise UsageError(f"{path} is not valid TOML: nested too deeply", "Mend the file.") from None
    except OSError as problem:
        raise UsageError(f"The task file {path} cannot be read: {problem.strerror}.") from None


def check_value(where: str, raw: object, kind: Kind, home: Path) -> Any:
    """A field's value as its kind has it; a folder or file is relative to `home`. Raises UsageError
    that begins with `where` for another one."""

    def wrong(expected: str) -> UsageError:
        return UsageError(f"{where}: expected {expected}, got {raw!r}.")

    if kind == "texts":
        if not isinstance(raw, list) or not all(isinstance(part, str) and part for part in raw):
            raise wrong("a list of texts")
        return tuple(raw)
    if kind == "size":
        return _size(raw, wrong('a size in bytes, as 536870912 or "512M"'))
    if kind == "truth":
        if not isinstance(raw, bool):
            raise wrong("true or false")
        return raw
    if kind in ("number", "whole"):
        whole = kind == "whole"
        kinds = int if whole else int | float
        if isinstance(raw, bool) or not isinstance(raw, kinds) or not 0 < raw < math.inf:
            raise wrong("a whole number above zero" if whole else "a number above zero")
        return raw
    if not isinstance(raw, str) or not raw.strip():
        raise wrong("a text that is not empty")
    if kind in ("folder", "file"):
        place = home / raw
        if not (place.is_dir() if kind == "folder" else place.is_file()):
            raise UsageError(f"{where}: there is no {kind} {place}.")
        return place
    return raw


def _size(raw: object, problem: UsageError) -> int:
    if isinstance(raw, str):
        bare = raw.strip().upper().removesuffix("IB").removesuffix("B")
        digits, unit = bare.rstrip("KMG"), bare[-1:]
        if not digits.isdecimal() or len(bare) - len(digits) > 1:
            raise problem
        return int(digits) * _UNITS.get(unit, 1)
    if isinstance(raw, bool) or not isinstance(raw, int) or raw <= 0:
        raise problem
    return raw


def additions(folder: Path) -> Iterator[Change]:
    """The files below a folder, as changes that add them. Raises UsageError for a folder with
    anything else in it, or too much."""
    total = 0
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise UsageError(f"The hidden tests have {path}, which is no regular file.")
        if path.is_file():
            total += path.stat().st_size
            if total > DEFAULT_LIMITS.total_bytes:
                raise UsageError(f"The hidden tests in {folder} are too large.")
            mode = EXECUTABLE if path.stat().st_mode & 0o100 else FILE
            yield Change(path.relative_to(folder).as_posix(), mode, path.read_bytes())
