"""Git over HTTP: `git http-backend` behind a check of the token."""

import os
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.fakes.forge.bare import ENVIRONMENT
from tests.fakes.forge.messages import Answer, Call

if TYPE_CHECKING:
    from tests.fakes.forge.server import FakeForge


def git_over_http(forge: "FakeForge", call: Call) -> Answer:
    """Fetches and pushes of /OWNER/NAME.git/..., and nothing else."""
    name, found, rest = unquote(call.path).strip("/").partition(".git/")
    project = forge.store.projects.get(name) if found else None
    secret = call.secret()
    token = forge.store.tokens.get(secret)
    if secret and token is None:
        return _asks_for_a_token()
    push = "git-receive-pack" in (rest, call.query.get("service", ""))
    if project is None or not forge.may_git(token, project, write=False):
        return Answer(404, b"Repository not found.") if token else _asks_for_a_token()
    if push and not forge.may_git(token, project, write=True):
        return Answer(403, b"Write access not granted.") if token else _asks_for_a_token()
    query = "&".join(f"{key}={value}" for key, value in call.query.items())
    variables = {
        **ENVIRONMENT,
        "GIT_PROJECT_ROOT": str(project.git.folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{rest}",
        "QUERY_STRING": query,
        "REQUEST_METHOD": call.method,
        "CONTENT_TYPE": call.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(call.body)),
        "HTTP_CONTENT_ENCODING": call.headers.get("content-encoding", ""),
        "GIT_PROTOCOL": call.headers.get("git-protocol", ""),
        "REMOTE_USER": token.user.login if token else "",
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(
        ["git", "http-backend"], input=call.body, env=variables, capture_output=True, check=True
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = int(headers.pop("Status", "200").split(" ", 1)[0])
    return Answer(status, body, headers)


def _asks_for_a_token() -> Answer:
    return Answer(401, b"", {"WWW-Authenticate": 'Basic realm="forge"'})
