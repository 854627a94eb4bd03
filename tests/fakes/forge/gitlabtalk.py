"""The fake GitLab's conversations: users, members, notes, awards, labels, merge requests."""

from datetime import datetime

from tests.fakes.forge import gitlabjson
from tests.fakes.forge.gitlabrights import Rights, bad, not_found
from tests.fakes.forge.messages import Answer, Call, Refused, Routes
from tests.fakes.forge.store import Comment, Issue, Project, Pull, Reaction

P = "/projects/{id}"
PLACE = P + "/{kind}/{number}"


def add_routes(routes: Routes) -> None:
    add = routes.add
    add("GET", "/user")(_me)
    add("POST", "/graphql")(_work_item)
    add("GET", "/users")(_users)
    add("GET", "/users/{user}/events")(_events)
    add("GET", P + "/members/all/{user}")(_member)
    add("GET", P + "/merge_requests")(_merge_requests)
    add("POST", P + "/merge_requests")(_open)
    add("GET", P + "/merge_requests/{number}/discussions")(_discussions)
    add("GET", PLACE)(_entry_shown)
    add("PUT", PLACE)(_change)
    add("GET", PLACE + "/resource_label_events")(_label_events)
    add("GET", PLACE + "/notes")(_notes)
    add("POST", PLACE + "/notes")(_add_note)
    add("POST", PLACE + "/award_emoji")(_award)
    add("GET", PLACE + "/notes/{note}")(_note)
    add("PUT", PLACE + "/notes/{note}")(_edit_note)
    add("DELETE", PLACE + "/notes/{note}")(_delete_note)
    add("POST", PLACE + "/notes/{note}/award_emoji")(_award)


def _entry(project: Project, kind: str, number: str) -> Issue:
    entries: dict[str, dict[int, Issue]] = {
        "issues": project.issues,
        "merge_requests": {**project.pulls},
    }
    found = entries.get(kind, {}).get(int(number))
    if found is None:
        raise not_found("Issue" if kind == "issues" else "merge_request")
    return found


def _shown(rights: Rights, project: Project, entry: Issue) -> Answer:
    if isinstance(entry, Pull):
        return Answer(200, gitlabjson.merge_request(rights.forge, project, entry))
    return Answer(200, gitlabjson.issue(rights.forge, project, entry))


def _me(rights: Rights, call: Call) -> Answer:
    rights.signed_in()
    assert rights.token is not None
    return Answer(200, gitlabjson.me(rights.forge, rights.token))


def _work_item(rights: Rights, call: Call) -> Answer:
    """GraphQL's one query of the client's: when the words of an issue were changed last."""
    _ = rights.user
    given = call.json()
    assert "lastEditedAt" in given["query"]
    kind, _, number = str(given["variables"]["id"]).rpartition("/")
    if kind != "gid://gitlab/WorkItem":
        return Answer(200, {"errors": [{"message": f"{kind} is no global id of a WorkItem"}]})
    found = [
        entry
        for project in rights.forge.store.projects.values()
        if rights.sees(project)
        for entry in project.issues.values()
        if entry.id == int(number)
    ]
    shown = {"widgets": [{}, gitlabjson.description(found[0])]} if found else None
    return Answer(200, {"data": {"workItem": shown}})


def _users(rights: Rights, call: Call) -> Answer:
    rights.signed_in()
    found = rights.forge.store.users.get(call.query["username"])
    return Answer(200, [gitlabjson.user(found)] if found else [])


def _events(rights: Rights, call: Call, user: str) -> Answer:
    rights.signed_in()
    after = datetime.fromisoformat(call.query["after"]).date()
    found = [
        (comment.created_at, gitlabjson.event(rights.forge, project, comment))
        for project in rights.forge.store.projects.values()
        if rights.sees(project)
        for comment in [*project.comments.values(), *project.remarks.values()]
        if comment.author == user and comment.created_at.date() > after
    ]
    found.sort(key=lambda pair: pair[0])
    return gitlabjson.page(rights.forge, call, [event for _, event in found])


def _member(rights: Rights, call: Call, id: str, user: str) -> Answer:
    project = rights.project(id)
    rights.signed_in()
    for account in rights.forge.store.users.values():
        if str(account.id) == user and account.login in project.roles:
            return Answer(200, gitlabjson.member(account, project))
    raise Refused(404, {"message": "404 Not found"})


def _all_notes(project: Project, entry: Issue) -> list[Comment]:
    pull = isinstance(entry, Pull)
    both = [*project.comments.values(), *project.remarks.values()]
    return [each for each in both if (each.number, each.pull) == (entry.number, pull)]


def _notes(rights: Rights, call: Call, id: str, kind: str, number: str) -> Answer:
    project = rights.project(id)
    found = sorted(_all_notes(project, _entry(project, kind, number)), key=lambda each: each.id)
    if call.query.get("sort") != "asc":
        found.reverse()
    shown = [gitlabjson.note(rights.forge, project, each) for each in found]
    return gitlabjson.page(rights.forge, call, shown)


def _found_note(project: Project, kind: str, number: str, note: str) -> Comment:
    for each in _all_notes(project, _entry(project, kind, number)):
        if each.id == int(note):
            return each
    raise not_found("Note")


def _note(rights: Rights, call: Call, id: str, kind: str, number: str, note: str) -> Answer:
    project = rights.project(id)
    found = _found_note(project, kind, number, note)
    return Answer(200, gitlabjson.note(rights.forge, project, found))


def _add_note(rights: Rights, call: Call, id: str, kind: str, number: str) -> Answer:
    project = rights.project(id)
    rights.needs(project, "read")
    entry = _entry(project, kind, number)
    body = str(call.json()["body"])
    if not body.strip():
        raise bad({"note": ["can't be blank"]})
    store = rights.forge.store
    made = store.comment(project, entry.number, isinstance(entry, Pull), rights.login, body)
    return Answer(201, gitlabjson.note(rights.forge, project, made))


def _own_note(rights: Rights, project: Project, kind: str, number: str, note: str) -> Comment:
    found = _found_note(project, kind, number, note)
    if found.author != rights.login:
        rights.needs(project, "maintain")
    return found


def _edit_note(rights: Rights, call: Call, id: str, kind: str, number: str, note: str) -> Answer:
    project = rights.project(id)
    found = _own_note(rights, project, kind, number, note)
    found.body, found.updated_at = str(call.json()["body"]), rights.forge.store.now()
    return Answer(200, gitlabjson.note(rights.forge, project, found))


def _delete_note(rights: Rights, call: Call, id: str, kind: str, number: str, note: str) -> Answer:
    project = rights.project(id)
    found = _own_note(rights, project, kind, number, note)
    (project.comments if found.id in project.comments else project.remarks).pop(found.id)
    return Answer(204)


def _award(
    rights: Rights, call: Call, id: str, kind: str, number: str, note: str | None = None
) -> Answer:
    project = rights.project(id)
    rights.needs(project, "read")
    found: Issue | Comment = _entry(project, kind, number)
    if note is not None:
        found = _found_note(project, kind, number, note)
    name = str(call.json()["name"])
    if any((each.author, each.content) == (rights.login, name) for each in found.reactions):
        raise not_found("Award Emoji Name has already been taken")
    found.reactions.append(Reaction(rights.forge.store.next_id(), rights.login, name))
    return Answer(201, {"id": found.reactions[-1].id, "name": name})


def _label_events(rights: Rights, call: Call, id: str, kind: str, number: str) -> Answer:
    project = rights.project(id)
    entry = _entry(project, kind, number)
    shown = [
        {
            "id": index,
            "user": gitlabjson.user(rights.forge.store.users[each.login]),
            "created_at": gitlabjson.time(each.at),
            "label": {"name": each.label},
            "action": each.action,
        }
        for index, each in enumerate(rights.forge.label_events)
        if each.entry is entry
    ]
    return gitlabjson.page(rights.forge, call, shown)


def _entry_shown(rights: Rights, call: Call, id: str, kind: str, number: str) -> Answer:
    project = rights.project(id)
    return _shown(rights, project, _entry(project, kind, number))


def _change(rights: Rights, call: Call, id: str, kind: str, number: str) -> Answer:
    project = rights.project(id)
    entry, data = _entry(project, kind, number), call.json()
    if entry.author != rights.login or "add_labels" in data:
        rights.needs(project, "triage")
    rights.forge.store.edit(entry, title=data.get("title"), body=data.get("description"))
    for label in filter(None, data.get("add_labels", "").split(",")):
        rights.forge.label(project, entry, rights.login, label)
    if isinstance(entry, Pull) and "reviewer_ids" in data:
        logins = {user.id: user.login for user in rights.forge.store.users.values()}
        entry.reviewers = [logins[number] for number in data["reviewer_ids"]]
    return _shown(rights, project, entry)


def _merge_requests(rights: Rights, call: Call, id: str) -> Answer:
    project = rights.project(id)
    found = [
        gitlabjson.merge_request(rights.forge, project, pull)
        for pull in project.pulls.values()
        if call.query.get("author_username", pull.author) == pull.author
        and (call.query.get("state") != "opened" or pull.state == "open")
    ]
    return gitlabjson.page(rights.forge, call, found)


def _open(rights: Rights, call: Call, id: str) -> Answer:
    source, data = rights.project(id), call.json()
    rights.needs(source, "write")
    target = rights.project(str(data.get("target_project_id", source.id)))
    branch, base = str(data["source_branch"]), str(data["target_branch"])
    for name, place in ((branch, source), (base, target)):
        if place.git.head(name) is None:
            raise bad({"base": [f"The branch {name} does not exist"]})
    for pull in target.pulls.values():
        there = (pull.head, pull.branch, pull.base_branch, pull.state)
        if there == (source.name, branch, base, "open"):
            text = (
                f"Another open merge request already exists for this source branch: !{pull.number}"
            )
            raise Refused(409, {"message": [text]})
    title = str(data["title"])
    made = rights.forge.store.pull(
        target,
        rights.login,
        title,
        str(data.get("description", "")),
        branch,
        head=source.name,
        base_branch=base,
        draft=title.startswith(gitlabjson.DRAFT),
    )
    return Answer(201, gitlabjson.merge_request(rights.forge, target, made))


def _discussions(rights: Rights, call: Call, id: str, number: str) -> Answer:
    project = rights.project(id)
    notes = _all_notes(project, _entry(project, "merge_requests", number))
    threads: dict[int, list[Comment]] = {}
    for each in sorted(notes, key=lambda note: note.id):
        threads.setdefault(each.review or each.id, []).append(each)
    shown = [
        {
            "id": f"discussion{key}",
            "notes": [gitlabjson.note(rights.forge, project, each) for each in thread],
        }
        for key, thread in threads.items()
    ]
    return gitlabjson.page(rights.forge, call, shown)
