"""What a patch of the bot may not do, however well it is proved; judged where nobody's code runs.

Sentences name paths as a patch has them: text of a model, to be made harmless before it is shown.
"""

import tomllib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from agent.bot.changed import ChangedFile, changed_files
from agent.bot.config import Config
from agent.settingsfile import OWN, PROJECT, Reader
from sandbox.errors import PatchError
from sandbox.ignore import IgnoreRules
from sandbox.patch import EXECUTABLE, Patch, check_patch, folded, printable
from tasks.protection import ELSEWHERE


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SCRIPTS = ("", ".sh", ".bash", ".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl", ".ps1", ".bat")
_RELEASE_FOLDERS = ("", "script/", "scripts/", "bin/", "tools/", "hack/", "build/", "dev/", "ci/")
_RELEASE_NAMES = ("release", "publish", "deploy", "make-release", "make_release")

#: Gitignore patterns in small letters, by what their files are; a path is looked at in the spelling
#: that some file system could take it for.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "says who must review": _patterns("codeowners"),
    "is the bot's own configuration": (f"/{OWN}", f"/{OWN}/"),
    "is run by a forge, an editor or a shell by itself": (
        *(pattern.lower() for pattern in ELSEWHERE),
        *_patterns("""
            *.gitlab-ci.y*ml action.y*ml /ci/ .teamcity/ .semaphore/ .tekton/ .github/ .gitlab/
            buildspec.y*ml cloudbuild.y*ml .renovaterc* renovate.json* .mergify.y*ml codecov.y*ml
            .codecov.y*ml netlify.toml vercel.json
            .readthedocs.y*ml .gitpod.* .drone.* .build.y*ml .builds/ .zuul.y*ml .zuul.d/ /zuul.d/
            bors.toml .rultor.yml .bazelci/ .bazelrc .dependabot/ .pre-commit-hooks.yaml
            *jenkinsfile* .pipelines/ .harness/ buildkite.y*ml
        """),
    ),
    "is what agents and editors take their orders from": _patterns(
        ".cursorrules .windsurfrules .clinerules* agents.md claude.md gemini.md"
    ),
    "is a lockfile, which nobody can review": _patterns("""
        package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock bun.lockb deno.lock
        poetry.lock uv.lock pdm.lock pipfile.lock pixi.lock pylock*.toml conda-lock.y*ml
        constraints*.txt cargo.lock go.sum go.work.sum composer.lock gemfile.lock mix.lock
        pubspec.lock podfile.lock cartfile.resolved package.resolved packages.lock.json paket.lock
        gradle.lockfile *.lockfile verification-metadata.xml flake.lock .terraform.lock.hcl
        module.bazel.lock rebar.lock stack.yaml.lock cabal.project.freeze
    """),
    "says where packages come from": _patterns("""
        .npmrc .yarnrc* .pnpmfile.* .yarn/ bunfig.toml pip.conf pip.ini .pypirc .netrc .cargo/
        nuget.config .bundle/ .mvn/ gradle-wrapper.* gradlew gradlew.bat mvnw mvnw.cmd
    """),
    "is for releases": (
        *(
            f"/{folder}{name}{suffix}"
            for folder in _RELEASE_FOLDERS
            for name in _RELEASE_NAMES
            for suffix in _SCRIPTS
        ),
        *_patterns("""
            .goreleaser* .releaserc* release.config.* .release-it.* release-please-config.json
            .release-please-manifest.json .changeset/config.json .bumpversion* fastlane/
            lerna.json
        """),
    ),
}
#: Marks of direction, with which a line reads otherwise than it runs.
_DIRECTIONS = tuple(chr(code).encode() for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
LONGEST_LINE = 4000


def violations(patch: Patch, base: Reader, config: Config) -> tuple[str, ...]:
    """Why the patch may not be published, a sentence each; none for one that may. What `allow`
    names is free of all but the sizes, and of links and places elsewhere.

    `base` gives files of the commit that the patch is made for, `config` is the default branch's.
    Where the patch changes too many files none of them is read.
    """
    try:
        check_patch(patch)
    except PatchError as problem:
        return (problem.message,)
    if len(patch) > config.max_files:
        return (f"It changes {len(patch)} files; at most {config.max_files} are allowed.",)
    files = changed_files(patch, base)
    found = [
        f"{printable(file.change.path)} {reason}."
        for file in files
        if not _rules(config.allow).ignores(file.change.path)
        for reason in _reasons(file)
    ]
    lines = sum(len(file.added) + file.removed for file in files)
    if lines > config.max_lines:
        found.append(f"It changes {lines} lines; at most {config.max_lines} are allowed.")
    return tuple(found)


def forbidden(path: str) -> str:
    """What the file at `path` is that a patch may not touch, after "it"; empty for any other."""
    spelled = _spelled(path)
    for why, patterns in FORBIDDEN.items():
        # A file in the place of a folder takes away all that is in it.
        if any(map(_rules(patterns).ignores, (spelled, f"{spelled}/x"))):
            return why
    return ""


def _spelled(path: str) -> str:
    return "/".join(folded(name).casefold() for name in path.replace("\\", "/").split("/"))


def _reasons(file: ChangedFile) -> Iterator[str]:
    path = file.change.path
    if reason := forbidden(path):
        yield reason
    if _spelled(path) == PROJECT and _own_settings(file.before) != _own_settings(
        file.change.content
    ):
        yield "changes the bot's own configuration, [tool.greenroom]"
    if file.binary and file.change.content is not None:
        yield "is no text, so nobody can review it"
    # The mode that an existing file had is not asked for: what runs it is looked at instead.
    if file.before is None and file.change.mode == EXECUTABLE:
        yield "is a new program"
    if any(len(line) > LONGEST_LINE for _, line in file.added):
        yield f"has lines of more than {LONGEST_LINE:,} bytes, which nobody reviews"
    if any(mark in line for _, line in file.added for mark in _DIRECTIONS):
        yield "has marks of direction, with which code reads otherwise than it runs"


def _own_settings(project: bytes | None) -> Any:
    """The table [tool.greenroom]; the content itself where it cannot be read."""
    try:
        tool: Any = tomllib.loads((project or b"").decode("utf-8")).get("tool")
    except (ValueError, RecursionError):
        return project
    return tool.get("greenroom") if isinstance(tool, dict) else None


@lru_cache(maxsize=32)
def _rules(patterns: tuple[str, ...]) -> IgnoreRules:
    return IgnoreRules((("", patterns),))
