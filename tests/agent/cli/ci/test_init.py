import tomllib
from pathlib import Path

import pytest
import yaml

from agent.bot import table
from agent.bot.config import Config, read
from tests.agent.cli.conftest import Done, User

SOURCE = ("--source", "example/greenroom@" + "a1" * 20)
WORKFLOW = ".github/workflows/greenroom.yml"


def init(user: User, *words: str) -> Done:
    return user.greenroom("ci", "init", *words, *SOURCE)


def files(user: User) -> dict[str, bytes]:
    return {
        str(path.relative_to(user.checkout)): path.read_bytes()
        for path in user.checkout.rglob("*")
        if path.is_file() and ".git/" not in str(path)
    }


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("git@github.com:o/r.git", WORKFLOW),
        ("https://user:hunter2@github.example.org/o/r", WORKFLOW),
        ("ssh://git@gitlab.example.org:2222/g/s/p.git", ".gitlab/greenroom.yml"),
    ],
)
def test_the_remote_says_which_forge(user: User, url: str, written: str) -> None:
    user.git("remote", "add", "origin", url)
    done = init(user)
    assert done.returncode == 0, done.stderr
    assert (user.checkout / written).exists()
    assert "hunter2" not in done.stdout


def test_without_a_telling_remote_the_forge_is_asked_for(user: User) -> None:
    before = files(user)
    for url in ("", "https://git.example.org/o/r"):
        if url:
            user.git("remote", "add", "origin", url)
        done = init(user)
        assert done.returncode == 2
        assert "greenroom ci init github" in done.stderr
    assert files(user) == before


def test_each_permission_that_is_written_is_explained(user: User) -> None:
    done = init(user, "github")
    written = yaml.safe_load((user.checkout / WORKFLOW).read_text())
    for job in written["jobs"].values():
        for name, level in job["permissions"].items():
            assert f"{name}: {level}" in done.stdout
    assert "Allow GitHub Actions to create and approve pull requests" in done.stdout


def test_the_table_names_every_key_with_its_default(user: User) -> None:
    init(user, "github")
    text = (user.checkout / "greenroom.toml").read_text()
    assert tomllib.loads(text) == {"ci": {}}
    whole = "\n".join(
        line.removeprefix("# ") if " = " in line else line for line in text.split("\n")
    )
    assert read(whole.encode(), None) == Config()
    assert set(tomllib.loads(whole)["ci"]) == set(table.HELP)
    assert user.greenroom("config").returncode == 0


def test_another_label_is_in_the_workflow_and_in_the_table(user: User) -> None:
    init(user, "github", "--label", "bot: please")
    assert "== 'bot: please'" in (user.checkout / WORKFLOW).read_text()
    own = (user.checkout / "greenroom.toml").read_bytes()
    assert read(own, None).label == "bot: please"


def test_a_workflow_that_is_there_is_kept_unless_forced(user: User) -> None:
    user.write({WORKFLOW: "mine"})
    before = files(user)
    done = init(user, "github")
    assert done.returncode == 2
    assert "greenroom.yml exists" in done.stderr
    assert files(user) == before
    assert init(user, "github", "--force").returncode == 0
    assert (user.checkout / WORKFLOW).read_text() != "mine"


def test_a_table_that_is_there_is_never_touched(user: User) -> None:
    user.write({"greenroom.toml": "turn_limit = 7\n[ci]\nlabel = 'x'\n"})
    done = init(user, "github", "--force")
    assert (user.checkout / "greenroom.toml").read_text().endswith("[ci]\nlabel = 'x'\n")
    assert "has a table [ci] already" in done.stdout
    assert 'label = "greenroom"' in done.stdout
    assert "label =" not in init(user, "github", "--force", "--label", "x").stdout


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("greenroom.toml", "turn_limit = 7"),
        ("pyproject.toml", "[tool.greenroom]\nturn_limit = 7\n"),
    ],
)
def test_the_table_joins_the_settings_that_are_there(user: User, name: str, before: str) -> None:
    user.write({name: before})
    assert init(user, "github").returncode == 0
    assert (user.checkout / name).read_text().startswith(before)
    done = user.greenroom("config")
    assert done.returncode == 0, done.stderr
    assert f" 7 {name}" in " ".join(done.stdout.split())


def test_settings_that_no_table_can_join_are_left_and_told(user: User) -> None:
    user.write({"pyproject.toml": "tool = { greenroom = { turn_limit = 7 } }\n"})
    done = init(user, "github")
    assert done.returncode == 0
    assert "Add to pyproject.toml by hand" in done.stdout
    assert "[tool.greenroom.ci]" in done.stdout
    assert (user.checkout / "pyproject.toml").read_text().count("\n") == 1


def test_failed_builds_are_those_of_workflows_that_test_pull_requests(user: User) -> None:
    user.write(
        {
            ".github/workflows/test.yml": "name: 'All tests'\non: [pull_request]\n",
            ".github/workflows/odd.yaml": "on: [pull_request]\n",
            ".github/workflows/one.yml": 'name: "C # 1"  # first\non: [pull_request]\n',
            ".github/workflows/two.yml": "name: C#2 # second\non: [pull_request]\n",
            ".github/workflows/release.yml": "name: Release\non: [push]\n",
            ".github/workflows/notes.txt": "name: x\non: pull_request\n",
        }
    )
    assert init(user, "github").returncode == 0
    on = yaml.safe_load((user.checkout / WORKFLOW).read_text())[True]
    named = [".github/workflows/odd.yaml", "C # 1", "All tests", "C#2"]
    assert on["workflow_run"]["workflows"] == named


def test_without_tests_failed_builds_are_left_out_and_said(user: User) -> None:
    done = init(user, "github")
    assert "failed builds are left out" in done.stdout
    assert "workflow_run:" not in (user.checkout / WORKFLOW).read_text()


def test_other_pins_replace_ours(user: User) -> None:
    pin = "actions/upload-artifact@" + "b2" * 20
    assert init(user, "github", "--pin", pin).returncode == 0
    assert pin in (user.checkout / WORKFLOW).read_text()
    assert init(user, "github", "--force", "--pin", "o/r@" + "b2" * 20).returncode == 2


@pytest.mark.parametrize("source", ["example/greenroom@v1", "https://x.example.org/main.tar.gz"])
@pytest.mark.parametrize("forge", ["github", "gitlab"])
def test_nothing_is_written_without_a_commit(user: User, source: str, forge: str) -> None:
    before = files(user)
    done = user.greenroom("ci", "init", forge, "--source", source)
    assert done.returncode == 2
    assert files(user) == before


def test_a_folder_that_leads_elsewhere_is_not_written_through(user: User, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (user.checkout / ".github").symlink_to(elsewhere)
    before = files(user)
    assert init(user, "github").returncode == 2
    assert list(elsewhere.iterdir()) == []
    assert files(user) == before


def test_nothing_is_left_where_a_second_file_cannot_be_written(user: User) -> None:
    user.write({".gitlab": "a file\n"})
    before = files(user)
    assert init(user, "gitlab").returncode == 2
    assert files(user) == before


def test_the_jobs_of_gitlab_are_filled_in_and_included(user: User) -> None:
    url = "https://models.example.org/v1"
    done = init(user, "gitlab", "-m", "openai:m", "--base-url", url, "--runner", "gpu")
    assert done.returncode == 0, done.stderr
    jobs = yaml.safe_load((user.checkout / ".gitlab/greenroom.yml").read_text())
    commit = SOURCE[1].partition("@")[2]
    install = "\n".join(jobs[".greenroom"]["before_script"])
    assert f"https://github.com/example/greenroom/archive/{commit}.tar.gz" in install
    assert jobs[".greenroom-propose"]["tags"] == ["gpu"]
    assert jobs[".greenroom-propose"]["variables"]["GREENROOM_MODEL"] == "openai:m"
    assert jobs[".greenroom-propose"]["variables"]["GREENROOM_BASE_URL"] == url
    included = yaml.safe_load((user.checkout / ".gitlab-ci.yml").read_text())
    assert included == {"include": [{"local": ".gitlab/greenroom.yml"}]}


@pytest.mark.parametrize("words", [("--app",), ("--trigger", "label"), ("--workflow", "CI")])
def test_what_only_github_takes_is_refused_for_gitlab(user: User, words: tuple[str, ...]) -> None:
    before = files(user)
    done = init(user, "gitlab", *words)
    assert done.returncode == 2
    assert f"{words[0]} is for GitHub only" in done.stderr
    assert files(user) == before


def test_jobs_of_gitlab_that_are_there_are_left_alone(user: User) -> None:
    user.write({".gitlab-ci.yml": "test:\n  script: make\n"})
    done = init(user, "gitlab")
    assert (user.checkout / ".gitlab-ci.yml").read_text() == "test:\n  script: make\n"
    assert "- local: .gitlab/greenroom.yml" in done.stdout
