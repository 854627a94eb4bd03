"""What the client asks, against GitHub's published description of its API: a proxy validates each
request on its way to the fake, and what the fake answers on its way back."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.bot.forge import ForgeError, NewPull
from agent.bot.github import GitHub
from agent.bot.github_api import Api
from agent.bot.trigger import Place
from sandbox.patch import FILE, Change, Patch
from tests.agent.bot.githubs import BOT, NAME, Desk, asked, desk
from tests.agent.bot.test_github_errors import SINCE

pytestmark = pytest.mark.nightly

PACKAGES = ("@octokit/openapi@23.0.2", "@stoplight/prism-cli@5.14.2")
DESCRIPTION = "node_modules/@octokit/openapi/generated/api.github.com.json"
VIOLATION = re.compile(r"error +Violation: (\S+) (.*)")
#: The fake gives the fields that clients read, not all that GitHub has.
LEFT_OUT = ("must have required property", "must match exactly one schema in oneOf")


class Proxy:
    """Prism between a client and a fake. `url` is where it listens."""

    def __init__(self, folder: Path, upstream: str) -> None:
        self.lines: list[str] = []
        self.up = threading.Event()
        self.url = ""
        command = [folder / "node_modules/.bin/prism", "proxy", folder / DESCRIPTION, upstream]
        self._process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            if found := re.search(r"listening on (http://\S+)", line):
                self.url = found[1]
                self.up.set()
        self.up.set()

    def violations(self) -> list[tuple[str, str]]:
        found = [VIOLATION.search(line) for line in self.lines]
        return [(each[1], each[2].strip()) for each in found if each]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()


@pytest.fixture(scope="module")
def tools() -> Path:
    """Prism and the description, from the npm index, kept for the next time."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "greenroom-tests" / "-".join(PACKAGES).replace("/", "-")
    if not (folder / DESCRIPTION).exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


@pytest.fixture
def proxy(tools: Path, here: Desk) -> Iterator[Proxy]:
    made = Proxy(tools, here.fake.api_url)
    try:
        assert made.up.wait(180)
        assert made.url, "".join(made.lines)
        yield made
    finally:
        made.close()


def _ask_everything(here: Desk, forge: GitHub) -> None:
    """Each request that the client can make."""
    issue, base = here.issue(), here.head("main")
    patch = Patch((Change("a.txt", FILE, b"a\xff"), Change("src/gone.py", None, None)))
    forge.repository()
    forge.identity()
    forge.may_write(here.actor("ann"))
    commit = here.project.git.commit("main", {"large": "x" * (2 << 20)}, "Large")
    forge.file("large", commit)
    forge.base_commit("main")
    forge.contains("main", base)
    forge.recent_messages("main")
    comment = forge.add_comment(issue, "Working")
    forge.my_comments(issue)
    forge.my_recent_comments(SINCE)
    forge.edit_comment(comment, "Done")
    forge.delete_comment(comment)
    first = forge.commit("greenroom/1-a", base, "Fix", patch, None)
    forge.commit("greenroom/1-a", base, "Fix again", patch, first)
    pull = forge.open_pull(NewPull("Fix", "Text", "greenroom/1-a", "main", draft=True))
    forge.pull(pull.number)
    forge.open_pulls("greenroom/")
    forge.update_pull(pull.number, "Fix it", "More text")
    forge.add_labels(issue, ["greenroom"])
    forge.request_reviews(pull.number, ["ann"], [])
    with pytest.raises(ForgeError):
        forge.request_reviews(pull.number, [], ["acme/core"])
    place = Place(pull.number, pull=True)
    said = here.store.comment(here.project, issue.number, False, "ann", "/greenroom fix")
    review = here.store.review(here.project, pull.number, "ann")
    remark = here.store.remark(here.project, review, "a.txt", 1, "No", "ann")
    for target, number in (("pull", pull.number), ("comment", said.id)):
        forge.acknowledge(asked(here, "ann", place, target, number))
    forge.acknowledge(asked(here, "ann", place, "review comment", remark.id))
    forge.remarks(asked(here, "ann", place, None, review=review.id))
    with pytest.raises(ForgeError, match="a token has come"):
        # The proxy follows GitHub's redirect by itself, with the token; the client does not.
        forge.failed_jobs(here.build(("tests", "failure", b"log")))
    forge.delete_branch("greenroom/1-a", here.head("greenroom/1-a"))


def test_every_request_is_one_that_github_describes(here: Desk, proxy: Proxy) -> None:
    api = Api(proxy.url, here.token, sleep=lambda seconds: None)
    _ask_everything(here, GitHub(api, NAME, here.fake.url, BOT))
    routes = {re.sub(r"\b([0-9a-f]{40}|\d+)\b", "N", call) for call in here.fake.calls}
    assert len(routes) >= 30, sorted(routes)
    found = proxy.violations()
    assert [each for each in found if each[0].startswith("request")] == []
    unknown = [line for line in proxy.lines if "NO_PATH_MATCHED" in line or "not found" in line]
    assert unknown == []
    wrong = [each for each in found if not any(text in each[1] for text in LEFT_OUT)]
    assert wrong == [], "the fake answers otherwise than GitHub"


def test_a_wrong_request_is_seen(here: Desk, proxy: Proxy) -> None:
    api = Api(proxy.url, here.token, sleep=lambda seconds: None)
    with pytest.raises(ForgeError):
        api.write("comment", "POST", f"/repos/{NAME}/issues/1/comments", {"text": "no body"})
    with pytest.raises(ForgeError):
        api.get("ask", f"/repos/{NAME}/nowhere")
    assert any(where.startswith("request") for where, _ in proxy.violations())
