"""Lock files of npm, pnpm and Yarn, as far as they name packages of the index by name and version.

Each reader gives the lock as it goes into the image's build, naming no server any more, or says
with ForeignError what it names beside. Nothing else is raised, whatever a file holds.
"""

import json
import re
from typing import Any

from sandbox.patch import printable
from tasks.installs.plainyaml import NotPlainError, Value, parse

#: Stands in a lock of Yarn 1 for the address of the index, which only the build knows.
REGISTRY = "@REGISTRY@"

_TARBALL = re.compile(
    r"https?://[^\s\"#?]+?/((?:@[^\s/\"#?]+(?:/|%2f))?[^\s/@\"#?]+/-/[^\s/\"#?]+\.tgz)(#\w+)?",
    re.IGNORECASE,
)
_EXACT = re.compile(r"v?\d[\w.+-]*")
_PINNED_TARBALL = re.compile(r", tarball: ('?)([^\s,'}]+)\1(?=})")
#: A version, a range or a tag, or the same of a package under another name.
PLAIN_SPEC = re.compile(r"(?:npm:(?:@[\w.-]+/)?[\w.-]+(?:@|$))?[\w\s.^~<>=|*+,-]*")
_YARN_ENTRY = re.compile(
    r"  (?:version \"[^\"\s]*\"|integrity [\w+/=\s-]+|(?:dependencies|optionalDependencies):)"
)
_YARN_RESOLVED = re.compile(r"  resolved \"([^\"\s]*)\"")
_YARN_NEED = re.compile(r"    \"?[^\s\"]+\"? \"?([^\"]*)\"?")
_BERRY_NPM = re.compile(r"(?:@[^@/\s]+/)?[^@/\s]+@npm:\d[\w.+-]*")
_BERRY_PATCH = re.compile(
    r"[^\s#]+@patch:[^\s#]+@npm%3A[^\s#]+#(?:optional!|~)builtin<[^\s#>]+>\S*"
)
_BERRY_WORKSPACE = re.compile(r"\S+@workspace:(\S+)")


class ForeignError(Exception):
    """A lock names what is not taken from a repository that is not trusted."""


def npm(text: str, folders: tuple[str, ...]) -> bytes:
    """package-lock.json without addresses. `folders` are those of the workspaces, "" the top."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise _not_readable("it is no JSON") from None
    if not isinstance(data, dict):
        raise _not_readable("it holds no object")
    packages = data.get("packages")
    if isinstance(packages, dict):
        data.pop("dependencies", None)
        for path, entry in packages.items():
            _npm_package(path, entry, folders)
    elif isinstance(data.get("dependencies"), dict):
        _npm_tree(data["dependencies"], 0)
    else:
        raise _not_readable("it lists no packages")
    return json.dumps(data, indent=1).encode()


def _npm_package(path: str, entry: Any, folders: tuple[str, ...]) -> None:
    if not isinstance(entry, dict):
        raise _not_readable(f"{path} is no object")
    if "node_modules/" not in path:
        if path not in folders:
            raise _foreign(f"the folder {path}")
    elif entry.get("link"):
        if entry.get("resolved") not in folders:
            raise _foreign(f"the folder {entry.get('resolved')}")
    else:
        _npm_entry(path, entry)


def _npm_tree(dependencies: dict[str, Any], depth: int) -> None:
    """The packages of a lock of npm 6 and before, one within the other."""
    for name, entry in dependencies.items():
        if not isinstance(entry, dict) or depth > 100:
            raise _not_readable(f"{name} is no object")
        _npm_entry(name, entry)
        if isinstance(entry.get("dependencies"), dict):
            _npm_tree(entry["dependencies"], depth + 1)


def _npm_entry(path: str, entry: dict[str, Any]) -> None:
    entry.pop("from", None)
    resolved = entry.pop("resolved", None)
    if resolved is not None and not (isinstance(resolved, str) and _TARBALL.fullmatch(resolved)):
        raise _foreign(f"{path} at {resolved}")
    version = entry.get("version")
    if not isinstance(version, str) or not _EXACT.fullmatch(version):
        raise _foreign(f"{path} at {version}")


def pnpm(text: str, folders: tuple[str, ...]) -> tuple[bytes, list[str]]:
    """pnpm-lock.yaml as it is, less the checksum of a file that is not copied; and the options
    that it was made with."""
    text = _PINNED_TARBALL.sub(_without_tarball, text)
    data = _plain(text)
    importers = _mapping(data.get("importers")) or {".": data}
    for folder, importer in importers.items():
        if folder != "." and folder not in folders:
            raise _foreign(f"the folder {folder}")
        for kind in ("dependencies", "devDependencies", "optionalDependencies"):
            for name, entry in _mapping(_mapping(importer).get(kind)).items():
                version = _mapping(entry).get("version", entry)
                if ":" in str(version) and not str(version).startswith("link:"):
                    raise _foreign(f"{name} at {version}")
    for section in ("packages", "snapshots"):
        for name, entry in _mapping(data.get(section)).items():
            resolution = _mapping(_mapping(entry).get("resolution"))
            if ":" in name or resolution.keys() - {"integrity"}:
                raise _foreign(name)
    settings = _mapping(data.get("settings")).items()
    options = [
        f"--config.{re.sub('([A-Z])', lambda upper: '-' + upper[1].lower(), name)}={value}"
        for name, value in settings
        if re.fullmatch(r"[a-zA-Z]+", name) and value in ("true", "false")
    ]
    return re.sub(r"(?m)^pnpmfileChecksum:.*\n", "", text).encode(), options


def _without_tarball(match: re.Match[str]) -> str:
    return "" if _TARBALL.fullmatch(match[2]) else match[0]


def yarn_classic(text: str) -> bytes:
    """The yarn.lock of Yarn 1, REGISTRY in the place of every server."""
    found = []
    from_index = True
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        resolved = _YARN_RESOLVED.fullmatch(line)
        need = _YARN_NEED.fullmatch(line)
        if resolved:
            tarball = _TARBALL.fullmatch(resolved[1])
            if tarball is None:
                raise _foreign(resolved[1])
            from_index = True
            found.append(f'  resolved "{REGISTRY}/{tarball[1]}{tarball[2] or ""}"')
            continue
        if re.fullmatch(r"[^\s#].*:", line):
            if not from_index:
                raise _foreign(f"what stands above line {number}, which is not from the index")
            from_index = False
        elif need and not PLAIN_SPEC.fullmatch(need[1]):
            raise _foreign(need[1])
        elif line and not need and not line.startswith("#") and not _YARN_ENTRY.fullmatch(line):
            raise _not_readable(f"line {number} is not in the form that Yarn writes")
        found.append(line)
    if not from_index:
        raise _foreign("its last package, which is not from the index")
    return "\n".join(found).encode()


def yarn_berry(text: str, folders: tuple[str, ...]) -> bytes:
    """The yarn.lock of Yarn 2 and later, as it is."""
    for key, entry in _plain(text).items():
        if key == "__metadata":
            continue
        resolution = str(_mapping(entry).get("resolution", ""))
        workspace = _BERRY_WORKSPACE.fullmatch(resolution)
        if workspace:
            if workspace[1] != "." and workspace[1] not in folders:
                raise _foreign(f"the folder {workspace[1]}")
        elif not _BERRY_NPM.fullmatch(resolution) and not _BERRY_PATCH.fullmatch(resolution):
            raise _foreign(resolution or key)
    return text.encode()


def _plain(text: str) -> dict[str, Value]:
    try:
        return parse(text)
    except NotPlainError as error:
        raise _not_readable(str(error)) from None


def _mapping(value: object) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


def _not_readable(why: str) -> ForeignError:
    return ForeignError(f"it cannot be read: {printable(why[:120])}")


def _foreign(what: str) -> ForeignError:
    return ForeignError(f"it names {printable(what[:120])}")
