"""GitHub's events: the file of a job's event, and the name of the event, to a trigger.

Nothing is asked of the forge here. Whether the actor may ask for anything is decided later, from
GitHub's permissions; `author_association` is never read.
"""

from agent.bot import commands
from agent.bot.config import Config
from agent.bot.payload import Payload
from agent.bot.trigger import BRANCHES, Actor, Build, NotForUs, Place, Trigger
from sandbox.errors import UsageError

#: Workflow files of the bot's own begin so: its own failures are no work for it.
_OWN_WORKFLOW = ".github/workflows/greenroom"
_PULL_EVENTS = ("pull_request", "pull_request_target")


def read(
    name: str, data: object, config: Config, *, run: str = "", at: str = ""
) -> Trigger | NotForUs:
    """What the event `name` with the payload `data` asks for.

    `run` is the workflow run's id and `at` the time now in ISO 8601: a dispatch has neither in its
    payload. Raises UsageError for a payload that is none of that event.
    """
    event = Payload(data, f"the event {name}")
    if name == "issues":
        return _labelled(event, config)
    if name == "issue_comment":
        return _comment(event)
    if name == "pull_request_review":
        return _review(event, config)
    if name == "workflow_run":
        return _build(event, config)
    if name == "workflow_dispatch":
        return _dispatch(event, run, at)
    return NotForUs(f"the bot does not listen to the event {name!r:.60}")


def _labelled(event: Payload, config: Config) -> Trigger | NotForUs:
    if (action := event.text("action")) != "labeled":
        return NotForUs(f"an issue was {action!r:.60}, not labelled")
    label = event.inner("label").text("name")
    if label.lower() != config.label.lower():
        return NotForUs(f"the label is {label!r:.60}, not {config.label!r:.60}")
    issue = event.inner("issue")
    number = issue.number("number")
    at = issue.instant("updated_at")
    return Trigger(
        key=f"label:{number}:{at}",
        action="fix",
        source="label",
        actor=_actor(event.inner("sender")),
        at=at,
        place=Place(number),
        title=issue.text("title"),
        text=issue.text_or("body"),
        author=_author(issue),
        target="issue",
        target_id=number,
    )


def _comment(event: Payload) -> Trigger | NotForUs:
    if (action := event.text("action")) != "created":
        return NotForUs(f"a comment was {action!r:.60}; only new ones are read")
    comment, issue = event.inner("comment"), event.inner("issue")
    command = commands.read(comment.text_or("body"))
    if command is None:
        return NotForUs(f"the comment does not begin with {commands.USAGE}")
    author = _author(comment)
    if author is None:
        return NotForUs("the comment's account is gone")
    return Trigger(
        key=f"comment:{comment.number('id')}",
        action=command.action,
        source="comment",
        actor=author,
        at=comment.instant("created_at"),
        place=Place(issue.number("number"), issue.inner_or_none("pull_request") is not None),
        title=issue.text("title"),
        text=issue.text_or("body"),
        author=_author(issue),
        guidance=command.guidance,
        target="comment",
        target_id=comment.number("id"),
    )


def _review(event: Payload, config: Config) -> Trigger | NotForUs:
    if (action := event.text("action")) != "submitted":
        return NotForUs(f"a review was {action!r:.60}; only new ones are read")
    review, pull = event.inner("review"), event.inner("pull_request")
    if not _own(pull, config):
        return NotForUs("the review is not of a pull request of the bot's own")
    if (state := pull.text("state")) != "open":
        return NotForUs(f"the pull request is {state!r:.60}")
    if (kind := review.text("state").lower()) not in ("commented", "changes_requested"):
        return NotForUs(f"the review asks for nothing: {kind!r:.60}")
    author = _author(review)
    if author is None:
        return NotForUs("the review's account is gone")
    words = review.text_or("body")
    command = commands.read(words)
    number = pull.number("number")
    return Trigger(
        key=f"review:{review.number('id')}",
        action=command.action if command else "fix",
        source="review",
        actor=author,
        at=review.instant("submitted_at"),
        place=Place(number, pull=True),
        title=pull.text("title"),
        text=pull.text_or("body"),
        author=_author(pull),
        guidance=command.guidance if command else words.strip(),
        target="pull",
        target_id=number,
        review=review.number("id"),
    )


def _own(pull: Payload, config: Config) -> bool:
    head, base = pull.inner("head"), pull.inner("base").inner("repo")
    repository = head.inner_or_none("repo")
    if repository is None or not head.text("ref").startswith(BRANCHES):
        return False
    fork = config.fork.lower()
    return repository.number("id") == base.number("id") or (
        fork != "" and repository.text("full_name").lower() == fork
    )


def _build(event: Payload, config: Config) -> Trigger | NotForUs:
    if (action := event.text("action")) != "completed":
        return NotForUs(f"a workflow run was {action!r:.60}, not completed")
    run, repository = event.inner("workflow_run"), event.inner("repository")
    head = run.inner_or_none("head_repository")
    fork = head is None or head.number("id") != repository.number("id")
    of_pull = run.text("event") in _PULL_EVENTS
    branch = run.text_or("head_branch")
    default = not fork and not of_pull and branch == repository.text("default_branch")
    pull = _pull_of(run, repository.number("id")) if of_pull else None
    if reason := _unwanted(run, config, default):
        return NotForUs(reason)
    if of_pull and pull is None and not fork:
        return NotForUs("the failed build's pull request is gone, or it is of several")
    number = run.number("id")
    return Trigger(
        key=f"run:{number}:{run.number('run_attempt')}",
        action="fix",
        source="build",
        actor=_actor(run.inner_or_none("triggering_actor") or run.inner("actor")),
        at=run.instant("updated_at"),
        place=None if pull is None else Place(pull, pull=True),
        build=Build(
            id=number,
            name=run.text_or("name", "a workflow"),
            url=run.address("html_url"),
            commit=run.text("head_sha"),
            branch=branch,
            fork=fork,
        ),
    )


def _unwanted(run: Payload, config: Config, default: bool) -> str:
    """Why a completed run is no work for the bot; empty where it is. `default` is whether it is of
    the default branch itself."""
    if (ended := run.text_or("conclusion")) != "failure":
        return f"the workflow run ended with {ended!r:.60}, no failure"
    if run.text_or("path").startswith(_OWN_WORKFLOW):
        return "the workflow run is one of the bot's own"
    if config.red_builds == "none":
        return "the configuration leaves failed builds alone (red_builds)"
    if config.red_builds == "default-branch" and not default:
        return "the failed build is not of the default branch (red_builds)"
    return ""


def _pull_of(run: Payload, repository: int) -> int | None:
    """The pull request that a run is of, in this repository; the list may name those of forks."""
    found = [
        pull.number("number")
        for pull in run.inners("pull_requests")
        if pull.inner("base").inner("repo").number("id") == repository
    ]
    return found[0] if len(found) == 1 else None


def _dispatch(event: Payload, run: str, at: str) -> Trigger | NotForUs:
    if not run or not at:
        raise UsageError(
            "a dispatch was read without the id of its workflow run",
            "GITHUB_RUN_ID names it in a job of GitHub Actions.",
        )
    inputs = event.inner_or_none("inputs") or Payload({}, "inputs")
    number = issue_number(inputs.text_or("issue"), "the input `issue`")
    guidance = inputs.text_or("guidance").strip()
    if number is None and not guidance:
        return NotForUs("the dispatch names no issue and has no guidance")
    return Trigger(
        key=f"dispatch:{run}",
        action="fix",
        source="dispatch",
        actor=_actor(event.inner("sender")),
        at=at,
        place=None if number is None else Place(number),
        guidance=guidance,
        target=None if number is None else "issue",
        target_id=number or 0,
    )


def issue_number(text: str, where: str) -> int | None:
    """The number of an issue as a person writes it, such as `12` or `#12`; None for none. Raises
    UsageError."""
    digits = text.strip().removeprefix("#")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 15 and int(digits)):
        raise UsageError(f"{where}: expected the number of an issue, got {text!r:.60}")
    return int(digits)


def _actor(account: Payload) -> Actor:
    login = account.text("login")
    bot = account.text_or("type") == "Bot" or login.endswith("[bot]")
    return Actor(login, account.number("id"), bot)


def _author(written: Payload) -> Actor | None:
    """Who wrote it; None for an account that is gone."""
    account = written.inner_or_none("user")
    return None if account is None else _actor(account)
