"""A commit from a forge into a repository of objects on this machine: its files are never laid out.

What is fetched is a stranger's. So git runs as `sandbox.git` has it, without hooks, filters,
submodules or redirects, and only the protocol of the address is opened, for this one call. The
token is in git's environment alone: no argument, no file and no message holds it.
"""

import base64
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sandbox import hostnetwork
from sandbox.errors import SetupError, UsageError
from sandbox.git import Git, GitError, GitLimits
from sandbox.redaction import redact, secrets_in

LIMITS = GitLimits(seconds=900.0, cpu_seconds=900)
#: Seconds to wait before each further try, where the network may be to blame.
WAITS = (2.0, 8.0)
_PROTOCOLS = ("https", "http", "file")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_SETTINGS = (
    *("http.followRedirects=false", "credential.helper=", "maintenance.auto=false"),
    *("http.lowSpeedLimit=1000", "http.lowSpeedTime=60", "fetch.writeCommitGraph=false"),
)


def fetched(
    url: str,
    commit: str,
    token: str,
    folder: Path,
    *,
    login: str = "x-access-token",
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Fetches one commit, without its history, into the repository in `folder`, which is made where
    it is not there. `token` ("": none) is sent to the address's own host only, as `login`'s.

    Raises UsageError for an address or a commit that is none, SetupError, without the token, where
    it cannot be had: no network, no access, no such commit.
    """
    scheme = urlsplit(url).scheme
    if scheme not in _PROTOCOLS:
        raise UsageError(f"{url!r:.200} is no address that a commit can be fetched from")
    if not _COMMIT.fullmatch(commit):
        raise UsageError(f"{commit!r:.100} is not the id of a commit")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    git = Git(
        folder / ".git",
        work_tree=folder,
        settings=(*_SETTINGS, f"protocol.{scheme}.allow=always"),
        environment=_trusting(environ),
        private={**hostnetwork.proxies(environ), **_authorised(token, login)},
    )
    _repository(git, commit)
    _fetch(git, url, commit, (token, *_sent(token, login), *secrets_in([url])))


def _repository(git: Git, commit: str) -> None:
    if git.directory and not (git.directory / "HEAD").is_file():
        kind = "sha256" if len(commit) == 64 else "sha1"
        git.run("init", "--quiet", "--template=", f"--object-format={kind}")


def _fetch(git: Git, url: str, commit: str, secrets: tuple[str, ...]) -> None:
    fetch = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules")
    for wait in (*WAITS, None):
        try:
            git.run(*fetch, "--no-write-fetch-head", "--", url, commit, limits=LIMITS)
        except GitError as error:
            said = redact(error.stderr, filter(None, secrets)).strip()
            problem = _problem(redact(url, secrets_in([url])), commit, said)
            if wait is None or not _PASSING.search(said):
                raise problem from None
            time.sleep(wait)
        else:
            return


def _trusting(environ: Mapping[str, str]) -> dict[str, str | None]:
    """The certificates that this machine is told to trust, for git."""
    own = environ.get("GIT_SSL_CAINFO")
    file = Path(own) if own else hostnetwork.certificates(environ, None)
    found: dict[str, str | None] = {"GIT_SSL_CAINFO": str(file)} if file else {}
    if folder := environ.get("GIT_SSL_CAPATH") or environ.get("SSL_CERT_DIR"):
        found["GIT_SSL_CAPATH"] = folder
    return found


def _authorised(token: str, login: str) -> dict[str, str]:
    if not token:
        return {}
    [sent] = _sent(token, login)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {sent}",
    }


def _sent(token: str, login: str) -> tuple[str, ...]:
    return (base64.b64encode(f"{login}:{token}".encode()).decode("ascii"),) if token else ()


#: What the next try may not meet any more.
_PASSING = re.compile(
    r"resolve (host|proxy)|failed to connect|couldn't connect|connection (refused|reset|timed out)"
    r"|timed out|early EOF|hung up|RPC failed|error: (429|5\d\d)\b|transfer closed",
    re.IGNORECASE,
)
_ABSENT = re.compile(r"not our ref|unadvertised object|couldn't find remote ref", re.IGNORECASE)
_REFUSED = re.compile(
    r"authentication failed|could not read (username|password)|error: 40[134]\b|not found"
    r"|does not appear to be a git repository|access denied|permission",
    re.IGNORECASE,
)


def _problem(url: str, commit: str, said: str) -> SetupError:
    short = commit[:12]
    if _ABSENT.search(said):
        return SetupError(
            f"the repository {url} does not give out the commit {short}",
            "It may have been removed by a forced push; ask again on what is there now.",
        )
    if "certificate" in said.lower():
        return SetupError(
            f"{url} cannot be fetched from: its certificate is not trusted here ({_line(said)})",
            "Name the certificates to trust (a PEM file) in SSL_CERT_FILE.",
        )
    if re.search(r"redirect|error: 30\d\b", said):
        return SetupError(
            f"{url} leads elsewhere, where the token is not sent", "Was the repository moved?"
        )
    if _PASSING.search(said):
        return SetupError(
            f"{url} cannot be reached: {_line(said)}",
            "See that the job has network access to the forge (a proxy is taken from HTTPS_PROXY).",
        )
    if _REFUSED.search(said):
        return SetupError(
            f"{url} does not let this job read the commit {short}: {_line(said)}",
            "See that the job's token may read the repository's contents.",
        )
    return SetupError(f"the commit {short} cannot be fetched from {url}: {_line(said)}")


def _line(said: str) -> str:
    """The last thing that git said, which is the cause."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return (lines[-1] if lines else "git said nothing")[:300]
