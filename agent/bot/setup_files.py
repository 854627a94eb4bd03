"""The files that set the bot up in a checkout, worked out whole before any is written."""

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path, PurePosixPath

from agent.bot import table, workflow
from agent.bot.config import Config
from agent.bot.workflow import Wanted
from agent.settingsfile import BOT, OWN, PROJECT, in_folder, parse_toml
from sandbox.errors import UsageError
from tasks.nofollow import CheckoutFiles

GITLAB_PATH, GITLAB_CI = ".gitlab/greenroom.yml", ".gitlab-ci.yml"
_WORKFLOWS = ".github/workflows"
_NAME = re.compile(
    r"""^name:[ \t]*(?:"([^"\n]+)"|'([^'\n]+)'|([^"'\s].*?))[ \t]*(?:[ \t]#.*)?$""", re.MULTILINE
)
_SOURCE = re.compile(r"https://[\w./:@%+-]*\b[0-9a-f]{40}\b[\w./-]*\.tar\.gz")
_TAG = re.compile(r"[\w.-]{1,100}")


@dataclass(frozen=True)
class Planned:
    """A file to be written; `notes` is what is to be said of the ones that are left alone."""

    files: tuple[tuple[str, bytes], ...]
    notes: tuple[str, ...] = ()


def tests_of(top: Path) -> list[str]:
    """The names of the workflows in a checkout that run on pull requests, as the event of a failed
    run names them; the bot's own is none of them."""
    found = []
    with CheckoutFiles(top) as files, suppress(OSError):
        for name in sorted(files.names(_WORKFLOWS)):
            path = f"{_WORKFLOWS}/{name}"
            if path == workflow.PATH or PurePosixPath(name).suffix not in (".yml", ".yaml"):
                continue
            written = files.read(path).decode("utf-8", "replace")
            if "pull_request" in written:
                named = _NAME.search(written)
                found.append(next(filter(None, named.groups())) if named else path)
    return found


def for_github(top: Path, wanted: Wanted, force: bool) -> Planned:
    """The workflow and the table. Raises UsageError where a workflow is there and not `force`d."""
    content = workflow.render(wanted).encode("utf-8")
    _check_free(top, workflow.PATH, force)
    settings = _settings(top, wanted.label)
    return Planned(((workflow.PATH, content), *settings.files), settings.notes)


def for_gitlab(
    top: Path,
    source: str,
    model: str,
    tags: Sequence[str],
    minutes: int,
    label: str,
    force: bool,
    base_url: str = "",
) -> Planned:
    """The jobs, their inclusion and the table. Raises UsageError like `for_github`."""
    _check_free(top, GITLAB_PATH, force)
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise UsageError(f"no tag of a runner: {tag!r}")
    words = {
        "ARCHIVE": _address(source),
        "MODEL": json.dumps(model, ensure_ascii=True),
        "BASE_URL": json.dumps(base_url, ensure_ascii=True),
        "RUNNER": ", ".join(map(json.dumps, tags)),
        "JOB_MINUTES": str(minutes + 30),
    }
    template = resources("agent.bot") / "workflows" / "gitlab" / "greenroom.yml"
    written = re.sub(r"@([A-Z_]+)@", lambda found: words[found[1]], template.read_text("utf-8"))
    include = f"include:\n  - local: {GITLAB_PATH}\n"
    files, notes = [(GITLAB_PATH, written.encode("utf-8"))], []
    present = in_folder(top)(GITLAB_CI)
    if present is None:
        files.append((GITLAB_CI, include.encode("ascii")))
    elif GITLAB_PATH.encode("ascii") not in present:
        notes.append(f"{GITLAB_CI} is there and was left alone. Add to its `include:` the line")
        notes.append(f"  - local: {GITLAB_PATH}")
    settings = _settings(top, label)
    return Planned((*files, *settings.files), (*notes, *settings.notes))


def write(top: Path, planned: Planned) -> None:
    """Writes all of the files, or none where one cannot be. Raises UsageError."""
    staged: list[tuple[str, str]] = []
    with CheckoutFiles(top) as files, files.locked():
        try:
            for path, content in planned.files:
                for folder in reversed(PurePosixPath(path).parents[:-1]):
                    files.make_folder(str(folder))
                staged.append((files.stage(path, content, 0o666), path))
            while staged:
                files.place(*staged[0])
                del staged[0]
        except OSError as problem:
            raise UsageError(f"cannot write in {top}: {problem.strerror}") from None
        finally:
            for left, _ in staged:
                with suppress(OSError):
                    files.remove(left)


def _check_free(top: Path, path: str, force: bool) -> None:
    with CheckoutFiles(top) as files:
        if files.state(path) is not None and not force:
            raise UsageError(f"{top / path} exists", "Edit it, or give --force to replace it.")


def _address(source: str) -> str:
    """Where GitLab's jobs install Greenroom from: OWNER/REPO@COMMIT of GitHub, or the address of an
    archive of one commit."""
    if source.startswith("https://"):
        if not _SOURCE.fullmatch(source):
            raise UsageError(
                f"{source} is no .tar.gz of a commit",
                "Give the address of an archive with the commit's full id in it, such as "
                "https://gitlab.example/tools/greenroom/-/archive/COMMIT/greenroom-COMMIT.tar.gz",
            )
        return source
    name, commit = workflow.pinned(source)
    return f"https://github.com/{name}/archive/{commit}.tar.gz"


def _settings(top: Path, label: str) -> Planned:
    """The table, added to the file of settings that is there, or a new one of its own."""
    read = in_folder(top)
    own, project = read(OWN), read(PROJECT)
    said = list(_tables(top, own, project))
    if any(BOT in settings for _, settings in said):
        where, present = next((name, each[BOT]) for name, each in said if BOT in each)
        notes = [f"{where} has a table [{BOT}] already; it was left as it is."]
        there = present.get("label", Config.label) if isinstance(present, dict) else label
        if there != label:
            notes.append(f"Its label is {there!r}, and the bot answers to that one alone: write")
            notes.append(f"  label = {json.dumps(label)}")
        return Planned((), tuple(notes))
    in_project = own is None and any(name == PROJECT for name, _ in said)
    name, before = (PROJECT, project) if in_project else (OWN, own)
    header = f"tool.greenroom.{BOT}" if in_project else BOT
    set_values = {} if label == Config.label else {"label": label}
    added = table.text(header, set_values)
    content = (before or b"").rstrip(b"\n") + b"\n\n" * bool(before) + added.encode("utf-8")
    try:
        tomllib.loads(content.decode("utf-8"))
    except ValueError:  # such as `tool = { ... }`, which no later table may add to
        return Planned((), (f"Add to {name} by hand:", *added.splitlines()))
    return Planned(((name, content),))


def _tables(
    top: Path, own: bytes | None, project: bytes | None
) -> Iterator[tuple[str, dict[str, object]]]:
    """The settings that are there, by file. Raises UsageError for a file that is no TOML."""
    if own is not None:
        yield OWN, parse_toml(own, top / OWN)
    tool = parse_toml(project, top / PROJECT).get("tool", {}) if project else {}
    found = tool.get("greenroom") if isinstance(tool, dict) else None
    if isinstance(found, dict):
        yield PROJECT, found
