"""A run whose sandbox may reach a place: it is said, used, recorded, and not so in clean rooms."""

import json

import pytest

from tests.agent.bench import FIX, call
from tests.agent.cli.conftest import User
from tests.outside import LOOPBACK, web

pytestmark = pytest.mark.docker

# The test of the base that passes in a room without a way out only.
CLOSED = "import os\n\n\ndef test_closed():\n    assert 'HTTPS_PROXY' not in os.environ\n"
ASK = (
    "NO_PROXY= no_proxy= python3 -c \"import urllib.request as u; print(u.urlopen('{}').read())\" "
    "2>&1 | tail -1"
)


def test_a_run_reaches_what_its_settings_name_and_says_so(user: User) -> None:
    with web() as server:
        place = f"localhost:{server.server_port}@{LOOPBACK}"
        shell = {
            "calls": [
                call("shell", command=ASK.format(f"http://localhost:{server.server_port}/a")),
                *[call("shell", command=ASK.format("http://evil.test/"))] * 2,
            ]
        }
        done = user.greenroom("solve", "-m", user.script(shell, FIX), "--network", place)
        assert done.returncode == 0, done.stdout + done.stderr
        assert server.paths == ["/a"]
    said = done.stdout + done.stderr
    assert f"it may reach {place}, which clean rooms may not" in said
    assert "b'this is /a'" in said
    [line] = [line for line in said.splitlines() if "the way out refused" in line]
    assert line.strip().startswith("the way out refused: evil.test:80 is not on the list of places")
    assert "solved (proved)" in said
    [log] = user.home.glob(".local/state/greenroom/runs/*/trajectory.jsonl")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    requests = [event for event in events if event["type"] == "network"]
    assert [(e["host"], e["outcome"]) for e in requests] == [
        ("localhost", "ok"),
        ("evil.test", "refused"),
        ("evil.test", "refused"),
    ]
    assert requests[0]["address"] == "127.0.0.1"
    assert requests[0]["received"] > 0
    [opened] = [event for event in events if event["type"] == "sandbox"]
    assert opened["policy"]["network"] == [place]
    told = [m["text"] for e in events if e["type"] == "epoch" for m in e["messages"]]
    assert f"without network, but for {place}, by the proxy" in told[0]


@pytest.mark.nightly
def test_a_run_that_is_resumed_says_it_again(user: User) -> None:
    place = f"localhost:9@{LOOPBACK}"
    first = user.greenroom("solve", "-m", user.script(FIX), "--network", place)
    assert "may reach" in first.stdout + first.stderr
    again = user.greenroom("resume", "-m", "swap the operands", "-q")
    assert f"it may reach {place}" in again.stdout + again.stderr


def test_a_check_runs_as_a_clean_room_does(user: User) -> None:
    user.write({"test_closed.py": CLOSED})
    user.commit()
    done = user.greenroom("check", "--network", "index.test:443")
    assert "no network" in done.stdout
    assert "test_closed" not in done.stdout  # what fails is listed
    assert done.returncode == 0


def test_an_entry_that_is_none_is_told_before_anything_is_done(user: User) -> None:
    done = user.greenroom("solve", "-m", user.script(FIX), "--network", "*.example.org:443")
    assert done.returncode == 2
    assert "'*.example.org:443'" in done.stderr
    assert "NAME:PORT" in done.stderr


def test_a_strangers_repository_cannot_open_a_way_out(user: User) -> None:
    user.write({"greenroom.toml": "network = ['evil.test:443']\n"})
    done = user.greenroom("solve", "-m", user.script(FIX))
    assert "not set: network" in done.stdout + done.stderr
    assert "may reach" not in done.stdout + done.stderr
