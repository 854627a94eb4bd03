"""Whether GitLab bears out what a webhook's payload says: whoever has the trigger's token can write
one, and say in it that another asked."""

from typing import Any

from agent.bot import commands, gitlab_build
from agent.bot.commands import Command
from agent.bot.gitlab_api import Api
from agent.bot.trigger import Build, Trigger


def doubt(api: Api, project: str, trigger: Trigger, label: str, still: bool) -> str:
    """What GitLab knows otherwise than the trigger says, as a sentence for the log; empty where it
    agrees. `label` is the one that asks. With `still` it must be so now; else, for a job that
    comes later, the label may be gone and the comment's text another. Raises ForgeError.

    A pipeline that a person started has nobody else to ask: GitLab itself says who that was.
    """
    if trigger.build is not None:
        return _build(api, project, trigger.build)
    if trigger.place is None or trigger.source == "dispatch":
        return ""
    kind = "merge_requests" if trigger.place.pull else "issues"
    place = f"{project}/{kind}/{trigger.place.number}"
    if trigger.source == "label":
        return _label(api, place, trigger, label, still)
    return _comment(api, place, trigger, still)


def _build(api: Api, project: str, build: Build) -> str:
    found = api.find("read the pipeline", f"{project}/pipelines/{build.id}")
    if found is None:
        return f"there is no pipeline {build.id}"
    if found["sha"] != build.commit:
        return f"pipeline {build.id} is not of {build.commit[:12]}"
    # The bot's jobs may be the last ones of the pipeline itself, which is still running then.
    if not gitlab_build.failures(api, project, build):
        return f"no job of pipeline {build.id} failed"
    return ""


def _label(api: Api, place: str, trigger: Trigger, label: str, still: bool) -> str:
    events = api.list("read who labelled it", f"{place}/resource_label_events")
    named = [event for event in events if _name(event) == label.lower()]
    named.sort(key=lambda event: int(event["id"]))
    if still and (not named or named[-1]["action"] != "add"):
        return f"the label {label!r} is not there, or no longer"
    added = [event["user"] for event in named if event["action"] == "add"]
    if trigger.actor.id not in [user["id"] for user in (added[-1:] if still else added)]:
        return f"{trigger.actor.login} did not add the label {label!r}"
    return ""


def _name(event: dict[str, Any]) -> str:
    # A label that was removed from the project since has no name any more.
    return str((event.get("label") or {}).get("name", "")).lower()


def _comment(api: Api, place: str, trigger: Trigger, still: bool) -> str:
    note = api.find("read the comment", f"{place}/notes/{trigger.target_id}")
    if note is None or note["system"]:
        return f"there is no comment {trigger.target_id}"
    if note["author"]["id"] != trigger.actor.id:
        return f"the comment is not {trigger.actor.login}'s but {note['author']['username']}'s"
    if not still:
        return ""
    asked = commands.read(note["body"])
    if trigger.source == "review":
        same = asked is None and note["body"].strip() == trigger.guidance
    else:
        same = asked == Command(trigger.action, trigger.guidance)
    return "" if same else "the comment says something else than the event, or was edited since"
