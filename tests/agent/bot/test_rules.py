import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bot.config import Config
from agent.bot.rules import FORBIDDEN, LONGEST_LINE, forbidden, violations
from sandbox.patch import EXECUTABLE, FILE, GITLINK, SYMLINK, Change, Patch

SETTINGS = b"[tool.greenroom]\ntest = 'pytest'\n[project]\nname = 'x'\n"
FORBIDDEN_PATHS = [
    ".github/workflows/ci.yml",
    ".github/dependabot.yml",
    ".github/CODEOWNERS",
    "sub/.github/workflows/ci.yml",
    ".gitlab-ci.yml",
    "templates/build.gitlab-ci.yml",
    ".gitlab/agents/a/config.yaml",
    "action.yml",
    "ci/run.sh",
    ".circleci/config.yml",
    "Jenkinsfile",
    "azure-pipelines.yml",
    ".pre-commit-config.yaml",
    ".husky/pre-commit",
    ".vscode/tasks.json",
    ".claude/settings.json",
    ".envrc",
    ".gitattributes",
    ".gitmodules",
    "CODEOWNERS",
    "docs/CODEOWNERS",
    "greenroom.toml",
    "package-lock.json",
    "web/yarn.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "uv.lock",
    "Pipfile.lock",
    "constraints.txt",
    "Cargo.lock",
    "go.sum",
    "Gemfile.lock",
    "composer.lock",
    "gradle.lockfile",
    ".npmrc",
    "pip.conf",
    ".cargo/config.toml",
    "gradle/wrapper/gradle-wrapper.properties",
    "release.sh",
    "scripts/release.py",
    "scripts/publish",
    "tools/deploy.js",
    ".goreleaser.yaml",
    ".releaserc.json",
    ".gitpod.yml",
    ".drone.jsonnet",
    ".builds/one.yml",
    "bors.toml",
    ".bazelrc",
    "ci/Jenkinsfile.release",
    "AGENTS.md",
    "sub/CLAUDE.md",
    ".cursorrules",
    # A file that takes a folder's place, and so all that is in it.
    ".github",
    ".gitlab",
    "sub/.GitHub",
    ".circleci",
    # Spelled so that some file system takes it for another.
    ".GITHUB/workflows/ci.yml",
    ".github./workflows/ci.yml",
    ".github \u200c/workflows/ci.yml",
    ".git\u200chub/workflows/ci.yml",
    ".github\\workflows\\ci.yml",
    "Greenroom.TOML",
    "greenroom.toml::$DATA",
    "CodeOwners",
    "YARN.LOC\u212a",
    "packa\u200dge-lock.json",
    "SCRIPT\u017f/relea\u017fe.py",
]
ALLOWED_PATHS = [
    "src/app.py",
    "tests/test_app.py",
    "README.md",
    "CHANGELOG.md",
    "docs/release-notes.md",
    "releases.md",
    "src/release.py",
    "src/deploy/aws.py",
    "src/github/workflows.py",
    "package.json",
    "setup.py",
    "Makefile",
    "Dockerfile",
    "src/lock.py",
    "src/ci/run.py",
    "pyproject.toml",
]


def change(path: str, content: bytes | None = b"x\n", mode: int = FILE) -> Patch:
    return Patch((Change(path, None if content is None else mode, content),))


def judged(patch: Patch, base: dict[str, bytes] | None = None, **config: object) -> tuple[str, ...]:
    return violations(patch, (base or {}).get, Config(**config))  # type: ignore[arg-type]


@pytest.mark.parametrize("path", FORBIDDEN_PATHS)
def test_what_no_patch_may_touch(path: str) -> None:
    assert forbidden(path)


@pytest.mark.parametrize(("content", "before"), [(b"x", None), (b"x", b"old"), (None, b"old")])
def test_neither_added_nor_changed_nor_removed(content: bytes | None, before: bytes | None) -> None:
    base = {} if before is None else {"uv.lock": before}
    (told,) = judged(change("uv.lock", content), base)
    assert told == "uv.lock is a lockfile, which nobody can review."


@pytest.mark.parametrize("path", ALLOWED_PATHS)
def test_what_a_patch_may_change(path: str) -> None:
    assert not forbidden(path)


def test_a_patch_like_any_other() -> None:
    patch = Patch((*change("src/app.py"), *change("tests/test_app.py"), *change("old.py", None)))
    assert judged(patch, {"src/app.py": b"old\n", "old.py": b"old\n"}) == ()


def test_a_maintainer_can_allow_it() -> None:
    patch = Patch((*change("uv.lock"), *change(".github/workflows/ci.yml")))
    assert len(judged(patch)) == 2
    (told,) = judged(patch, allow=("uv.lock",))
    assert told.startswith(".github/workflows/ci.yml is run by a forge")
    assert judged(patch, allow=("*.lock", "/.github/")) == ()
    assert len(judged(patch, allow=("*", "!uv.lock"))) == 1


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        (SETTINGS, SETTINGS.replace(b"'x'", b"'y'"), True),
        (SETTINGS, SETTINGS.replace(b"pytest", b"true"), False),
        (SETTINGS, SETTINGS + b"[tool.greenroom.ci]\nallow = ['*']\n", False),
        (SETTINGS, SETTINGS.replace(b"[tool.greenroom]", b"[tool.other]"), False),
        (SETTINGS, None, False),
        (SETTINGS, SETTINGS + b"[", False),
        (b"[project]\n", b"[project]\ntool = 1\n", True),
        (b"tool = 1\n", b"tool = 2\n", True),
        (b"[project]\n", SETTINGS, False),
        (b"[project]\n", b'["tool"."greenroom".ci]\nlabel = "x"\n', False),
        (b"[project]\n", b"tool.greenroom.ci.label = 'x'\n", False),
        (None, SETTINGS, False),
        (None, b"[project]\n", True),
        (b"\xff", b"\xfe", False),
    ],
)
def test_the_bots_own_table(before: bytes | None, after: bytes | None, allowed: bool) -> None:
    base = {} if before is None else {"pyproject.toml": before}
    found = judged(change("pyproject.toml", after), base)
    assert (found == ()) is allowed
    assert judged(change("pyproject.toml", after), base, allow=("/pyproject.toml",)) == ()


def test_a_table_below_is_none_of_the_bots() -> None:
    assert judged(change("sub/pyproject.toml", SETTINGS)) == ()


@pytest.mark.parametrize(("mode", "told"), [(SYMLINK, "symbolic link"), (GITLINK, "submodule")])
def test_no_links(mode: int, told: str) -> None:
    (found,) = judged(change("src/x", b"../../etc/passwd", mode), allow=("*",))
    assert told in found


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", ".git/hooks/pre-commit", "a/.GIT/config"])
def test_no_places_elsewhere(path: str) -> None:
    assert judged(change(path), allow=("*",)) != ()


def test_no_new_programs() -> None:
    script = change("src/run.sh", b"#!/bin/sh\n", EXECUTABLE)
    (told,) = judged(script)
    assert "new program" in told
    assert judged(script, {"src/run.sh": b"#!/bin/bash\n"}) == ()
    assert judged(script, allow=("*.sh",)) == ()


def test_nothing_that_is_no_text() -> None:
    (told,) = judged(change("logo.png", b"\x89PNG\0"))
    assert "no text" in told
    assert judged(change("logo.png", None), {"logo.png": b"\x89PNG\0"}) == ()


def test_no_line_that_nobody_reads() -> None:
    line = b"x" * (LONGEST_LINE + 1)
    (told,) = judged(change("a.js", line))
    assert "4,000 bytes" in told
    assert judged(change("a.js", line[1:])) == ()
    assert judged(change("a.js", line + b"\nx\n"), {"a.js": line + b"\n"}) == ()


@pytest.mark.parametrize("mark", "\u202a\u202e\u2066\u2069")
def test_no_marks_of_direction(mark: str) -> None:
    text = f"if a {mark}b:\n".encode()
    (told,) = judged(change("a.py", text))
    assert "direction" in told
    assert judged(change("a.py", text + b"c\n"), {"a.py": text}) == ()


def test_how_many_files() -> None:
    patch = Patch(tuple(Change(f"{at}.py", FILE, b"") for at in range(4)))
    asked: list[str] = []

    def base(path: str) -> bytes | None:
        asked.append(path)
        return None

    assert violations(patch, base, Config(max_files=4)) == ()
    asked.clear()
    (told,) = violations(patch, base, Config(max_files=3, allow=("*",)))
    assert "4 files" in told
    assert asked == []


def test_how_many_lines() -> None:
    base = {"a.py": b"1\n2\n3\n4\n", "b.py": b"1\n2\n"}
    patch = Patch((*change("a.py", b"1\n2\nx\n4\n5\n"), *change("b.py", None)))
    assert judged(patch, base, max_lines=5) == ()
    (told,) = judged(patch, base, max_lines=4, allow=("*",))
    assert "5 lines" in told


def test_a_path_is_told_so_that_it_can_be_shown() -> None:
    (told,) = judged(change(".github/\u202e.yml"))
    assert told.startswith(".github/\\u202e.yml is")


def test_patterns_are_in_small_letters() -> None:
    assert all(each == each.lower() for group in FORBIDDEN.values() for each in group)


@given(st.sampled_from(FORBIDDEN_PATHS[:44]), st.data())
def test_no_spelling_of_it_is_allowed(path: str, data: st.DataObject) -> None:
    spelled = "".join(
        data.draw(st.sampled_from([c, c.upper(), f"{c}\u200c", f"{c}\ufeff"])) for c in path
    )
    assert forbidden(spelled)
