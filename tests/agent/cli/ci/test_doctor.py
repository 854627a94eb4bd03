import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.bot.workflow import PATH, Wanted, render
from tests.agent.cli.conftest import User
from tests.fakes.forge.github import FakeGitHub
from tests.fakes.forge.store import Store

NOWHERE = {"DOCKER_HOST": "unix:///nowhere"}


@pytest.fixture
def variables(tmp_path: Path) -> Iterator[dict[str, str]]:
    store = Store(tmp_path)
    workflow = render(Wanted("example/greenroom@" + "a1" * 20, triggers=("label",)))
    store.project("acme/app", {PATH: workflow}, roles={"rob": "admin"})
    fake = FakeGitHub(store)
    with fake.serving():
        token = store.token("rob", "user")
        yield {"GITHUB_TOKEN": token, "GITHUB_API_URL": fake.api_url, **NOWHERE}


WORDS = ("ci", "doctor", "github", "--repository", "acme/app")


def test_each_finding_comes_with_what_to_do(user: User, variables: dict[str, str]) -> None:
    done = user.greenroom(*WORDS, **variables)
    assert done.returncode == 3, done.stderr
    assert "greenroom ci init github" in done.stdout  # the fake lists no workflows
    assert "Settings > Actions > General" in done.stdout
    assert "to do" in done.stdout.splitlines()[-1]
    assert variables["GITHUB_TOKEN"] not in done.stdout + done.stderr


def test_json_is_one_document(user: User, variables: dict[str, str]) -> None:
    done = user.greenroom(*WORDS, "--json", **variables)
    found = json.loads(done.stdout)
    assert found["schema"] == "greenroom.ci-doctor/1"
    assert (found["repository"], found["ready"]) == ("acme/app", False)
    states = {finding["name"]: finding["state"] for finding in found["findings"]}
    assert states["repository"] == "ok"
    assert (states["engine"], states["model"]) == ("unknown", "unknown")


def test_a_model_that_does_not_answer_is_to_do(user: User, variables: dict[str, str]) -> None:
    words = ("-m", "openai:m", "--base-url", "http://127.0.0.1:9/v1", "--json")
    done = user.greenroom(*WORDS, *words, **variables)
    found = json.loads(done.stdout)["findings"]
    assert [each["state"] for each in found if each["name"] == "model"] == ["to do"]


def test_without_a_token_the_variable_is_named(user: User) -> None:
    done = user.greenroom(*WORDS, **NOWHERE)
    assert done.returncode == 3
    assert "GITHUB_TOKEN and GH_TOKEN are not set" in done.stderr


@pytest.mark.parametrize("forge", ["github", "gitlab"])
def test_no_token_goes_to_a_host_that_only_the_remote_names(user: User, forge: str) -> None:
    user.git("remote", "add", "origin", f"https://{forge}.invalid/o/r")
    tokens = {"GITHUB_TOKEN": "x", "GITLAB_TOKEN": "x"}
    done = user.greenroom("ci", "doctor", **tokens, **NOWHERE)
    assert done.returncode == 2
    assert "the token is not sent there unasked\n  If it is for there: " in done.stderr


@pytest.mark.parametrize(
    ("forge", "variable"), [("github", "GITHUB_API_URL"), ("gitlab", "CI_SERVER_URL")]
)
def test_a_host_that_a_variable_names_is_asked(user: User, forge: str, variable: str) -> None:
    user.git("remote", "add", "origin", "https://127.0.0.1:1/o/r")
    done = user.greenroom("ci", "doctor", forge, **{variable: "http://127.0.0.1:9"}, **NOWHERE)
    assert done.returncode == 3
    assert "_TOKEN" in done.stderr


def test_without_a_repository_it_is_asked_for(user: User) -> None:
    done = user.greenroom("ci", "doctor", GITHUB_TOKEN="x", **NOWHERE)
    assert done.returncode == 2
    assert "--repository OWNER/NAME" in done.stderr


def test_without_the_clients_the_extra_is_named(user: User, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    for name in ("github", "gitlab"):
        (hidden / name).mkdir(parents=True)
        (hidden / name / "__init__.py").write_text("raise ImportError('not here')\n")
    path = os.pathsep.join(filter(None, (str(hidden), os.environ.get("PYTHONPATH", ""))))
    for forge in ("github", "gitlab"):
        words = ("ci", "doctor", forge, "--repository", "o/r")
        tokens = {"GITHUB_TOKEN": "x", "GITLAB_TOKEN": "x"}
        done = user.greenroom(*words, PYTHONPATH=path, **tokens, **NOWHERE)
        assert done.returncode == 3
        assert "greenroom[ci]" in done.stderr
