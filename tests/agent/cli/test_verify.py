import json

import pytest

from tests.agent.cli.conftest import User

pytestmark = pytest.mark.docker

ADDED = "\n\ndef test_zero():\n    assert add(0, 0) == 0\n"


def mend(user: User) -> str:
    """Mends the checkout and returns the diff."""
    text = (user.checkout / "calc.py").read_text()
    (user.checkout / "calc.py").write_text(text.replace("a - b", "a + b"))
    return user.git("diff")


def test_uncommitted_changes_are_proved(user: User) -> None:
    done = user.greenroom("verify", "-", stdin=mend(user))
    assert done.returncode == 0, done.stderr
    assert "solved (proved: tests that failed before pass with it)" in done.stdout
    assert "now passes: test_calc.py::test_add" in done.stdout


def test_a_file_and_json_by_settings_that_are_not_committed_yet(user: User) -> None:
    (user.home / "fix.patch").write_text(mend(user))
    user.write({"greenroom.toml": 'test_cmd = "python3 -m pytest -q"\n'})
    done = user.greenroom("verify", str(user.home / "fix.patch"), "--json")
    document = json.loads(done.stdout)
    assert (document["status"], document["grade"]) == ("solved", "proved")
    assert document["files"] == ["calc.py"]
    assert document["tests"]["command"] == "python3 -m pytest -q"


@pytest.mark.parametrize(
    "commits",
    [
        "HEAD~1..HEAD",
        pytest.param("HEAD~1...main", marks=pytest.mark.nightly),
        pytest.param("HEAD", marks=pytest.mark.nightly),
    ],
)
def test_commits_are_proved(user: User, commits: str) -> None:
    mend(user)
    user.commit()
    done = user.greenroom("verify", commits, "-q")
    assert done.returncode == 0, done.stderr
    assert "solved (proved" in done.stdout


def test_a_patch_that_breaks_a_test_fails(user: User) -> None:
    text = (user.checkout / "calc.py").read_text()
    (user.checkout / "calc.py").write_text(text.replace("a * 2", "a * 3"))
    done = user.greenroom("verify", "-", stdin=user.git("diff"))
    assert done.returncode == 1
    assert "test_calc.py::test_double fails: assert 12 == 8" in done.stdout


def test_a_forged_test_run_is_an_invalid_patch(user: User) -> None:
    user.write({"conftest.py": "import calc\ncalc.add = lambda a, b: 5\n"})
    user.git("add", "-N", "conftest.py")
    done = user.greenroom("verify", "-", stdin=user.git("diff"))
    assert done.returncode == 1
    assert "invalid patch" in done.stdout
    assert "conftest.py" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The patch is empty."),
        ("<html>no</html>", "The patch is a web page"),
        ("hello\n", "There is no diff"),
        ("--- a/gone.py\n+++ b/gone.py\n@@ -1 +1 @@\n-a\n+b\n", "gone.py"),
    ],
)
def test_what_is_no_patch_is_said_without_a_run(user: User, text: str, said: str) -> None:
    done = user.greenroom("verify", "-", stdin=text)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["nonsense", "nope.patch", "HEAD~9..HEAD"])
def test_what_is_neither_file_nor_commit_is_said(user: User, name: str) -> None:
    done = user.greenroom("verify", name)
    assert done.returncode == 2
    assert name.partition("..")[0] in done.stderr


def test_the_settings_that_judge_are_not_those_that_come_with_the_patch(user: User) -> None:
    user.write({"pyproject.toml": "# nothing yet\n"})
    user.commit()
    user.git("checkout", "-qb", "topic")
    easy = '[tool.greenroom]\ntest_cmd = "true"\n'
    user.write({"pyproject.toml": easy, "calc.py": "def add(a, b):\n    return 0\n"})
    user.commit()
    for words, diff in (("main..HEAD", ""), ("-", user.git("diff", "main", "topic"))):
        base = ("--base", "main") if words == "-" else ()
        done = user.greenroom("verify", words, *base, stdin=diff)
        assert done.returncode == 1, done.stdout
        assert "failed" in done.stdout
        assert "settings are those of main, not of the files here" in done.stdout


def test_what_was_not_judged_is_no_part_of_the_proof(user: User) -> None:
    user.write({".github/workflows/ci.yml": "on: push\n"})
    user.commit()
    mend(user)
    user.write({".github/workflows/ci.yml": "on: [push, pull_request]\n"})
    diff = user.git("diff")
    done = user.greenroom("verify", "-", stdin=diff)
    assert done.returncode == 1
    assert "but for its changes to .github/workflows/ci.yml, which were not judged" in done.stdout
    document = json.loads(user.greenroom("verify", "-", "--json", stdin=diff).stdout)
    assert document["left_out"] == [".github/workflows/ci.yml"]
    assert document["files"] == ["calc.py"]
    assert "ci.yml" not in document["diff"]
    allowed = user.greenroom("verify", "-", "--allow", ".github/", stdin=diff)
    assert allowed.returncode == 0, allowed.stdout


def test_a_test_that_the_patch_adds_to_an_existing_file_is_judged_too(user: User) -> None:
    mend(user)
    with (user.checkout / "test_calc.py").open("a") as stream:
        stream.write(ADDED)
    done = user.greenroom("verify", "-", stdin=user.git("diff"))
    assert done.returncode == 0, done.stdout


def test_a_better_grade_can_be_required(user: User) -> None:
    user.write({"readme.txt": "words\n"})
    user.git("add", "-N", "readme.txt")
    diff = user.git("diff")
    assert user.greenroom("verify", "-", stdin=diff).returncode == 0
    done = user.greenroom("verify", "-", "--require", "reproduced", stdin=diff)
    assert done.returncode == 1
    assert "less than the required grade, which is reproduced" in done.stdout


@pytest.mark.nightly
def test_what_is_excluded_is_not_looked_at(user: User) -> None:
    user.write({"data/big.txt": "x" * 4_000_000})
    user.write({"greenroom.toml": 'exclude = ["data/"]\nworkspace_size = "4M"\n'})
    user.commit()
    diff = mend(user)
    for words in (("-",), ("-", "--worktree")):
        base = user.git("stash", "-q") if "--worktree" in words else ""
        done = user.greenroom("verify", *words, stdin=diff)
        assert done.returncode == 0, base + done.stderr


def test_files_that_are_included_are_in_the_room(user: User) -> None:
    user.write({".gitignore": "fixture.dat\n", "fixture.dat": "8"})
    reads = "\n\ndef test_fixture():\n    assert open('fixture.dat').read() == '8'\n"
    user.write({"test_more.py": reads, "greenroom.toml": 'include = ["fixture.dat"]\n'})
    user.commit()
    user.greenroom("trust", "--yes")
    diff = mend(user)
    user.git("stash", "-q")
    done = user.greenroom("verify", "-", "--worktree", "--json", stdin=diff)
    document = json.loads(done.stdout)
    assert (document["status"], document["tests"]["failing"]) == ("solved", [])
