"""GitLab's events: what a webhook sent to a pipeline trigger, or the variables of a pipeline that a
person started, to a trigger.

Whoever has the trigger's token can write such a payload. So this only reads what it says; the first
job asks GitLab whether the comment, the label and the actor's rights are what they are said to be.
"""

import re
from collections.abc import Mapping

from agent.bot import commands
from agent.bot.config import Config
from agent.bot.events_github import issue_number
from agent.bot.payload import Payload
from agent.bot.trigger import BRANCHES, Actor, Build, NotForUs, Place, Trigger
from sandbox.errors import UsageError

#: How GitLab names the accounts of access tokens and its own helpers.
_BOTS = re.compile(
    r"(project|group)_\d+_bot(_[0-9a-f]+|\d*)|service_account_.+"
    r"|(alert|support|security|visual-review|automation|admin|duo-code-review)-bot|gitlabduo",
    re.IGNORECASE,
)
#: Set by the template in jobs that end a pipeline of the project's own after a failure.
RED_BUILD = "GREENROOM_RED_BUILD"
#: How a pipeline is started by a person, who then is the one who asks.
_BY_HAND = ("web", "api")
_CONFIDENTIAL = "it is confidential, and what the bot makes of it would show it"


def read(
    payload: object | None, variables: Mapping[str, str], config: Config
) -> Trigger | NotForUs:
    """What the webhook's `payload` asks for, or where there is none, what a job's `variables` ask
    for. Raises UsageError for a payload that is none of its kind."""
    if payload is None:
        own = variables.get(RED_BUILD) == "true"
        return _own_pipeline(variables, config) if own else _by_hand(variables)
    event = Payload(payload, "TRIGGER_PAYLOAD")
    kinds = {"note": _note, "issue": _issue, "pipeline": _pipeline}
    kind = event.text_or("object_kind")
    if kind not in kinds:
        return NotForUs(f"the bot does not listen to events of the kind {kind!r:.60}")
    project = event.inner("project").number("id")
    if variables.get("CI_PROJECT_ID", str(project)) != str(project):
        return NotForUs("the event is of another project")
    return kinds[kind](event, config)


def _note(event: Payload, config: Config) -> Trigger | NotForUs:
    note = event.inner("object_attributes")
    kind = note.text("noteable_type")
    if kind not in ("Issue", "MergeRequest"):
        return NotForUs(f"the comment stands at a {kind!r:.60}")
    if note.flag("system") or not _created(note):
        return NotForUs("the comment is not a new one of a person's")
    subject = event.inner("issue" if kind == "Issue" else "merge_request")
    hidden = note.flag("internal") or note.flag("confidential") or subject.flag("confidential")
    if hidden or event.text_or("event_type").startswith("confidential"):
        return NotForUs(_CONFIDENTIAL)
    words = note.text("note")
    command = commands.read(words)
    review = kind == "MergeRequest" and note.text_or("type") in ("DiffNote", "DiscussionNote")
    if command is None and not (review and _own(subject, event.inner("project"))):
        return NotForUs(f"the comment does not begin with {commands.USAGE}")
    return Trigger(
        key=f"comment:{note.number('id')}",
        action=command.action if command else "fix",
        source="comment" if command else "review",
        actor=_actor(event.inner("user")),
        at=note.instant("created_at"),
        place=Place(subject.number("iid"), pull=kind == "MergeRequest"),
        title=subject.text("title"),
        text=subject.text_or("description"),
        author=Actor("", subject.number("author_id")),
        guidance=command.guidance if command else words.strip(),
        target="comment",
        target_id=note.number("id"),
        review=0 if command else note.number("id"),
    )


def _created(note: Payload) -> bool:
    """Whether an event is of a note that was written just now; older GitLabs do not say it."""
    if action := note.text_or("action"):
        return action == "create"
    return note.instant("created_at") == note.instant("updated_at")


def _own(pull: Payload, project: Payload) -> bool:
    source, target = (pull.number(f"{end}_project_id") for end in ("source", "target"))
    ours = source == target == project.number("id")
    return (
        ours and pull.text("source_branch").startswith(BRANCHES) and pull.text("state") == "opened"
    )


def _issue(event: Payload, config: Config) -> Trigger | NotForUs:
    issue = event.inner("object_attributes")
    if issue.flag("confidential") or event.text_or("event_type").startswith("confidential"):
        return NotForUs(_CONFIDENTIAL)
    if not _labelled_now(event, config.label.lower()):
        return NotForUs(f"the label {config.label!r:.60} was not added")
    number = issue.number("iid")
    at = issue.instant("updated_at")
    return Trigger(
        key=f"label:{number}:{at}",
        action="fix",
        source="label",
        actor=_actor(event.inner("user")),
        at=at,
        place=Place(number),
        title=issue.text("title"),
        text=issue.text_or("description"),
        author=Actor("", issue.number("author_id")),
        target="issue",
        target_id=number,
    )


def _labelled_now(event: Payload, label: str) -> bool:
    """Whether an event added the label, to an issue that there was or with the issue."""
    if event.inner("object_attributes").text_or("action") == "open":
        return label in _titles(event, "labels")
    changes = event.inner_or_none("changes")
    labels = changes.inner_or_none("labels") if changes else None
    return (
        labels is not None
        and label in _titles(labels, "current")
        and label not in _titles(labels, "previous")
    )


def _titles(holder: Payload, name: str) -> set[str]:
    return {label.text("title").lower() for label in holder.inners(name)}


def _pipeline(event: Payload, config: Config) -> Trigger | NotForUs:
    run, project = event.inner("object_attributes"), event.inner("project")
    pull = event.inner_or_none("merge_request")
    target = project.number("id")
    fork = pull is not None and pull.number("source_project_id") != target
    branch = pull.text("source_branch") if pull else run.text("ref")
    default = pull is None and not run.flag("tag") and branch == project.text("default_branch")
    if reason := _unwanted(run, config, default):
        return NotForUs(reason)
    number = run.number("id")
    at = run.instant("finished_at")
    return Trigger(
        key=f"run:{number}:{at}",
        action="fix",
        source="build",
        actor=_actor(event.inner("user")),
        at=at,
        place=Place(pull.number("iid"), pull=True) if pull else None,
        build=Build(
            id=number,
            name=run.text_or("name") or "pipeline",
            url=f"{project.address('web_url')}/-/pipelines/{number}",
            commit=run.text("sha"),
            branch=branch,
            fork=fork,
        ),
    )


def _unwanted(run: Payload, config: Config, default: bool) -> str:
    """Why a pipeline is no work for the bot; empty where it is. `default` is whether it is of the
    default branch itself."""
    if (status := run.text("status")) != "failed":
        return f"the pipeline is {status!r:.60}, not failed"
    own = any(each.text_or("key").startswith("GREENROOM_") for each in run.inners("variables"))
    if own or run.text("source") == "trigger":  # else a failure of the bot would set it off again
        return "the pipeline is one that a trigger started, as the bot's own are"
    if config.red_builds == "none":
        return "the configuration leaves failed builds alone (red_builds)"
    if config.red_builds == "default-branch" and not default:
        return "the failed build is not of the default branch (red_builds)"
    return ""


def _own_pipeline(variables: Mapping[str, str], config: Config) -> Trigger | NotForUs:
    """The failure of the very pipeline whose last jobs are the bot's: GitLab's webhook of pipelines
    cannot be used, as it would tell of the bot's own ones too, without end."""
    job = Payload(variables, "the job's variables")
    branch = job.text("CI_COMMIT_REF_NAME")
    if config.red_builds == "none":
        return NotForUs("the configuration leaves failed builds alone (red_builds)")
    default = variables.get("CI_COMMIT_BRANCH") == job.text("CI_DEFAULT_BRANCH")
    if not default or job.text("CI_PIPELINE_SOURCE") != "push":
        return NotForUs("the pipeline is not one of a push to the default branch")
    number, login = job.text("CI_PIPELINE_ID"), job.text("GITLAB_USER_LOGIN")
    if not (number.isascii() and number.isdigit() and len(number) <= 15):
        raise UsageError(f"CI_PIPELINE_ID: expected a number, got {number!r:.60}")
    return Trigger(
        key=f"run:{number}",
        action="fix",
        source="build",
        actor=Actor(login, _user_id(variables), _is_bot(login)),
        at=job.instant("CI_PIPELINE_CREATED_AT"),
        build=Build(
            id=int(number),
            name=variables.get("CI_PIPELINE_NAME") or "pipeline",
            url=job.address("CI_PIPELINE_URL"),
            commit=job.text("CI_COMMIT_SHA"),
            branch=branch,
            fork=False,
        ),
    )


def _by_hand(variables: Mapping[str, str]) -> Trigger | NotForUs:
    number = issue_number(variables.get("GREENROOM_ISSUE", ""), "GREENROOM_ISSUE")
    guidance = variables.get("GREENROOM_GUIDANCE", "").strip()
    if number is None and not guidance:
        return NotForUs("there is no TRIGGER_PAYLOAD, no GREENROOM_ISSUE and no GREENROOM_GUIDANCE")
    if (source := variables.get("CI_PIPELINE_SOURCE", "")) not in _BY_HAND:
        return NotForUs(f"the pipeline was started by {source!r:.60}, not by a person")
    job = Payload(variables, "the job's variables")
    login = job.text("GITLAB_USER_LOGIN")
    return Trigger(
        key=f"dispatch:{job.text('CI_PIPELINE_ID')}",
        action="fix",
        source="dispatch",
        actor=Actor(login, _user_id(variables), _is_bot(login)),
        at=job.instant("CI_PIPELINE_CREATED_AT"),
        place=None if number is None else Place(number),
        guidance=guidance,
        target=None if number is None else "issue",
        target_id=number or 0,
    )


def _user_id(variables: Mapping[str, str]) -> int:
    found = variables.get("GITLAB_USER_ID", "")
    if not (found.isascii() and found.isdigit() and len(found) <= 15):
        raise UsageError(f"GITLAB_USER_ID: expected a number, got {found!r:.60}")
    return int(found)


def _actor(user: Payload) -> Actor:
    login = user.text("username")
    return Actor(login, user.number("id"), _is_bot(login))


def _is_bot(login: str) -> bool:
    return _BOTS.fullmatch(login) is not None
