"""What the action and every workflow that is written may do, read from the files themselves."""

import re
import subprocess
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.bot.config import Config
from agent.bot.workflow import PINS, TRIGGERS, Wanted, pinned, render
from sandbox.errors import UsageError

ROOT = Path(__file__).resolve().parents[3]
OWN = "example/greenroom@" + "a1" * 20
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
#: What may stand between `${{` and `}}`: no text that a stranger, or anybody, can choose.
HARMLESS = {
    "github.event.issue.number || github.event.pull_request.number || inputs.issue || "
    "github.event.workflow_run.head_sha || github.run_id",
    "steps.greenroom.outputs.go",
    "steps.greenroom.outputs.bot",
    "needs.accept.outputs.bot",
    "steps.app.outputs.token",
    "secrets.GREENROOM_API_KEY",
    "secrets.GREENROOM_APP_PRIVATE_KEY",
    "vars.GREENROOM_APP_CLIENT_ID",
    "runner.temp",
}


def wanted(**values: Any) -> Wanted:
    return Wanted(OWN, **{"workflows": ("CI", "Tests: 'all'"), **values})


EVERY = {
    f"{'-'.join(triggers) if len(triggers) == 1 else 'all'}{'-app' * app}": render(
        wanted(triggers=triggers, app=app, model="openai:m", base_url="https://m.example.org/v1")
    )
    for triggers, app in product([TRIGGERS, *[(name,) for name in TRIGGERS]], [False, True])
}
each = pytest.mark.parametrize("text", EVERY.values(), ids=EVERY.keys())


def jobs(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return found


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = job["steps"]
    return found


@each
def test_no_job_of_a_workflow_has_a_permission_that_it_does_not_need(text: str) -> None:
    assert yaml.safe_load(text)["permissions"] == {}
    assert {name: job["permissions"] for name, job in jobs(text).items()} == {
        "accept": {"contents": "read", "issues": "write", "pull-requests": "write"},
        "propose": {
            "contents": "read",
            "issues": "read",
            "pull-requests": "read",
            "actions": "read",
        },
        "publish": {"contents": "write", "issues": "write", "pull-requests": "write"},
    }


@each
def test_the_job_that_runs_code_gets_no_token_that_can_write(text: str) -> None:
    propose = jobs(text)["propose"]
    assert "write" not in propose["permissions"].values()
    assert [step["with"].get("token") for step in steps(propose)] == [None, None]
    assert re.findall(r"secrets\.(\w+)", yaml.safe_dump(propose)) == ["GREENROOM_API_KEY"]


@each
def test_the_jobs_that_write_get_no_key_of_a_model_and_check_out_nothing(text: str) -> None:
    for name in ("accept", "publish"):
        written = yaml.safe_dump(jobs(text)[name])
        assert "API_KEY" not in written
        assert "checkout" not in written
        assert all("run" not in step for step in steps(jobs(text)[name]))


@each
def test_every_action_of_a_workflow_is_pinned_to_a_commit(text: str) -> None:
    used = [step["uses"] for job in jobs(text).values() for step in steps(job)]
    assert {pinned(use)[0] for use in used} <= {"example/greenroom", *PINS}


@each
def test_no_workflow_runs_a_script_or_on_pull_request_target(text: str) -> None:
    assert [step for job in jobs(text).values() for step in steps(job) if "uses" not in step] == []
    # YAML 1.1 reads the key `on` as true.
    assert not {"pull_request_target", "pull_request", "push"} & set(yaml.safe_load(text)[True])
    assert set(re.findall(r"\$\{\{ (.*?) \}\}", text)) <= HARMLESS


@each
def test_every_job_of_a_workflow_ends_in_time_and_one_at_a_time(text: str) -> None:
    found = jobs(text)
    assert all(0 < job["timeout-minutes"] <= 360 for job in found.values())
    groups = [found[name]["concurrency"]["group"] for name in ("propose", "publish")]
    assert len(set(groups)) == 2
    work = steps(found["propose"])[0]["timeout-minutes"]
    assert 60 < work < found["propose"]["timeout-minutes"]


@each
def test_work_begins_only_after_accept_said_so(text: str) -> None:
    found = jobs(text)
    assert found["propose"]["if"] == "needs.accept.outputs.go == 'true'"
    assert "needs.accept.outputs.go == 'true'" in found["publish"]["if"]
    # `always() && x || y` would let y stand alone.
    assert "||" not in found["publish"]["if"]


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_workflow_of_one_trigger_listens_to_that_event_alone(name: str) -> None:
    events = {
        "label": {"issues": {"types": ["labeled"]}},
        "comment": {"issue_comment": {"types": ["created"]}},
        "build": {"workflow_run": {"workflows": ["CI", "Tests: 'all'"], "types": ["completed"]}},
        "review": {"pull_request_review": {"types": ["submitted"]}},
    }
    found = yaml.safe_load(EVERY[name])[True]
    assert set(found) == ({"workflow_dispatch"} if name == "dispatch" else set(events[name]))
    assert found == events.get(name, found)
    assert jobs(EVERY[name])["accept"]["if"].count("github.event_name ==") == 1


def test_an_app_gets_no_more_than_the_jobs_own_token() -> None:
    found = jobs(EVERY["all-app"])
    for name in ("accept", "publish"):
        mint = next(
            step for step in steps(found[name]) if "create-github-app-token" in step["uses"]
        )
        asked = {
            key.removeprefix("permission-"): value
            for key, value in mint["with"].items()
            if key.startswith("permission-")
        }
        assert asked == found[name]["permissions"]
        assert steps(found[name])[-1]["with"]["token"] == "${{ steps.app.outputs.token }}"
    assert "GREENROOM_APP" not in EVERY["all"]


@pytest.mark.parametrize(
    "values",
    [
        {"label": "a' || true || '"},
        {"label": "${{ secrets.X }}"},
        {"label": "two\nlines"},
        {"model": "${{ github.event.issue.title }}"},
        {"base_url": "https://x/${{ secrets.X }}"},
        {"workflows": ("${{ github.event.issue.title }}",)},
        {"workflows": ()},
        {"runner": ("ubuntu-latest\n    permissions: write-all",)},
        {"runner": ()},
        {"triggers": ("push",)},
    ],
    ids=repr,
)
def test_what_cannot_be_written_safely_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        render(wanted(**values))


@pytest.mark.parametrize("use", ["o/r", "o/r@v1", "o/r@main", "o/r@" + "a" * 39, "r@" + "a" * 40])
def test_an_action_that_is_at_no_commit_is_refused(use: str) -> None:
    with pytest.raises(UsageError, match="full id"):
        render(Wanted(use, triggers=("label",)))


def test_odd_names_of_workflows_and_models_stand_as_they_are() -> None:
    odd = 'a "b": {c} #d é'
    text = render(wanted(workflows=(odd,), model=odd, runner=("self-hosted", "gpu")))
    assert yaml.safe_load(text)[True]["workflow_run"]["workflows"] == [odd]
    assert steps(jobs(text)["propose"])[0]["with"]["model"] == odd
    assert jobs(text)["propose"]["runs-on"] == ["self-hosted", "gpu"]


def scripts() -> list[str]:
    return [step["run"] for step in ACTION["runs"]["steps"]]


def test_no_script_of_the_action_holds_an_expression() -> None:
    assert len(scripts()) == 2
    assert [script for script in scripts() if "${{" in script] == []


def test_the_action_reads_no_text_of_an_event() -> None:
    told = re.findall(r"\$\{\{ (.*?) \}\}", (ROOT / "action.yml").read_text("utf-8"))
    names = {f"inputs.{name}" for name in ACTION["inputs"]}
    assert set(told) <= names | {
        "github.token",
        "runner.temp",
        "steps.run.outputs.go",
        "steps.run.outputs.GREENROOM_BOT",
    }


def test_the_action_uses_no_action_of_others() -> None:
    assert [step for step in ACTION["runs"]["steps"] if "uses" in step] == []


def test_the_workflow_gives_the_action_only_inputs_that_it_has() -> None:
    for text in EVERY.values():
        used = [s for job in jobs(text).values() for s in steps(job) if s["uses"] == OWN]
        assert len(used) == 3
        assert all(set(step["with"]) <= set(ACTION["inputs"]) for step in used)


def action_run(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the action's second script, with a program in the place of greenroom that tells its
    words."""
    program = tmp_path / "greenroom" / "bin" / "greenroom"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "[%s]" "$@" "$GREENROOM_MODEL"\n')
    program.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "RUNNER_TEMP": str(tmp_path), "MODEL": ""}
    return subprocess.run(
        ["bash", "-c", scripts()[1]],
        env=environment | {"BASE_URL": "", "BOT": ""} | variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("step", ["accept", "propose", "publish"])
def test_the_action_runs_its_step_with_the_model_from_the_environment(
    step: str, tmp_path: Path
) -> None:
    odd = "openai:a b; $(touch pwned)"
    done = action_run(tmp_path, STEP=step, MODEL=odd)
    assert done.stdout == f"[ci][github][{step}][{odd}]"
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("step", ["", "accept; touch pwned", "$(touch pwned)", "--help"])
def test_the_action_refuses_a_step_that_there_is_not(step: str, tmp_path: Path) -> None:
    done = action_run(tmp_path, STEP=step)
    assert done.returncode == 2
    assert "expected accept, propose, publish or doctor" in done.stdout
    assert not (tmp_path / "pwned").exists()


def test_the_page_of_the_bot_has_every_key_trigger_and_permission() -> None:
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    permissions = {
        f"`{name}: {level}`"
        for job in jobs(EVERY["all"]).values()
        for name, level in job["permissions"].items()
    }
    named = {f"`{field.name}`" for field in fields(Config)} | {f"`{name}`" for name in TRIGGERS}
    assert [each for each in sorted(permissions | named) if each not in page] == []
