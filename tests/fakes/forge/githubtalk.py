"""The fake GitHub's conversations: issues, comments, pull requests, reviews, reactions, labels."""

from datetime import datetime

from tests.fakes.forge import githubjson
from tests.fakes.forge.githubjson import error, invalid
from tests.fakes.forge.githubrights import Rights
from tests.fakes.forge.messages import Answer, Call, Refused, Routes
from tests.fakes.forge.store import Comment, Issue, Project, Pull, Reaction, Review

REPO = "/v3/repos/{owner}/{repo}"
TALK = ("issues: write", "pull_requests: write")
REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")
MOST_BODY = 65536
NOT_PERMITTED = "GitHub Actions is not permitted to create or approve pull requests."


def add_routes(routes: Routes) -> None:
    add = routes.add
    add("GET", REPO + "/issues/comments")(_all_comments)
    add("PATCH", REPO + "/issues/comments/{number}")(_edit_comment)
    add("DELETE", REPO + "/issues/comments/{number}")(_delete_comment)
    add("POST", REPO + "/issues/comments/{number}/reactions")(_react_to_comment)
    add("POST", REPO + "/pulls/comments/{number}/reactions")(_react_to_remark)
    add("GET", REPO + "/issues/{number}")(_issue)
    add("GET", REPO + "/issues/{number}/comments")(_comments)
    add("POST", REPO + "/issues/{number}/comments")(_new_comment)
    add("POST", REPO + "/issues/{number}/reactions")(_react_to_issue)
    add("POST", REPO + "/issues/{number}/labels")(_add_labels)
    add("GET", REPO + "/pulls")(_pulls)
    add("POST", REPO + "/pulls")(_new_pull)
    add("GET", REPO + "/pulls/{number}")(_pull)
    add("PATCH", REPO + "/pulls/{number}")(_edit_pull)
    add("POST", REPO + "/pulls/{number}/requested_reviewers")(_request_reviews)
    add("GET", REPO + "/pulls/{number}/reviews/{review}")(_review)
    add("GET", REPO + "/pulls/{number}/reviews/{review}/comments")(_remarks)


def _missing() -> Refused:
    return Refused(404, error(404, "Not Found"))


def _entry(project: Project, number: str) -> Issue:
    found = project.issues.get(int(number)) or project.pulls.get(int(number))
    if found is None:
        raise _missing()
    return found


def _issue(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project = rights.project(owner, repo, "issues: read", "pull_requests: read")
    return Answer(200, githubjson.issue(rights.forge, project, _entry(project, number)))


def _listed(rights: Rights, call: Call, project: Project, found: list[Comment]) -> Answer:
    if since := call.query.get("since"):
        found = [entry for entry in found if entry.updated_at >= datetime.fromisoformat(since)]
    shown = [githubjson.comment(rights.forge, project, entry) for entry in found]
    return githubjson.page(rights.forge, call, shown)


def _all_comments(rights: Rights, call: Call, owner: str, repo: str) -> Answer:
    project = rights.project(owner, repo, "issues: read", "pull_requests: read")
    found = sorted(project.comments.values(), key=lambda entry: entry.id)
    if call.query.get("sort") == "updated":
        found.sort(key=lambda entry: (entry.updated_at, entry.id))
    if call.query.get("direction") == "desc":
        found.reverse()
    return _listed(rights, call, project, found)


def _comments(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project = rights.project(owner, repo, "issues: read", "pull_requests: read")
    wanted = _entry(project, number).number
    found = [entry for entry in project.comments.values() if entry.number == wanted]
    return _listed(rights, call, project, sorted(found, key=lambda entry: entry.id))


def _body(call: Call) -> str:
    body = str(call.json().get("body") or "")
    if not body.strip():
        raise Refused(422, invalid("body cannot be blank"))
    if len(body) > MOST_BODY:
        raise Refused(422, invalid(f"body is too long (maximum is {MOST_BODY} characters)"))
    return body


def _new_comment(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project = rights.project(owner, repo, *TALK)
    entry = _entry(project, number)
    made = rights.forge.store.comment(
        project, entry.number, isinstance(entry, Pull), rights.login, _body(call)
    )
    return Answer(201, githubjson.comment(rights.forge, project, made))


def _own_comment(rights: Rights, owner: str, repo: str, number: str) -> tuple[Project, Comment]:
    project = rights.project(owner, repo, *TALK)
    found = project.comments.get(int(number))
    if found is None:
        raise _missing()
    if found.author != rights.login:
        rights.role(project, "write")
    return project, found


def _edit_comment(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project, found = _own_comment(rights, owner, repo, number)
    found.body, found.updated_at = _body(call), rights.forge.store.now()
    return Answer(200, githubjson.comment(rights.forge, project, found))


def _delete_comment(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project, found = _own_comment(rights, owner, repo, number)
    del project.comments[found.id]
    return Answer(204)


def _react(rights: Rights, call: Call, reactions: list[Reaction]) -> Answer:
    content = call.json()["content"]
    if content not in REACTIONS:
        raise Refused(422, invalid("content is not a reaction"))
    for found in reactions:
        if (found.author, found.content) == (rights.login, content):
            return Answer(200, githubjson.reaction(rights.forge, found))
    made = Reaction(rights.forge.store.next_id(), rights.login, content)
    reactions.append(made)
    return Answer(201, githubjson.reaction(rights.forge, made))


def _react_to_issue(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project = rights.project(owner, repo, *TALK)
    return _react(rights, call, _entry(project, number).reactions)


def _react_to_comment(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project = rights.project(owner, repo, *TALK)
    if (found := project.comments.get(int(number))) is None:
        raise _missing()
    return _react(rights, call, found.reactions)


def _react_to_remark(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project = rights.project(owner, repo, "pull_requests: write")
    if (found := project.remarks.get(int(number))) is None:
        raise _missing()
    return _react(rights, call, found.reactions)


def _add_labels(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project = rights.project(owner, repo, *TALK)
    rights.role(project, "triage")
    entry = _entry(project, number)
    given = call.json()["labels"]
    entry.labels += [name for name in dict.fromkeys(given) if name not in entry.labels]
    return Answer(200, [{"name": name} for name in entry.labels])


def _found_pull(project: Project, number: str) -> Pull:
    found = project.pulls.get(int(number))
    if found is None:
        raise _missing()
    return found


def _pull(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project = rights.project(owner, repo, "pull_requests: read")
    return Answer(200, githubjson.pull(rights.forge, project, _found_pull(project, number)))


def _pulls(rights: Rights, call: Call, owner: str, repo: str) -> Answer:
    project = rights.project(owner, repo, "pull_requests: read")
    found = sorted(project.pulls.values(), key=lambda entry: -entry.number)
    state = call.query.get("state", "open")
    if state != "all":
        found = [entry for entry in found if (entry.state == "open") == (state == "open")]
    shown = [githubjson.pull(rights.forge, project, entry) for entry in found]
    if head := call.query.get("head"):
        shown = [entry for entry in shown if entry["head"]["label"] == head]
    if base := call.query.get("base"):
        shown = [entry for entry in shown if entry["base"]["ref"] == base]
    # The list has no `merged`.
    return githubjson.page(
        rights.forge, call, [{k: v for k, v in entry.items() if k != "merged"} for entry in shown]
    )


def _new_pull(rights: Rights, call: Call, owner: str, repo: str) -> Answer:
    project = rights.project(owner, repo, "pull_requests: write")
    data = call.json()
    user, _, branch = data["head"].rpartition(":")
    source = _head(rights, project, user or owner, data.get("head_repo", ""))
    from_a_job = rights.token is not None and rights.token.kind == "actions"
    if from_a_job and not project.settings.get("actions_may_open_pulls", True):
        raise Refused(403, error(403, NOT_PERMITTED))
    if data.get("draft") and not project.settings.get("drafts", True):
        reason = "Draft pull requests are not supported in this repository."
        raise Refused(422, error(422, "Validation Failed", errors=[{"message": reason}]))
    if source is None or source.git.head(branch) is None:
        field = {"resource": "PullRequest", "field": "head", "code": "invalid"}
        raise Refused(422, error(422, "Validation Failed", errors=[field]))
    if source.git.head(branch) == project.git.head(data["base"]):
        reason = f"No commits between {data['base']} and {branch}"
        raise Refused(422, invalid(reason))
    for entry in project.pulls.values():
        if (entry.head, entry.branch, entry.state) == (source.name, branch, "open"):
            label = f"{source.name.partition('/')[0]}:{branch}"
            raise Refused(422, invalid(f"A pull request already exists for {label}."))
    made = rights.forge.store.pull(
        project,
        rights.login,
        data["title"],
        data.get("body") or "",
        branch,
        head=source.name,
        base_branch=data["base"],
        draft=bool(data.get("draft")),
    )
    return Answer(201, githubjson.pull(rights.forge, project, made))


def _head(rights: Rights, project: Project, owner: str, name: str) -> Project | None:
    """The repository of `owner` in this one's network of forks."""
    for found in rights.forge.store.projects.values():
        account, _, own_name = found.name.partition("/")
        related = project.name in (found.name, found.parent)
        if account == owner and related and name in ("", own_name):
            return found
    return None


def _edit_pull(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project = rights.project(owner, repo, "pull_requests: write")
    found = _found_pull(project, number)
    if found.author != rights.login:
        rights.role(project, "write")
    data = call.json()
    found.title = data.get("title", found.title)
    found.body = data.get("body", found.body)
    found.state = data.get("state", found.state)
    found.updated_at = rights.forge.store.now()
    return Answer(200, githubjson.pull(rights.forge, project, found))


def _request_reviews(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project = rights.project(owner, repo, "pull_requests: write")
    found = _found_pull(project, number)
    data = call.json()
    users, teams = data.get("reviewers", []), data.get("team_reviewers", [])
    if found.author in users:
        raise Refused(422, error(422, "Review cannot be requested from pull request author."))
    if any(project.roles.get(name, "none") == "none" for name in users):
        reason = "Reviews may only be requested from collaborators."
        raise Refused(422, error(422, reason))
    if teams and rights.token is not None and rights.token.kind == "actions":
        raise Refused(422, error(422, "Could not resolve to a node with the global id of a team."))
    found.reviewers = list(dict.fromkeys([*found.reviewers, *users]))
    found.teams = list(dict.fromkeys([*found.teams, *teams]))
    return Answer(201, githubjson.pull(rights.forge, project, found))


def _found_review(project: Project, number: str, review: str) -> Review:
    found = project.reviews.get(int(review))
    if found is None or found.number != int(number):
        raise _missing()
    return found


def _review(rights: Rights, call: Call, owner: str, repo: str, number: str, review: str) -> Answer:
    project = rights.project(owner, repo, "pull_requests: read")
    found = _found_review(project, number, review)
    return Answer(200, githubjson.review(rights.forge, found))


def _remarks(rights: Rights, call: Call, owner: str, repo: str, number: str, review: str) -> Answer:
    """GitHub's list of a review's comments says no `line`, only where it stood at first."""
    project = rights.project(owner, repo, "pull_requests: read")
    wanted = _found_review(project, number, review).id
    found = [entry for entry in project.remarks.values() if entry.review == wanted]
    shown = [githubjson.comment(rights.forge, project, entry) for entry in found]
    return githubjson.page(rights.forge, call, shown)
