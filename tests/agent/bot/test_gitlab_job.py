"""What a job of GitLab CI hands to the bot: its variables, its event, and what becomes of them."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.bot import events_gitlab
from agent.bot.config import Config
from agent.bot.gitlab import connect
from agent.bot.gitlab_event import reader
from agent.bot.trigger import Actor, NotForUs, Place, Trigger
from sandbox.errors import SetupError, UsageError
from tests.agent.bot.gitlabs import Desk, desk

TEMPLATE = Path(events_gitlab.__file__).parent / "workflows" / "gitlab" / "greenroom.yml"
PIPELINE = {
    "GREENROOM_RED_BUILD": "true",
    "CI_PIPELINE_SOURCE": "push",
    "CI_PIPELINE_ID": "77",
    "CI_PIPELINE_URL": "https://gitlab.example/team/app/-/pipelines/77",
    "CI_PIPELINE_CREATED_AT": "2026-11-27T10:00:00Z",
    "CI_COMMIT_REF_NAME": "main",
    "CI_COMMIT_BRANCH": "main",
    "CI_DEFAULT_BRANCH": "main",
    "CI_COMMIT_SHA": "a1" * 20,
    "GITLAB_USER_LOGIN": "dev",
    "GITLAB_USER_ID": "12",
}


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


def noted(at: Desk, author: str, body: str) -> dict[str, Any]:
    """The payload of GitLab's webhook about a comment that was just written."""
    place = at.issue()
    note = at.store.comment(at.project, place.number, False, author, body)
    user = at.actor(author)
    return {
        "object_kind": "note",
        "event_type": "note",
        "user": {"id": user.id, "username": user.login},
        "project": {"id": at.project.id},
        "object_attributes": {
            "id": note.id,
            "note": body,
            "noteable_type": "Issue",
            "action": "create",
            "created_at": "2026-11-27 10:00:00 UTC",
            "updated_at": "2026-11-27 10:00:00 UTC",
        },
        "issue": {"iid": place.number, "title": "It fails", "description": "", "author_id": 1},
    }


def read(at: Desk, event: dict[str, Any], still: bool = True) -> Trigger | NotForUs:
    variables = {"CI_PROJECT_ID": str(at.project.id)}
    return reader(at.forge(), event, variables, still)(Config())


def test_a_comment_becomes_a_trigger(at: Desk) -> None:
    trigger = read(at, noted(at, "dev", "/greenroom fix Look at app.py"))
    assert isinstance(trigger, Trigger)
    assert trigger.place == Place(1)
    assert trigger.actor == at.actor("dev")
    assert trigger.guidance == "Look at app.py"


@pytest.mark.parametrize("still", [True, False])
def test_a_payload_in_anothers_name_becomes_none(at: Desk, still: bool) -> None:
    event = noted(at, "stranger", "/greenroom fix")
    dev = at.actor("dev")
    event["user"] = {"id": dev.id, "username": dev.login}
    found = read(at, event, still)
    assert isinstance(found, NotForUs)
    assert "stranger" in found.reason


def test_the_event_is_borne_out_once_though_all_steps_read_it(at: Desk) -> None:
    event = noted(at, "dev", "/greenroom fix")
    again = reader(at.forge(), event, {}, still=True)
    first = again(Config())
    next(iter(at.project.comments.values())).body = "Edited"
    assert again(Config()) == first
    assert isinstance(first, Trigger)
    assert isinstance(read(at, event), NotForUs)
    assert isinstance(read(at, event, still=False), Trigger)


def test_the_fork_of_the_configuration_is_where_branches_go(at: Desk) -> None:
    fork = at.store.fork("team/app", "bot/app")
    fork.git.set_ref("refs/heads/greenroom/1-it", fork.git.head("main") or "")
    forge = at.forge()
    assert forge.head_of("greenroom/1-it") is None
    reader(forge, noted(at, "dev", "/greenroom fix"), {}, True)(replace(Config(), fork="bot/app"))
    assert forge.head_of("greenroom/1-it") == fork.git.head("main")


def test_a_trigger_of_something_else_is_not_for_us(at: Desk) -> None:
    assert isinstance(read(at, {"ref": "main"}), NotForUs)


def test_the_last_jobs_of_a_failed_pipeline_take_it_up() -> None:
    trigger = events_gitlab.read(None, PIPELINE, Config())
    assert isinstance(trigger, Trigger)
    assert trigger.build is not None
    assert (trigger.build.id, trigger.build.commit) == (77, "a1" * 20)
    assert (trigger.build.branch, trigger.build.fork) == ("main", False)
    assert (trigger.actor, trigger.source, trigger.place) == (Actor("dev", 12), "build", None)


@pytest.mark.parametrize(
    ("changed", "config"),
    [
        ({"CI_COMMIT_BRANCH": "other", "CI_COMMIT_REF_NAME": "other"}, Config()),
        ({"CI_COMMIT_BRANCH": ""}, Config()),
        ({"CI_PIPELINE_SOURCE": "merge_request_event"}, Config()),
        ({}, Config(red_builds="none")),
    ],
)
def test_other_pipelines_are_left_alone(changed: dict[str, str], config: Config) -> None:
    assert isinstance(events_gitlab.read(None, PIPELINE | changed, config), NotForUs)


def test_a_pipeline_without_a_number_is_no_event() -> None:
    with pytest.raises(UsageError, match="CI_PIPELINE_ID"):
        events_gitlab.read(None, PIPELINE | {"CI_PIPELINE_ID": "../1"}, Config())


@pytest.mark.parametrize("missing", ["GITLAB_TOKEN", "CI_PROJECT_ID"])
def test_a_job_without_a_variable_says_which(missing: str) -> None:
    variables = {"GITLAB_TOKEN": "glpat-secret", "CI_PROJECT_ID": "7"}
    with pytest.raises(SetupError, match=missing) as refused:
        connect({name: value for name, value in variables.items() if name != missing})
    assert refused.value.hint
    assert "glpat-secret" not in str(refused.value)


def template() -> dict[str, Any]:
    text = re.sub(r"@[A-Z_]+@", "1", TEMPLATE.read_text("utf-8"))
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def resolved(name: str) -> dict[str, Any]:
    """A job with what it extends, merged as GitLab merges."""
    job = dict(template()[name])
    parents = job.pop("extends", [])
    merged: dict[str, Any] = {}
    for parent in [parents] if isinstance(parents, str) else parents:
        merged = _merged(merged, resolved(parent))
    return _merged(merged, job)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(below[key], value)
        for key, value in above.items()
        if isinstance(value, dict) and isinstance(below.get(key), dict)
    }
    return {**below, **above, **both}


JOBS = [name for name in template() if not name.startswith(".")]


@pytest.mark.parametrize("name", JOBS)
def test_no_job_takes_over_the_projects_defaults_or_its_checkout(name: str) -> None:
    job = resolved(name)
    assert job["inherit"] == {"default": False, "variables": False}
    assert job["variables"]["GIT_STRATEGY"] == "none"
    assert job["variables"]["PYTHONSAFEPATH"] == "1"


@pytest.mark.parametrize("name", JOBS)
def test_only_the_job_that_runs_nobodys_code_has_the_token_that_writes(name: str) -> None:
    place = resolved(name)["environment"]
    kind = name.rpartition("-")[2]
    assert place["action"] == "access"
    assert place["name"] == ("greenroom/read" if kind == "propose" else "greenroom/write")


@pytest.mark.parametrize("name", JOBS)
def test_no_words_of_others_stand_in_a_script(name: str) -> None:
    used = set(re.findall(r"\$\{?(\w+)", "\n".join(resolved(name)["script"])))
    assert used <= {"go", "greenroom"}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_nothing_that_an_earlier_job_left(name: str, tmp_path: Path) -> None:
    job = resolved(name)
    # Stands for what is not to be fetched here: an archive and the installing.
    tools = tmp_path / "tools"
    source = tmp_path / "archive" / "greenroom-1"
    source.mkdir(parents=True)
    (source / "constraints.txt").write_text("rich==1\n")
    subprocess.run(
        ["tar", "-czf", tmp_path / "a.tar.gz", "-C", source.parent, "greenroom-1"], check=True
    )
    tools.mkdir()
    _program(tools / "curl", f'while [ "$1" != -o ]; do shift; done; cp {tmp_path}/a.tar.gz "$2"')
    _program(
        tools / "python3",
        'mkdir -p "$4/bin"\n'
        'printf \'#!/bin/sh\\ncat "$PIP_CONSTRAINT"; echo install "$6"\\n\' > "$4/bin/python"\n'
        'printf \'#!/bin/sh\\necho "ran $0"; ls\\n\' > "$4/bin/greenroom"\n'
        'chmod +x "$4"/bin/*',
    )
    place = tmp_path / "project"
    (place / "greenroom-proposal").mkdir(parents=True)
    (place / "greenroom.env").write_text("go=true\n")
    done = subprocess.run(
        ["sh", "-e"],
        input="\n".join([*job["before_script"], *job["script"]]),
        cwd=place,
        env={"PATH": f"{tools}:{os.environ['PATH']}", "go": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    constraint, _, ran, *left = done.stdout.splitlines()
    assert constraint == "rich==1"
    folder = Path(ran.removeprefix("ran ")).parents[2]
    assert re.fullmatch(r"greenroom\.\w{8}", folder.name)
    assert not folder.exists()
    assert ("greenroom.env" in left) == (not name.endswith("accept"))
    assert ("greenroom-proposal" in left) == (not name.endswith("propose"))


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_failed_build_starts_jobs_in_its_own_pipeline_only_on_the_default_branch() -> None:
    for name in JOBS:
        if "-red-" in name:
            (rule,) = resolved(name)["rules"]
            assert '$CI_PIPELINE_SOURCE == "push"' in rule["if"]
            assert "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" in rule["if"]
            assert (rule.get("when") == "on_failure") == name.endswith("accept")
            assert resolved(name)["variables"]["GREENROOM_RED_BUILD"] == "true"
