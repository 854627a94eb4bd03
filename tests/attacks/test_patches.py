"""Attacks by a patch: what a stranger's diff, or a patch out of a sandbox, must not do to the tree
that it is applied to; each beside what git or patch would make of it."""

import base64
import hashlib
import os
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from sandbox.container import Sandbox
from sandbox.errors import PatchError
from sandbox.git import Git
from sandbox.ignore import IgnoreRules
from sandbox.image import Image
from sandbox.patch import FILE, SYMLINK, Change, Patch, PatchLimits
from sandbox.trees import Base, TreeStore
from tasks.protection import forbidden_patterns, protected_patterns, violations
from tasks.task import Checks
from tests.attacks.controls import POLICY, sandbox_without

CODE = b"".join(b"line %d\n" % number for number in range(1, 21))
FILES = [
    ("src/code.py", FILE, CODE),
    ("top.txt", FILE, b"first\nsecond\nthird\n"),
    ("folder/inner.txt", FILE, b"inner\n"),
    ("link", SYMLINK, b"folder"),
]
GIT = ("git", "apply")
ANYWHERE = ("git", "apply", "--unsafe-paths", "--no-index")
PATCH = ("patch", "-p1", "-s")
COMMIT = b"Subproject commit " + b"1" * 40


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TreeStore:
    return TreeStore.create(tmp_path_factory.mktemp("patches") / "trees")


@pytest.fixture(scope="module")
def base(store: TreeStore) -> str:
    return store.add_tree(FILES)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The same files, checked out."""
    top = tmp_path / "outer" / "top"
    for path, mode, content in FILES:
        place = top / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if mode == SYMLINK:
            place.symlink_to(content.decode())
        else:
            place.write_bytes(content)
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    subprocess.run(["git", "-C", str(top), "add", "."], check=True)
    return top


def plainly(checkout: Path, diff: bytes, tool: Sequence[str]) -> None:
    """Apply a diff as anybody would. Raises CalledProcessError where the tool refuses it."""
    subprocess.run(list(tool), cwd=checkout, input=diff, check=True, capture_output=True)


def new_file(name: bytes, content: bytes = b"x") -> bytes:
    return b"--- /dev/null\n+++ b/%s\n@@ -0,0 +1 @@\n+%s\n" % (name, content)


def of_mode(mode: bytes, content: bytes) -> bytes:
    header = b"diff --git a/it b/it\nnew file mode %s\n" % mode
    return header + new_file(b"it", content) + b"\\ No newline at end of file\n"


@pytest.mark.parametrize(
    ("diff", "tool", "appears"),
    [
        pytest.param(
            new_file(b"../up"),
            (*GIT, "--unsafe-paths", "--no-index"),
            "../up",
            id="out of the tree",
        ),
        pytest.param(new_file(b".git/hooks/x"), PATCH, ".git/hooks/x", id="a hook"),
        pytest.param(new_file(b".GIT/config"), PATCH, ".GIT/config", id="in capitals"),
        pytest.param(new_file(b"git~1/config"), PATCH, "git~1/config", id="in short form"),
        pytest.param(
            new_file(b"a/.g\xe2\x80\x8cit/x"), GIT, "a/.g\u200cit/x", id="with an ignored letter"
        ),
        pytest.param(new_file(b"link/x"), PATCH, "folder/x", id="through a link"),
        pytest.param(of_mode(b"120000", b"/etc/passwd"), GIT, "it", id="a link"),
        pytest.param(
            of_mode(b"160000", b"Subproject commit " + b"1" * 40), GIT, "it", id="a commit"
        ),
        pytest.param(
            b'diff --git "a/x\\ny" "b/x\\ny"\nnew file mode 100644\n--- /dev/null\n+++ "b/x\\ny"\n'
            b"@@ -0,0 +1 @@\n+x\n",
            GIT,
            "x\ny",
            id="a name of two lines",
        ),
        pytest.param(
            b"diff --git a/link b/copied\nsimilarity index 100%\ncopy from link\ncopy to copied\n",
            GIT,
            "copied",
            id="a copied link",
        ),
    ],
)
def test_what_no_diff_may_make_is_refused(
    diff: bytes, tool: Sequence[str], appears: str, store: TreeStore, base: str, checkout: Path
) -> None:
    with pytest.raises(PatchError) as refusal:
        store.from_diff(base, diff)
    assert refusal.value.message.isprintable()
    plainly(checkout, diff, tool)
    assert os.path.lexists(checkout / appears)


def test_a_link_cannot_be_led_elsewhere(store: TreeStore, base: str, checkout: Path) -> None:
    end = b"\\ No newline at end of file\n"
    diff = (
        b"diff --git a/link b/link\nindex 111..222 120000\n--- a/link\n+++ b/link\n@@ -1 +1 @@\n"
        b"-folder\n%s+/etc\n%s" % (end, end)
    )
    with pytest.raises(PatchError, match="symbolic link"):
        store.from_diff(base, diff)
    plainly(checkout, diff, GIT)
    assert os.readlink(checkout / "link") == "/etc"


def test_headers_do_not_decide_which_file_is_changed(
    store: TreeStore, base: str, checkout: Path
) -> None:
    # Who reads the first line allows a change of src/code.py.
    diff = (
        b"diff --git a/src/code.py b/src/code.py\n--- a/top.txt\n+++ b/top.txt\n"
        b"@@ -1,3 +1,3 @@\n first\n-second\n+SECOND\n third\n"
    )
    assert store.from_diff(base, diff).paths == ("top.txt",)
    plainly(checkout, diff, GIT)
    assert "SECOND" in (checkout / "top.txt").read_text()


@pytest.mark.parametrize(
    "path", [".github/workflows/x.yml", ".gitmodules", ".vscode/tasks.json", ".husky/pre-commit"]
)
def test_a_bare_diff_to_what_others_run_is_named(
    path: str, store: TreeStore, base: str, checkout: Path
) -> None:
    diff = new_file(path.encode())
    checks = Checks(
        "pytest",
        "pytest",
        protected=protected_patterns("python"),
        forbidden_additions=forbidden_patterns("python"),
    )
    found = violations(checks, Base(store, base), store.from_diff(base, diff))
    assert [violation.path for violation in found] == [path]
    plainly(checkout, diff, PATCH)
    assert (checkout / path).exists()


def test_an_absolute_name_stays_in_the_tree(store: TreeStore, base: str, tmp_path: Path) -> None:
    target = tmp_path / "outside"
    diff = b"--- /dev/null\n+++ %s\n@@ -0,0 +1 @@\n+x\n" % os.fsencode(target)
    assert store.from_diff(base, diff).paths == (str(target).removeprefix("/"),)
    # With its names as they stand, it goes where it says.
    tool = [*ANYWHERE, "-p0"]
    subprocess.run(tool, cwd=tmp_path, input=diff, check=True, capture_output=True)
    assert target.exists()


# -- what becomes too large -----------------------------------------------------------------------


def git_base85(data: bytes) -> bytes:
    lines = []
    for start in range(0, len(data), 52):
        part = data[start : start + 52]
        length = chr(64 + len(part)) if len(part) <= 26 else chr(70 + len(part))
        padded = part + bytes(-len(part) % 4)
        lines.append(length.encode() + base64.b85encode(padded) + b"\n")
    return b"".join(lines)


def binary_patch(name: bytes, data: bytes, declared: int) -> bytes:
    oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest().encode()
    header = b"diff --git a/%s b/%s\nnew file mode 100644\nindex %s..%s\n"
    body = b"GIT binary patch\nliteral %d\n%s\n" % (declared, git_base85(zlib.compress(data)))
    return header % (name, name, b"0" * 40, oid) + body


def test_a_small_patch_that_becomes_huge_is_refused_before_git_reads_it(
    store: TreeStore, base: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 40 << 20
    bomb = binary_patch(b"bomb", bytes(size), size)
    assert len(bomb) < 64 << 10
    with monkeypatch.context() as patch:
        patch.setattr("sandbox.outside._apply", lambda *_: pytest.fail("git was run"))
        with pytest.raises(PatchError, match="declares binary contents of 41,943,040 bytes"):
            store.from_diff(base, bomb, PatchLimits(total_bytes=16 << 20))
    plainly(checkout, bomb, GIT)
    assert (checkout / "bomb").stat().st_size == size


def test_a_patch_that_understates_its_size_is_refused(
    store: TreeStore, base: str, checkout: Path
) -> None:
    liar = binary_patch(b"liar", bytes(1 << 20), 100)
    with pytest.raises(PatchError):
        store.from_diff(base, liar)
    with pytest.raises(subprocess.CalledProcessError):  # git looks at it too
        plainly(checkout, liar, GIT)


def test_many_binary_contents_are_summed(store: TreeStore, base: str, checkout: Path) -> None:
    text = b"".join(binary_patch(b"f%d" % n, bytes(3000), 3000) for n in range(10))
    with pytest.raises(PatchError, match="30,000"):
        store.from_diff(base, text, PatchLimits(total_bytes=14_000))
    assert len(store.from_diff(base, text)) == 10
    plainly(checkout, text, GIT)
    assert (checkout / "f9").stat().st_size == 3000


def test_copies_that_grow_beyond_the_limit_are_refused(store: TreeStore, checkout: Path) -> None:
    tree = store.add_tree([("big", FILE, bytes(1 << 20))])
    (checkout / "big").write_bytes(bytes(1 << 20))
    text = b"".join(
        b"diff --git a/big b/c%d\nsimilarity index 100%%\ncopy from big\ncopy to c%d\n" % (n, n)
        for n in range(20)
    )
    with pytest.raises(PatchError, match="together"):
        store.from_diff(tree, text, PatchLimits(total_bytes=10 << 20))
    plainly(checkout, text, GIT)
    assert sum(path.stat().st_size for path in checkout.glob("c*")) == 20 << 20


def test_a_hostile_ignore_rule_does_not_hold_the_host_up() -> None:
    rule, name = "*a" * 12 + "*b", "a" * 240
    assert not IgnoreRules((("", (rule,)),)).ignores(name)
    # The same rule as a plain regular expression does not come to its end.
    plain = f"import re; re.match({rule.replace('*', '[^/]*')!r} + r'\\Z', {name!r})"
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", plain], timeout=2, check=False)


# -- through the git of this machine --------------------------------------------------------------


def test_settings_of_a_repository_start_no_program(checkout: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    hook = checkout / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    program = f"touch {ran}; false"
    with (checkout / ".git" / "config").open("a") as config:
        config.write(f'[core]\nfsmonitor = "{program}"\nsshCommand = "{program}"\n')
        config.write(f'pager = "{program}"\nhooksPath = {hook.parent}\n')
        config.write(f'[pager]\nls-files = "{program}"\n[alias]\nls-files = "!{program}"\n')
        config.write(f'[diff]\nexternal = "{program}"\n')
    git = Git(checkout / ".git", work_tree=checkout)
    assert git.run("ls-files", "-z", "--stage").stdout.endswith(b"\ttop.txt\0")
    git.run("ls-files", "-o", "--exclude-standard", "-z")
    assert not ran.exists()
    subprocess.run(["git", "-C", str(checkout), "status"], check=False, capture_output=True)
    assert ran.exists()


def test_the_environment_of_this_process_does_not_reach_git(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Mallory")
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    ask = ("-c", "alias.tell=!env; git config user.name", "tell")
    told = Git(checkout / ".git").run(*ask, check=False).stdout.decode()
    plain = subprocess.run(
        ["git", *ask], cwd=checkout, check=True, capture_output=True, text=True
    ).stdout
    for text in ("a key", "Mallory", "elsewhere"):
        assert text not in told
        assert text in plain


def test_programs_of_the_current_folder_are_never_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\necho fake\n")
    fake.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    assert Git().run("version").stdout.startswith(b"git version")
    assert subprocess.run(["git", "version"], check=True, capture_output=True).stdout == b"fake\n"


# -- into a sandbox where links were planted ------------------------------------------------------


@pytest.mark.docker
async def test_a_patch_does_not_write_through_a_link_that_a_command_planted(
    image: Image, store: TreeStore, base: str
) -> None:
    plant = "rm -r folder; ln -s /tmp folder"
    patch = Patch((Change("folder/x", FILE, b"x"),))
    async with Sandbox.open(image, Base(store, base), POLICY) as box:
        await box.run(plant)
        with pytest.raises(PatchError, match="folder/x"):
            await box.apply(patch)
        assert (await box.run("ls /tmp")).output.text == ""
    lacking = sandbox_without("following no link", image=image, base=Base(store, base))
    async with lacking as bare:
        await bare.run(plant)
        await bare.apply(patch)
        assert (await bare.run("ls /tmp")).output.text == "x\n"


HISTORY = ("git", "log", "--all", "--reflog", "--format=%s")


@pytest.fixture
def history(checkout: Path) -> str:
    """What a checkout with a later commit tells of it."""
    commit = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty"]
    for message in ("before", "the fix"):
        subprocess.run([*commit, "-m", message], cwd=checkout, check=True)
    told = subprocess.run(HISTORY, cwd=checkout, check=True, capture_output=True, text=True)
    return told.stdout


@pytest.mark.docker
async def test_the_history_of_the_repository_is_not_inside(
    history: str, image: Image, store: TreeStore, base: str
) -> None:
    # The fix may stand in a later commit, on another branch, or in what was once committed.
    assert "the fix" in history
    async with Sandbox.open(image, Base(store, base), POLICY) as box:
        assert (await box.run(HISTORY)).output.text == "base\n"
        objects = await box.run("git cat-file --batch-all-objects --batch-check | grep -c commit")
        assert objects.output.text == "1\n"
