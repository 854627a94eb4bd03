"""The crates of a Rust repository, vendored into the image, where cargo finds them from every
folder of the workspace."""

import json
import posixpath
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from sandbox.ignore import Pattern
from sandbox.install import Install
from sandbox.patch import printable
from tasks.reading import MAX_LOCK_BYTES, RepositoryFiles, Table, strings, table, tables

CRATES = "/usr/local/share/greenroom/crates"
# cargo reads it from every folder below, and as one source only: nothing is fetched any more.
CONFIG = f"""\
[source.crates-io]
replace-with = "image"

[source.image]
directory = "{CRATES}"

[net]
offline = true
"""
NEEDS = (
    *("dependencies", "dev-dependencies", "build-dependencies"),
    *("dev_dependencies", "build_dependencies"),
)
KEPT = (*NEEDS, "features", "patch", "replace")
KEPT_OF_PACKAGE = ("name", "version", "edition", "resolver", "rust-version", "workspace")
KEPT_OF_WORKSPACE = ("members", "exclude", "resolver", "dependencies", "package")
_CRATES_IO = re.compile(
    r"(?:registry\+https://github\.com/rust-lang/crates\.io-index|sparse\+https://index\.crates\.io/)"
)


class _ForeignError(Exception):
    """A manifest or a lock names what is not taken from a repository that is not trusted."""


def find_rust_install(files: RepositoryFiles) -> tuple[Install | None, list[str]]:
    """The installation that a repository's Cargo.toml and Cargo.lock ask for, and notes for the
    user. None where nothing is to be installed, or what it needs comes from elsewhere too."""
    if any(path.startswith("vendor/") for path in files.paths):
        return None, []
    try:
        manifests = _manifests(files)
        locked = _locked(files)
    except _ForeignError as error:
        return None, [
            f"Crates are not installed: {error}. Vendor them (`cargo vendor`), or name an image "
            f"that has them."
        ]
    if not any(True for manifest in manifests.values() for _need in _needs(manifest)):
        return None, []
    content = {"cargo.config": CONFIG.encode()}
    for folder, manifest in manifests.items():
        content[posixpath.join(folder, "Cargo.toml")] = _reduced(manifest)
        if "package" in manifest:
            content[posixpath.join(folder, "src/lib.rs")] = b""
    if locked:
        content["Cargo.lock"] = locked.encode()
    options = f"{'--locked ' if locked else ''}--respect-source-config --versioned-dirs"
    install = Install(
        kind="rust",
        what=f"the crates of Cargo.{'lock' if locked else 'toml'}, with cargo",
        files=tuple(content.items()),
        commands=(
            f'CARGO_HOME="$PWD/.home" cargo vendor {options} {CRATES}',
            "install -D -m 644 cargo.config /.cargo/config.toml",
        ),
    )
    note = "There is no Cargo.lock: the newest crates that Cargo.toml takes are installed."
    return install, [] if locked else [note]


def _manifests(files: RepositoryFiles) -> dict[str, Table]:
    """The Cargo.toml of the top and of every folder that it leads to. Raises _ForeignError."""
    inner = [posixpath.dirname(p) for p in files.paths if p.endswith("/Cargo.toml")]
    found: dict[str, Table] = {}
    todo = [""]
    while todo:
        folder = todo.pop(0)
        if folder in found:
            continue
        path = posixpath.join(folder, "Cargo.toml")
        if not files.has(path) or not path.isprintable():
            raise _ForeignError(f"{printable(folder)} is not in the repository")
        manifest = found[folder] = files.toml(path)
        workspace = table(manifest, "workspace")
        members, excluded = strings(workspace.get("members")), strings(workspace.get("exclude"))
        todo += [each for each in inner if _among(each, folder, members) and each not in excluded]
        for name, need in _needs(manifest):
            if need.keys() & {"git", "registry", "registry-index"}:
                raise _ForeignError(printable(f"{name} comes from no version of the index"))
            if isinstance(need.get("path"), str):
                place = posixpath.normpath(posixpath.join(folder, need["path"]))
                todo.append("" if place == "." else place)
    return found


def _among(each: str, folder: str, globs: list[str]) -> bool:
    """Whether a folder is one of the members that are named relative to another folder."""
    named = (posixpath.normpath(posixpath.join(folder, glob)) for glob in globs)
    return any(Pattern.parse(f"/{glob}").matches(each, is_folder=True) for glob in named)


def _needs(manifest: Table) -> Iterator[tuple[str, Table]]:
    """What a manifest needs that stands in a table of its own or names a version alone."""
    patches = [table(manifest, "replace"), *table(manifest, "patch").values()]
    places = [manifest, table(manifest, "workspace"), *table(manifest, "target").values()]
    listed = [table(place, kind) for place in places if isinstance(place, dict) for kind in NEEDS]
    for needs in [*listed, *(patch for patch in patches if isinstance(patch, dict))]:
        for name, need in needs.items():
            yield name, need if isinstance(need, dict) else {}


def _locked(files: RepositoryFiles) -> str:
    """The text of Cargo.lock; empty when there is none. Raises _ForeignError."""
    text = files.text("Cargo.lock", MAX_LOCK_BYTES)
    try:
        packages = tables(tomllib.loads(text).get("package"))
    except (ValueError, RecursionError) as error:
        raise _ForeignError(printable(f"Cargo.lock cannot be read: {error}")) from None
    for package in packages:
        source = package.get("source")
        if source is not None and not _CRATES_IO.fullmatch(str(source)):
            name = f"{package.get('name')} comes from {source}"
            raise _ForeignError(printable(f"in Cargo.lock {name[:120]}"))
    return text


def _reduced(manifest: Table) -> bytes:
    """A manifest as far as it decides on the crates, without the targets, whose files are not
    there."""
    reduced: dict[str, Any] = {name: manifest[name] for name in KEPT if name in manifest}
    for section, kept in (("package", KEPT_OF_PACKAGE), ("workspace", KEPT_OF_WORKSPACE)):
        if section in manifest:
            whole = table(manifest, section)
            reduced[section] = {name: whole[name] for name in kept if name in whole}
    reduced["target"] = {
        condition: {kind: needs[kind] for kind in NEEDS if kind in needs}
        for condition, needs in table(manifest, "target").items()
        if isinstance(needs, dict)
    }
    return "".join(f"{json.dumps(k)} = {_toml(v)}\n" for k, v in reduced.items()).encode()


def _toml(value: object) -> str:
    """A value as TOML writes it on one line."""
    if isinstance(value, dict):
        pairs = (f"{_toml(str(key))} = {_toml(inner)}" for key, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
