"""The fake GitLab's projects: branches, files, trees, commits, pipelines."""

import base64
from typing import Any

from tests.fakes.forge import gitlabjson
from tests.fakes.forge.bare import BareRepository, GitRefused
from tests.fakes.forge.gitlabrights import Rights, bad, not_found
from tests.fakes.forge.messages import Answer, Call, Routes
from tests.fakes.forge.store import Build, Project

P = "/projects/{id}"


def add_routes(routes: Routes) -> None:
    add = routes.add
    add("GET", P)(_project)
    add("GET", P + "/repository/branches/{branch}")(_branch)
    add("DELETE", P + "/repository/branches/{branch}")(_delete_branch)
    add("GET", P + "/repository/files/{path}")(_file)
    add("GET", P + "/repository/tree")(_tree)
    add("GET", P + "/repository/merge_base")(_merge_base)
    add("GET", P + "/repository/commits")(_commits)
    add("POST", P + "/repository/commits")(_commit)
    add("GET", P + "/pipelines/{number}")(_pipeline)
    add("GET", P + "/pipelines/{number}/jobs")(_jobs)
    add("GET", P + "/jobs/{number}/trace")(_trace)


def _project(rights: Rights, call: Call, id: str) -> Answer:
    return Answer(200, gitlabjson.project(rights.forge, rights.project(id)))


def _details(git: BareRepository, commit: str) -> tuple[list[str], str]:
    parents, _, message = git.kept("show", "-s", "--format=%P%n%B", commit).decode().partition("\n")
    return parents.split(), message


def _branch(rights: Rights, call: Call, id: str, branch: str) -> Answer:
    git = rights.project(id).git
    commit = git.head(branch)
    if commit is None:
        raise not_found("Branch")
    return Answer(200, gitlabjson.branch(branch, commit, *_details(git, commit)))


def _delete_branch(rights: Rights, call: Call, id: str, branch: str) -> Answer:
    project = rights.project(id)
    rights.needs(project, "write")
    if project.git.head(branch) is None:
        raise not_found("Branch")
    project.git.delete_ref(f"refs/heads/{branch}")
    return Answer(204)


def _file(rights: Rights, call: Call, id: str, path: str) -> Answer:
    git = rights.project(id).git
    commit = git.resolve(call.query["ref"])
    if commit is None:
        raise not_found("Commit")
    content = git.file(path, commit)
    if content is None:
        raise not_found("File")
    encoded = base64.b64encode(content).decode()
    return Answer(200, {"file_path": path, "encoding": "base64", "content": encoded})


def _tree(rights: Rights, call: Call, id: str) -> Answer:
    git = rights.project(id).git
    path = call.query.get("path", "")
    try:
        listed = git.run("ls-tree", "-z", f"{call.query['ref']}:{path}")
    except GitRefused:
        raise not_found("Tree") from None
    entries = []
    for line in listed.split(b"\0")[:-1]:
        head, _, name = line.decode().partition("\t")
        mode, kind, sha = head.split()
        place = f"{path}/{name}" if path else name
        entries.append({"id": sha, "name": name, "type": kind, "path": place, "mode": mode})
    return gitlabjson.page(rights.forge, call, entries)


def _merge_base(rights: Rights, call: Call, id: str) -> Answer:
    git = rights.project(id).git
    refs = call.query["refs[]"].split(",")
    if unknown := [each for each in refs if git.resolve(each) is None]:
        raise bad(f"Could not find ref: {', '.join(unknown)}")
    merged = git.merge_base(*refs)
    if merged is None:
        raise not_found("Merge Base")
    return Answer(200, _shown(git, merged))


def _commits(rights: Rights, call: Call, id: str) -> Answer:
    git = rights.project(id).git
    commit = git.head(call.query["ref_name"])
    if commit is None:
        raise not_found("Repository")
    shown = [_shown(git, each) for each in git.text("rev-list", "--topo-order", commit).split()]
    return gitlabjson.page(rights.forge, call, shown)


def _shown(git: BareRepository, commit: str) -> dict[str, Any]:
    parents, message = _details(git, commit)
    return {"id": commit, "parent_ids": parents, "message": message}


def _commit(rights: Rights, call: Call, id: str) -> Answer:
    project, data = rights.project(id), call.json()
    rights.needs(project, "write")
    git, branch = project.git, str(data["branch"])
    head, start = git.head(branch), data.get("start_sha")
    if start is None and head is None:
        raise bad("You can only create or edit files when you are on a branch")
    if start is not None:
        _check_start(rights, project, data, head)
    parent = start or head or ""
    tree = git.tree(parent, _applied(git, parent, data["actions"]))
    made = git.commit_tree(tree, [parent], data["commit_message"], rights.login)
    git.set_ref(f"refs/heads/{branch}", made, head or 40 * "0")
    rights.forge.store.follow_branches()
    return Answer(201, {**_shown(git, made), "author_name": rights.login})


def _check_start(rights: Rights, project: Project, data: dict[str, Any], head: str | None) -> None:
    if head is not None and not data.get("force"):
        raise bad(
            f"A branch called '{data['branch']}' already exists. Switch to that branch in order to"
            " make changes"
        )
    origin = project
    if "start_project" in data:
        origin = rights.project(str(data["start_project"]))
    if origin.git.resolve(data["start_sha"]) is None:
        raise bad(f"Cannot find start_sha '{data['start_sha']}'")
    if origin is not project:
        project.git.take_from(origin.git, data["start_sha"])


def _applied(
    git: BareRepository, parent: str, actions: list[dict[str, Any]]
) -> list[tuple[str, str, str | None]]:
    """What the actions, one after the other, make of the parent's entries."""
    now: dict[str, tuple[str, str | None]] = {}
    if not actions:
        raise bad("actions is empty")
    for action in actions:
        path, kind = action["file_path"], action["action"]
        mode = git.mode(path, parent)
        before = (mode, git.text("rev-parse", f"{parent}:{path}")) if mode else None
        old = now.get(path, before)
        there = old is not None and old[1] is not None
        if there == (kind == "create"):
            have = "already exists" if there else "doesn't exist"
            raise bad(f"A file with this name {have}")
        if kind == "delete":
            now[path] = ("0", None)
            continue
        assert old is not None or kind == "create"
        if kind == "chmod":
            assert old is not None
            now[path] = ("100755" if action["execute_filemode"] else "100644", old[1])
            continue
        content = base64.b64decode(action["content"], validate=True)
        now[path] = (old[0] if old and there else "100644", git.blob(content))
    return [(path, mode, sha) for path, (mode, sha) in now.items()]


def _build(project: Project, number: str) -> Build:
    found = project.builds.get(int(number))
    if found is None:
        raise not_found("Pipeline")
    return found


def _pipeline(rights: Rights, call: Call, id: str, number: str) -> Answer:
    project = rights.project(id)
    return Answer(200, gitlabjson.pipeline(rights.forge, project, _build(project, number)))


def _jobs(rights: Rights, call: Call, id: str, number: str) -> Answer:
    project = rights.project(id)
    shown = [gitlabjson.job(rights.forge, project, job) for job in _build(project, number).jobs]
    scope = call.query.get("scope[]")
    return gitlabjson.page(
        rights.forge, call, [job for job in shown if scope in (None, job["status"])]
    )


def _trace(rights: Rights, call: Call, id: str, number: str) -> Answer:
    project = rights.project(id)
    for build in project.builds.values():
        for job in build.jobs:
            if job.id == int(number):
                if rights.forge.traces_elsewhere:
                    return Answer(302, b"", {"Location": rights.forge.traces_elsewhere})
                return Answer(200, job.log, {"Content-Type": "text/plain"})
    raise not_found("Job")
