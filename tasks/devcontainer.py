"""A repository's devcontainer.json: what image it names, and what of it cannot be used here.

It has an image chosen or built and commands run, so it counts only as the user has trusted it: with
the Dockerfile that it names, by content.
"""

import hashlib
import posixpath
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.image import ImageSpec
from sandbox.imageenv import may_be_set
from sandbox.patch import parents
from sandbox.profile import WORKSPACE
from sandbox.trees import Base
from tasks import jsonc
from tasks.reading import RepositoryFiles, table

PLACES = (".devcontainer/devcontainer.json", ".devcontainer.json")
_ONE_OF_SEVERAL = re.compile(r"\.devcontainer/[^/]+/devcontainer\.json")
_COMMANDS = ("onCreateCommand", "updateContentCommand", "postCreateCommand")
# Files that say what is to be installed.
_MANIFEST = re.compile(
    r"[\w.-]*requirements[\w.-]*\.(txt|in)|constraints[\w.-]*\.txt|pyproject\.toml|setup\.(py|cfg)"
    r"|Pipfile(\.lock)?|(poetry|uv|pdm|Cargo|composer)\.lock|environment\.ya?ml|package\.json"
    r"|package-lock\.json|pnpm-lock\.yaml|yarn\.lock|Cargo\.toml|go\.(mod|sum)|Gemfile(\.lock)?"
    r"|pom\.xml|build\.gradle(\.kts)?|(GNUm|m|M)akefile"
)
# What would ask for more than a sandbox gives, or for what no image can hold.
_UNUSED = (
    *("features", "dockerComposeFile", "mounts", "workspaceMount", "runArgs", "privileged"),
    *("capAdd", "securityOpt", "initializeCommand", "postStartCommand", "postAttachCommand"),
    *("remoteUser", "containerUser", "workspaceFolder"),
)


@dataclass(frozen=True)
class DevContainer:
    """What a devcontainer.json says that can be used: either `image` or `dockerfile` is given, the
    latter with `context`, `target` and `build_args` as in `ImageSpec`. `commands` run in the
    checkout's files while the image is built; `variables` are `NAME=value`. `unused` names what
    else it says. `digest` stands for its content and that of its Dockerfile.
    """

    path: str
    digest: str
    image: str | None = None
    dockerfile: str | None = None
    context: str = ""
    target: str | None = None
    build_args: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


class NotUsable(Exception):
    """There is a devcontainer.json that no image can be made of; the text says why."""


def find_devcontainer(
    paths: Collection[str], text: Callable[[str], str | None]
) -> DevContainer | None:
    """The devcontainer.json among a checkout's `paths`, None where there is none; `text` gives a
    file's text, None for no file. Raises NotUsable for one of which no image can be made.
    """
    place = next((place for place in PLACES if place in paths), None)
    if place is None:
        several = sorted(path for path in paths if _ONE_OF_SEVERAL.fullmatch(path))
        if len(several) > 1:
            raise NotUsable(f"there are several: {', '.join(several)}")
        if not several:
            return None
        place = several[0]
    written = text(place) or ""
    try:
        said = jsonc.loads(written)
    except ValueError as problem:
        raise NotUsable(f"{place} cannot be read: {problem}") from None
    if not isinstance(said, dict):
        raise NotUsable(f"{place} holds no object")
    return _read(place, written, said, text)


def trusted_devcontainer(
    files: RepositoryFiles, trusted: str
) -> tuple[DevContainer | None, list[str]]:
    """The devcontainer.json of a checkout if it has the digest that the user trusted; and notes on
    what was left out.
    """
    try:
        found = find_devcontainer(
            files.paths, lambda path: files.text(path) if files.has(path) else None
        )
    except NotUsable as problem:
        return None, [f"No image was made of a devcontainer.json: {problem}."]
    if found is None:
        return None, []
    if found.digest != trusted:
        return None, [f"{found.path} is not trusted (see `greenroom trust`), so it is not used."]
    left = f"These of {found.path} are not used: {', '.join(found.unused)}."
    return found, [left] if found.unused else []


def devcontainer_digest(base: Base) -> str:
    """The digest of the devcontainer.json in a base, "" where there is none of use."""
    files = RepositoryFiles(base)
    try:
        found = find_devcontainer(
            files.paths, lambda path: files.text(path) if files.has(path) else None
        )
    except NotUsable:
        return ""
    return found.digest if found else ""


def _read(
    place: str,
    written: str,
    said: Mapping[str, Any],
    text: Callable[[str], str | None],
) -> DevContainer:
    build = table(said, "build")
    unused = [name for name in _UNUSED if said.get(name)]
    unused += ["build.options"] if build.get("options") else []
    image = _plain(said.get("image"))
    named = _plain(build.get("dockerfile") or said.get("dockerFile"))
    if image is None and named is None:
        what = "is made for docker compose" if said.get("dockerComposeFile") else "names no image"
        raise NotUsable(f"{place} {what}")
    dockerfile = context = content = None
    if named is not None:
        image = None
        dockerfile = _within(place, named)
        context = _within(place, _plain(build.get("context") or said.get("context")) or ".")
        content = text(dockerfile)
        if content is None:
            raise NotUsable(f"{place} names a Dockerfile that is not in the checkout: {named}")
        if not content.strip():  # its text is not read where it is larger than any
            raise NotUsable(f"{place} names a Dockerfile that is empty or too large: {named}")
    variables = [
        *_pairs(said.get("containerEnv"), "containerEnv", unused),
        *_pairs(said.get("remoteEnv"), "remoteEnv", unused),
    ]
    commands = [
        command for name in _COMMANDS for command in _commands(said.get(name), name, unused)
    ]
    return DevContainer(
        path=place,
        digest=_digest(written, content or ""),
        image=image,
        dockerfile=dockerfile,
        context=context or "",
        target=_plain(build.get("target")),
        build_args=tuple(_pairs(build.get("args"), "build.args", unused)),
        variables=tuple(variable for variable in variables if may_be_set(variable)),
        commands=tuple(commands),
        unused=(*unused, *(_name_of(v) for v in variables if not may_be_set(v))),
    )


def spec_of(found: DevContainer, files: RepositoryFiles) -> ImageSpec:
    """The image that a devcontainer.json describes."""
    return ImageSpec(
        base=found.image,
        dockerfile=found.dockerfile,
        context=found.context,
        target=found.target,
        build_args=found.build_args,
        variables=found.variables,
        create=found.commands,
        create_inputs=inputs_of(files, found.commands) if found.commands else "",
    )


def inputs_of(files: RepositoryFiles, commands: Collection[str]) -> str:
    """SHA-256 over the files of a checkout that commands are taken to depend on: what declares
    dependencies, what lies beside devcontainer.json, and what the commands name.
    """
    named = {
        posixpath.normpath(word.removeprefix(f"{WORKSPACE}/"))
        for command in commands
        for word in re.split(r"[^\w./@+-]+", command)
        if word
    } - {".", ".."}
    chosen = [
        path
        for path in files.paths
        if _MANIFEST.fullmatch(posixpath.basename(path))
        or path.startswith(".devcontainer/")
        or path in named
        or named & set(parents(path))
    ]
    return _digest(*(f"{path}\0{blob}" for path, blob in files.blobs(chosen).items()))


def _digest(*texts: str) -> str:
    """SHA-256 over texts, each with its length."""
    data = b"".join(
        b"%d\0%s" % (len(raw), raw) for raw in (t.encode("utf-8", "surrogateescape") for t in texts)
    )
    return hashlib.sha256(data).hexdigest()


def _plain(value: object) -> str | None:
    """A text that needs nothing of the machine that it is read on."""
    text = value.strip() if isinstance(value, str) else ""
    return text if text and "${" not in text else None


def _within(place: str, path: str) -> str:
    """A path beside devcontainer.json, from the top of the checkout, "" for that itself. Raises
    NotUsable for one that leads out of it."""
    found = posixpath.normpath(posixpath.join(posixpath.dirname(place), path))
    if found.startswith(("/", "../")) or found == "..":
        raise NotUsable(f"{place} names a path outside of the checkout: {path}")
    return "" if found == "." else found


def _pairs(value: object, name: str, unused: list[str]) -> Iterator[str]:
    """The entries of an object as `NAME=value`; those that are no plain text go to `unused`."""
    for key, text in value.items() if isinstance(value, dict) else ():
        if isinstance(text, str) and "${" not in text and "=" not in key:
            yield f"{key}={text}"
        else:
            unused.append(f"{name}.{key}")


def _name_of(variable: str) -> str:
    return f"containerEnv.{variable.partition('=')[0]}"


def _commands(value: object, name: str, unused: list[str]) -> Iterator[str]:
    """A command, a list of words, or an object of several of these, as lines for a shell."""
    for each in value.values() if isinstance(value, dict) else [value]:
        words = isinstance(each, list) and all(isinstance(word, str) for word in each)
        line = shlex.join(each) if words and isinstance(each, list) else each
        if not isinstance(line, str) or not line.strip():
            continue
        line = line.replace("${containerWorkspaceFolder}", WORKSPACE)
        if re.search(r"\$\{(local|container|devcontainer)\w*[:}]", line):
            unused.append(name)
        else:
            yield line
