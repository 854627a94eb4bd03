import base64
import os
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from agent.bot import fetch
from agent.bot.fetch import fetched
from sandbox.errors import GreenroomError, SetupError, UsageError
from sandbox.policy import Policy
from sandbox.trees import TreeStore
from tasks.repository import base_limits
from tasks.revision import base_of_commit
from tests.outside import certificate

TOKEN = "forge-token-0123456789"
IDENTITY = ("-c", "user.name=U", "-c", "user.email=u@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", folder, *IDENTITY, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository with two commits, attributes and a link."""
    folder = tmp_path / "source"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "a.txt").write_text("first\n")
    (folder / ".gitattributes").write_text("*.txt text eol=crlf filter=lfs\n")
    (folder / "out").symlink_to("/etc/passwd")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    (folder / "a.txt").write_text("second\n")
    git(folder, "commit", "-qam", "two")
    return folder


class Host(ThreadingHTTPServer):
    """Git over HTTP for those with the token; keeps the headers that came."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Backend)
        self.root = root
        self.authorisations: list[str | None] = []
        self.answers: list[int] = []
        self.redirect = ""
        self.url = f"http://127.0.0.1:{self.server_address[1]}/source"


class _Backend(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        self.server.authorisations.append(self.headers["Authorization"])
        wanted = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
        if self.server.redirect:
            self.send_response(302)
            self.send_header("Location", self.server.redirect)
            self.end_headers()
        elif self.server.answers:
            self.send_error(self.server.answers.pop(0))
        elif self.headers["Authorization"] != f"Basic {wanted}":
            self.send_error(401)
        else:
            self._serve()

    do_POST = do_GET

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": self.headers.get("Content-Length", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        done = subprocess.run(
            ["git", "http-backend"], env=environment, input=body, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((value for name, value in fields if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def host(source: Path) -> Iterator[Host]:
    with Host(source.parent) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "WAITS", (0.0, 0.0))


def test_one_commit_comes_without_its_history_and_nothing_is_laid_out(
    source: Path, tmp_path: Path
) -> None:
    commit = git(source, "rev-parse", "HEAD")
    fetched(source.as_uri(), commit, "", tmp_path / "got")
    assert [path.name for path in (tmp_path / "got").iterdir()] == [".git"]
    assert git(tmp_path / "got", "rev-list", "--all", commit) == commit
    assert not list((tmp_path / "got" / ".git").glob("hooks/*"))


def test_its_files_are_as_they_were_committed(source: Path, tmp_path: Path) -> None:
    commit = git(source, "rev-parse", "HEAD")
    fetched(source.as_uri(), commit, "", tmp_path / "got")
    store = TreeStore.create(tmp_path / "trees.git")
    base = base_of_commit(tmp_path / "got", store, commit, **base_limits(Policy())).base
    assert store.blob(base.tree, "a.txt") == b"second\n"
    assert store.blob(base.tree, "out") == b"/etc/passwd"


def test_a_second_commit_joins_the_first(source: Path, tmp_path: Path) -> None:
    git(source, "config", "uploadpack.allowAnySHA1InWant", "true")
    for name in ("HEAD", "HEAD^"):
        fetched(source.as_uri(), git(source, "rev-parse", name), "", tmp_path / "got")
    assert git(tmp_path / "got", "cat-file", "-t", git(source, "rev-parse", "HEAD^")) == "commit"


def test_the_token_is_sent_and_stands_in_no_file_and_no_argument(
    source: Path, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    seen = tmp_path / "seen"
    # Each program on the way to git, the shells and env included, has its arguments noted.
    program.write_text(
        "#!/bin/sh\n"
        f'for id in $$ $PPID; do tr "\\0" " " </proc/$id/cmdline >>"{seen}"; done\n'
        'exec /usr/bin/git "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    fetched(host.url, git(source, "rev-parse", "HEAD"), TOKEN, tmp_path / "got")
    secrets = [TOKEN, base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()]
    assert host.authorisations[-1] == f"Basic {secrets[1]}"
    assert "fetch" in seen.read_text()
    for path in (seen, *(tmp_path / "got").rglob("*")):
        if path.is_file():
            assert not any(secret.encode() in path.read_bytes() for secret in secrets), path


def test_the_token_is_not_sent_where_a_redirect_leads(
    source: Path, host: Host, tmp_path: Path
) -> None:
    with Host(source.parent) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        host.redirect = f"{other.url}/info/refs?service=git-upload-pack"
        with pytest.raises(SetupError, match="leads elsewhere"):
            fetched(host.url, git(source, "rev-parse", "HEAD"), TOKEN, tmp_path / "got")
        assert other.authorisations == []
        other.shutdown()


@pytest.mark.parametrize("token", ["", "wrong-token-987654321"])
def test_without_access_the_job_is_told_what_to_look_at(
    token: str, source: Path, host: Host, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="does not let this job read") as caught:
        fetched(host.url, git(source, "rev-parse", "HEAD"), token, tmp_path / "got")
    assert "token may read" in caught.value.hint
    assert not token or token not in str(caught.value)


def test_a_commit_that_is_not_there_is_named(source: Path, host: Host, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="does not give out the commit 0123456701"):
        fetched(host.url, "01234567" * 5, TOKEN, tmp_path / "got")


def test_a_server_that_is_busy_is_asked_again(source: Path, host: Host, tmp_path: Path) -> None:
    host.answers = [503, 502]
    fetched(host.url, git(source, "rev-parse", "HEAD"), TOKEN, tmp_path / "got")
    host.answers = [503, 503, 503]
    with pytest.raises(SetupError, match="cannot be reached"):
        fetched(host.url, git(source, "rev-parse", "HEAD"), TOKEN, tmp_path / "again")


def test_a_host_that_is_not_there_is_the_networks_fault(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be reached"):
        fetched("http://127.0.0.1:1/source", "0" * 40, TOKEN, tmp_path / "got")


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% /tmp/pwned",
        "ssh://host/x",
        "git://host/x",
        "--upload-pack=x",
        "/a/folder",
    ],
)
def test_no_other_protocol_is_opened(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no address"):
        fetched(url, "0" * 40, "", tmp_path / "got")
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("commit", ["", "HEAD", "main", "--all", "0" * 39, "A" * 40])
def test_only_the_id_of_a_commit_is_fetched(commit: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="id of a commit"):
        fetched("https://example.org/x", commit, "", tmp_path / "got")


def test_an_error_shows_no_login_of_the_address(tmp_path: Path) -> None:
    with pytest.raises(GreenroomError) as caught:
        fetched("http://user:hunter2secret@127.0.0.1:1/x", "0" * 40, "", tmp_path / "got")
    assert "hunter2secret" not in str(caught.value)


def test_a_host_with_a_certificate_of_its_own_is_trusted_where_the_machine_names_it(
    source: Path, tmp_path: Path
) -> None:
    context, pem = certificate(tmp_path, "localhost")
    (tmp_path / "own.pem").write_bytes(pem)
    commit = git(source, "rev-parse", "HEAD")
    with Host(source.parent) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://localhost:{server.server_address[1]}/source"
        with pytest.raises(SetupError, match="certificate is not trusted here") as caught:
            fetched(url, commit, TOKEN, tmp_path / "got", environ={})
        assert "SSL_CERT_FILE" in caught.value.hint
        environ = {"SSL_CERT_FILE": str(tmp_path / "own.pem")}
        fetched(url, commit, TOKEN, tmp_path / "got", environ=environ)
        server.shutdown()


def test_certificates_that_the_machine_names_are_trusted(tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.write_text("")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"):
        assert fetch._trusting({name: str(own)}) == {"GIT_SSL_CAINFO": str(own)}
    assert fetch._trusting({}) == {}
