"""The fake GitHub's repository: its files, git objects, branches, members and workflow runs."""

from base64 import b64decode, b64encode
from typing import Any

from tests.fakes.forge import githubjson
from tests.fakes.forge.bare import GitRefused
from tests.fakes.forge.githubjson import error, is_commit
from tests.fakes.forge.githubrights import Rights
from tests.fakes.forge.messages import Answer, Call, Refused, Routes
from tests.fakes.forge.store import Project

REPO = "/v3/repos/{owner}/{repo}"
NEW = "0" * 40
#: For addresses that GitHub gives and no client of ours reads.
SOMEWHERE = "http://forge.invalid/"
#: Larger files come from the contents API without their content.
MOST_CONTENT = 1 << 20


def add_routes(routes: Routes) -> None:
    add = routes.add
    add("GET", "/v3/user")(_user)
    add("POST", "/graphql")(_graphql)
    add("GET", "/v3/users/{login}")(_account)
    add("GET", REPO)(_repository)
    add("GET", REPO + "/commits")(_commits)
    add("GET", REPO + "/compare/{span}")(_compare)
    add("GET", REPO + "/collaborators/{login}/permission")(_permission)
    add("GET", REPO + "/contents/{path*}")(_contents)
    add("GET", REPO + "/git/blobs/{sha}")(_blob)
    add("POST", REPO + "/git/blobs")(_new_blob)
    add("POST", REPO + "/git/trees")(_new_tree)
    add("GET", REPO + "/git/commits/{sha}")(_commit)
    add("POST", REPO + "/git/commits")(_new_commit)
    add("GET", REPO + "/git/ref/{ref*}")(_ref)
    add("POST", REPO + "/git/refs")(_new_ref)
    add("PATCH", REPO + "/git/refs/{ref*}")(_move_ref)
    add("DELETE", REPO + "/git/refs/{ref*}")(_delete_ref)
    add("GET", REPO + "/actions/runs/{number}/jobs")(_jobs)
    add("GET", REPO + "/actions/jobs/{number}/logs")(_log)
    add("GET", "/logs/{owner}/{repo}/{number}")(_log_file)


def _user(rights: Rights, call: Call) -> Answer:
    if rights.token is None or rights.integration:
        rights.refuse()
    return Answer(200, githubjson.user(rights.token.user))


def _account(rights: Rights, call: Call, login: str) -> Answer:
    if (found := rights.forge.store.users.get(login)) is None:
        raise Refused(404, error(404, "Not Found"))
    return Answer(200, githubjson.user(found))


def _graphql(rights: Rights, call: Call) -> Answer:
    """The two queries of the client's: whose token it is, and an issue with its edits."""
    if rights.token is None:
        rights.refuse()
    query, given = str(call.json().get("query")), call.json().get("variables", {})
    if "viewer" in query:
        return Answer(200, {"data": {"viewer": {"login": rights.login}}})
    if "lastEditedAt" not in query:
        raise Refused(200, {"errors": [{"message": "The fake answers no such query."}]})
    project = rights.project(given["owner"], given["name"], "issues: read")
    entry = project.issues.get(given["number"])
    if entry is None:
        reason = f"Could not resolve to an Issue with the number of {given['number']}."
        error = {"type": "NOT_FOUND", "path": ["repository", "issue"], "message": reason}
        raise Refused(200, {"data": {"repository": {"issue": None}}, "errors": [error]})
    shown = githubjson.edited_issue(rights.forge.store.user(entry.author), entry)
    return Answer(200, {"data": {"repository": {"issue": shown}}})


def _repository(rights: Rights, call: Call, owner: str, repo: str) -> Answer:
    return Answer(200, githubjson.repository(rights.forge, rights.project(owner, repo)))


def _permission(rights: Rights, call: Call, owner: str, repo: str, login: str) -> Answer:
    project = rights.project(owner, repo, "metadata: read")
    account = rights.forge.store.users.get(login)
    if account is None:
        raise Refused(404, error(404, f"{login} is not a user"))
    role = project.role(login)
    coarse = {"maintain": "write", "triage": "read"}.get(role, role)
    body = {"permission": coarse, "role_name": role, "user": githubjson.user(account)}
    return Answer(200, body)


def _contents(rights: Rights, call: Call, owner: str, repo: str, path: str) -> Answer:
    project = rights.project(owner, repo, "contents: read")
    commit = project.git.resolve(call.query.get("ref", project.default_branch))
    if commit is None:
        raise Refused(404, error(404, f"No commit found for the ref {call.query.get('ref')}"))
    mode = project.git.mode(path, commit)
    if mode is None:
        raise Refused(404, error(404, "Not Found"))
    if mode == "040000":
        return Answer(200, [])
    content = project.git.file(path, commit) or b""
    small = len(content) <= MOST_CONTENT
    data = {
        "type": "symlink" if mode == "120000" else "file",
        "path": path,
        "name": path.rpartition("/")[2],
        "size": len(content),
        "sha": project.git.blob(content),
        "encoding": "base64" if small else "none",
        "content": b64encode(content).decode() if small else "",
    }
    for name in ("url", "git_url", "html_url", "download_url"):
        data[name] = SOMEWHERE
    data["_links"] = dict.fromkeys(("self", "git", "html"), SOMEWHERE)
    return Answer(200, data)


def _blob(rights: Rights, call: Call, owner: str, repo: str, sha: str) -> Answer:
    project = rights.project(owner, repo, "contents: read")
    try:
        content = project.git.run("cat-file", "blob", sha)
    except GitRefused:
        raise Refused(404, error(404, "Not Found")) from None
    data = {"sha": sha, "size": len(content), "encoding": "base64"}
    return Answer(200, {**data, "content": b64encode(content).decode()})


def _new_blob(rights: Rights, call: Call, owner: str, repo: str) -> Answer:
    project = rights.project(owner, repo, "contents: write")
    data = call.json()
    content = data["content"]
    raw = b64decode(content) if data.get("encoding") == "base64" else content.encode("utf-8")
    return Answer(201, {"sha": project.git.blob(raw), "url": SOMEWHERE})


def _new_tree(rights: Rights, call: Call, owner: str, repo: str) -> Answer:
    project = rights.project(owner, repo, "contents: write")
    data = call.json()
    base, entries = data.get("base_tree"), []
    for entry in data["tree"]:
        path, mode, sha = entry["path"], entry["mode"], entry.get("sha")
        if mode not in ("100644", "100755", "040000", "160000", "120000"):
            raise Refused(422, error(422, "tree.mode is not a valid mode"))
        if "content" in entry:
            sha = project.git.blob(entry["content"].encode("utf-8"))
        if sha is None and (base is None or project.git.mode(path, base) is None):
            raise Refused(422, error(422, "GitRPC::BadObjectState"))
        entries.append((path, mode, sha))
    return Answer(201, {"sha": project.git.tree(base, entries), "url": SOMEWHERE, "tree": []})


def _commit_data(project: Project, sha: str) -> dict[str, Any]:
    shown = project.git.kept("show", "-s", "--format=%T%x00%P%x00%an%x00%B", sha)
    tree, parents, author, message = shown.decode().strip().split("\0")
    return {
        "sha": sha,
        "tree": {"sha": tree, "url": SOMEWHERE},
        "parents": [{"sha": parent} for parent in parents.split()],
        "author": {"name": author},
        "message": message,
        "url": SOMEWHERE,
    }


def _commits(rights: Rights, call: Call, owner: str, repo: str) -> Answer:
    project = rights.project(owner, repo, "contents: read")
    start = project.git.resolve(call.query.get("sha", project.default_branch))
    if start is None:
        raise Refused(404, error(404, "Not Found"))
    found = [_commit_data(project, sha) for sha in project.git.text("rev-list", start).split()]
    shown = [{"sha": each["sha"], "parents": each["parents"], "commit": each} for each in found]
    return githubjson.page(rights.forge, call, shown)


def _compare(rights: Rights, call: Call, owner: str, repo: str, span: str) -> Answer:
    project = rights.project(owner, repo, "contents: read")
    base, _, head = span.partition("...")
    merged = project.git.merge_base(base, head)
    if merged is None:
        raise Refused(404, error(404, "Not Found"))
    status = "ahead" if merged == base else "diverged"
    return Answer(200, {"status": status, "merge_base_commit": _commit_data(project, merged)})


def _commit(rights: Rights, call: Call, owner: str, repo: str, sha: str) -> Answer:
    project = rights.project(owner, repo, "contents: read")
    if not is_commit(sha) or project.git.resolve(sha) is None:
        raise Refused(404, error(404, "Not Found"))
    return Answer(200, _commit_data(project, sha))


def _new_commit(rights: Rights, call: Call, owner: str, repo: str) -> Answer:
    project = rights.project(owner, repo, "contents: write")
    data = call.json()
    for parent in data.get("parents", []):
        if project.git.resolve(parent) is None:
            raise Refused(422, error(422, "Parent SHA does not exist or is not a commit object"))
    # Signed only where no author is named: the tests tell by the author.
    author = data.get("author", {}).get("name") or f"{rights.login} (signed)"
    made = project.git.commit_tree(data["tree"], data.get("parents", []), data["message"], author)
    return Answer(201, _commit_data(project, made))


def _ref_answer(project: Project, branch: str, status: int = 200) -> Answer:
    target = {"sha": project.git.head(branch), "type": "commit", "url": SOMEWHERE}
    return Answer(status, {"ref": f"refs/heads/{branch}", "url": SOMEWHERE, "object": target})


def _ref(rights: Rights, call: Call, owner: str, repo: str, ref: str) -> Answer:
    branch = ref.removeprefix("heads/")
    project = rights.project(owner, repo, "contents: read")
    if project.git.head(branch) is None:
        raise Refused(404, error(404, "Not Found"))
    return _ref_answer(project, branch)


def _new_ref(rights: Rights, call: Call, owner: str, repo: str) -> Answer:
    project = rights.project(owner, repo, "contents: write")
    data = call.json()
    ref, sha = data["ref"], data["sha"]
    branch = ref.removeprefix("refs/heads/")
    if project.git.head(branch) is not None:
        raise Refused(422, error(422, "Reference already exists"))
    if project.git.resolve(sha) is None:
        raise Refused(422, error(422, "Object does not exist"))
    project.git.set_ref(ref, sha, NEW)
    return _ref_answer(project, branch, 201)


def _move_ref(rights: Rights, call: Call, owner: str, repo: str, ref: str) -> Answer:
    branch = ref.removeprefix("heads/")
    project = rights.project(owner, repo, "contents: write")
    data = call.json()
    old = project.git.head(branch)
    if old is None:
        raise Refused(422, error(422, "Reference does not exist"))
    if not data.get("force") and project.git.text("merge-base", old, data["sha"]) != old:
        raise Refused(422, error(422, "Update is not a fast forward"))
    project.git.set_ref(f"refs/heads/{branch}", data["sha"])
    return _ref_answer(project, branch)


def _delete_ref(rights: Rights, call: Call, owner: str, repo: str, ref: str) -> Answer:
    branch = ref.removeprefix("heads/")
    project = rights.project(owner, repo, "contents: write")
    if project.git.head(branch) is None:
        raise Refused(422, error(422, "Reference does not exist"))
    project.git.delete_ref(f"refs/heads/{branch}")
    for pull in project.pulls.values():
        if (pull.head, pull.branch, pull.state) == (project.name, branch, "open"):
            pull.state = "closed"
    return Answer(204)


def _jobs(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project = rights.project(owner, repo, "actions: read")
    run = project.builds.get(int(number))
    if run is None:
        raise Refused(404, error(404, "Not Found"))
    jobs = [githubjson.job(rights.forge, project, run, job) for job in run.jobs]
    return githubjson.page(rights.forge, call, jobs, "jobs")


def _log(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    """Logs are public nowhere, and lie elsewhere under an address that needs no token."""
    rights.project(owner, repo, "actions: read")
    if rights.token is None or (
        rights.integration and rights.token.scopes.get("actions") not in ("read", "write")
    ):
        rights.refuse("actions: read")
    where = f"{rights.forge.url}/api/logs/{owner}/{repo}/{number}?sig=signed"
    return Answer(302, None, {"Location": where})


def _log_file(rights: Rights, call: Call, owner: str, repo: str, number: str) -> Answer:
    project = rights.forge.store.projects[f"{owner}/{repo}"]
    if "authorization" in call.headers:
        raise Refused(400, b"a token has come to the store of logs")
    for run in project.builds.values():
        for job in run.jobs:
            if job.id == int(number):
                return Answer(200, job.log, {"Content-Type": "text/plain"})
    raise Refused(404, b"gone")
