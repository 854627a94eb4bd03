import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import UsageError
from sandbox.policy import MIB
from sandbox.trees import TreeStore
from tasks.suites.harbor import open_suite
from tasks.suites.harbor.config import read_config
from tasks.suites.suite import Unsupported, find
from tasks.system.doubts import (
    ADDED,
    DELETED,
    MODIFIED,
    doubtful,
    entry_points,
    loads_into_pytest,
    named_in,
)
from tasks.system.reward import NoReward, of_json, of_line
from tasks.system.twin import twin_of
from tasks.system.work import placed
from tests.tasks.harbor.made import TEST_SCRIPT, TESTS, task

IMAGE = "an/image:1"
# Word for word what `harbor task init` 0.26 writes.
INIT = """\
schema_version = "1.4"
artifacts = []

[task]
name = "demo/hello"
version = "1.0.0"
description = ""
authors = []
keywords = []

[metadata]

[verifier]
timeout_sec = 600.0
environment_mode = "separate"
collect = []

[verifier.env]

[agent]
timeout_sec = 600.0

[environment]
network_mode = "public"
build_timeout_sec = 600.0
os = "linux"
mcp_servers = []

[environment.env]

[solution.env]
"""


@pytest.fixture
def store(tmp_path: Path) -> TreeStore:
    return TreeStore.create(tmp_path / "trees.git")


def test_harbors_own_template_is_read(tmp_path: Path, store: TreeStore) -> None:
    made = task(tmp_path / "hello", IMAGE)
    suite = find(f"harbor:{made}")
    assert suite.names() == ("hello",)
    loaded = suite.load("hello", store)
    verifier = loaded.verifier
    assert verifier is not None
    assert loaded.instruction == (made / "instruction.md").read_text()
    assert loaded.time_limit == 60.0
    assert verifier.timeout == 60.0
    assert loaded.image.dockerfile == "Dockerfile"
    assert loaded.policy.preset == "compat"
    assert loaded.policy.workspace == "image"
    assert loaded.policy.cpus == 1.0
    assert 512 * MIB < loaded.policy.memory_bytes < 1024 * MIB
    assert dict(verifier.variables) == {"GREETING": "hello"}
    assert dict(verifier.own_variables) == {"EXPECTED": "hello"}
    assert verifier.image is None
    assert not loaded.checks.visible
    assert loaded.checks.tries == 1
    # Neither the solution nor the tests are among what the image is built from.
    assert set(loaded.base.entries) == {"Dockerfile", "note.txt"}


def test_what_harbors_init_writes_is_read() -> None:
    config = read_config(INIT, "task.toml")
    assert config.separate
    assert config.place.network == ("public-web",)
    assert config.agent_seconds == config.verifier_seconds == 600.0


def test_a_separate_verifier_has_an_image_of_its_own(tmp_path: Path, store: TreeStore) -> None:
    task(tmp_path / "apart", IMAGE, separate=True)
    verifier = open_suite(str(tmp_path / "apart")).load("apart", store).verifier
    assert verifier is not None
    assert verifier.image is not None
    assert verifier.image.dockerfile == "Dockerfile"
    assert verifier.bundled
    assert verifier.artifacts == (("/app/hello.txt", ()),)
    assert "/tests" not in verifier.policy.emptied


def test_a_folder_of_tasks_is_a_suite(tmp_path: Path) -> None:
    for name in ("b", "a"):
        task(tmp_path / "tasks" / name, IMAGE)
    suite = open_suite(str(tmp_path / "tasks"))
    assert suite.names() == ("a", "b")
    assert find(suite.reference).reference == suite.reference


def test_a_folder_without_tasks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no tasks"):
        open_suite(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[environment]\ngpus = 1", "environment.gpus"),
        ('[environment]\nos = "Windows"', "environment.os"),
        ('[environment.healthcheck]\ncommand = "true"', "services"),
        ('[[environment.mcp_servers]]\nname = "x"\nurl = "http://x"', "services"),
        ('[[verifier.collect]]\ncommand = "true"', "services"),
        ('[[steps]]\nname = "one"', "several steps"),
        ('[agent]\nuser = "someone"', "agent.user"),
        ('[environment.env]\nKEY = "${SECRET_OF_THIS_MACHINE}"', "SECRET_OF_THIS_MACHINE"),
        (
            '[environment]\nnetwork_mode = "allowlist"\nallowed_hosts = ["*.example.org"]',
            "several hosts",
        ),
        ('artifacts = [{source = "/a", service = "db"}]', "services"),
        ('[environment]\nworkdir = "/proc/1"', "no folder of the image"),
    ],
)
def test_what_cannot_be_held_here_is_refused_by_its_name(text: str, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        read_config(text, "task.toml")


@pytest.mark.parametrize("name", ["docker-compose.yaml", "docker-compose.yml"])
def test_a_task_of_compose_is_refused_by_its_name(
    tmp_path: Path, store: TreeStore, name: str
) -> None:
    made = task(tmp_path / "t", IMAGE)
    (made / "environment" / name).write_text("services: {main: {}, db: {image: x}}\n")
    with pytest.raises(Unsupported, match=name):
        open_suite(str(made)).load("t", store)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("", None),
        ('network_mode = "public"', ("public-web",)),
        ('network_mode = "no-network"', ()),
        ("allow_internet = true", ("public-web",)),
        ("allow_internet = false", ()),
        (
            'network_mode = "allowlist"\nallowed_hosts = ["Index.example.org.", "192.0.2.1"]',
            (
                *("index.example.org:443", "index.example.org:80"),
                *("192.0.2.1:443", "192.0.2.1:80"),
            ),
        ),
    ],
)
def test_a_network_is_given_as_it_is_said(text: str, network: tuple[str, ...] | None) -> None:
    assert read_config(f"[environment]\n{text}", "task.toml").place.network == network


def test_what_says_nothing_of_a_network_has_one_only_where_the_suite_says_so(
    tmp_path: Path, store: TreeStore
) -> None:
    made = task(tmp_path / "t", IMAGE)
    path = made / "task.toml"
    path.write_text(path.read_text().replace('network_mode = "no-network"\n', ""))
    assert open_suite(str(made)).load("t", store).policy.network == ()
    public = open_suite(f"{made},network=public").load("t", store)
    assert public.policy.network == ("public-web",)
    assert public.verifier is not None
    assert public.verifier.policy.network == ("public-web",)


def test_older_names_of_sizes_are_read() -> None:
    place = read_config('[environment]\nmemory = "2G"\nstorage = "512M"', "t").place
    assert (place.memory, place.storage) == (2048, 512)
    with pytest.raises(UsageError, match="do not agree"):
        read_config('[environment]\nmemory = "2G"\nmemory_mb = 5', "t")


@given(st.text(max_size=40))
def test_any_text_is_a_config_or_an_error_for_users(text: str) -> None:
    try:
        read_config(f"[environment]\n{text}", "task.toml")
    except UsageError as error:
        assert "task.toml" in error.message


@given(st.binary(max_size=30))
def test_a_reward_is_a_finite_number_or_none(content: bytes) -> None:
    for read in (lambda: {"reward": of_line(content)}, lambda: of_json(content)):
        try:
            values = read()
        except NoReward:
            continue
        assert values
        assert all(math.isfinite(value) for value in values.values())


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[1]", "1", '{"reward": NaN}', '{"reward": 1e309}', '{"reward": "1"}'),
        *('{"reward": null}', '{"reward": ' + "9" * 400 + "}", "[" * 100_000),
    ],
)
def test_json_that_holds_no_finite_rewards_is_refused(text: str) -> None:
    with pytest.raises(NoReward):
        of_json(text.encode())


def test_what_the_verifiers_tools_come_from_is_doubtful_and_a_solution_is_not() -> None:
    programs = {"bash", "python3", "pytest"}
    forged = {
        "/usr/bin/bash": MODIFIED,
        "/bin/sh": DELETED,
        "/usr/local/bin/python3": ADDED,
        "/root/.local/bin/pytest": ADDED,
        "/usr/lib/python3/dist-packages/sitecustomize.py": ADDED,
        "/usr/lib/python3/dist-packages/_pytest": ADDED,
        "/usr/lib/python3/dist-packages/x.pth": ADDED,
        "/conftest.py": ADDED,
        "/etc/ld.so.preload": ADDED,
        "/app/pytest.py": ADDED,
        "/etc/alternatives/awk": MODIFIED,
        "/etc/apt/apt.conf.d/99own": ADDED,
        "/etc/xdg/pip/pip.conf": ADDED,
        "/root/.local/lib/python3.11/site-packages/usercustomize.pyc": ADDED,
        "/usr/lib/python3/dist-packages/sitecustomize.cpython-311-x86_64-linux-gnu.so": ADDED,
    }
    honest = {
        "/app": ADDED,
        "/app/hello.txt": ADDED,
        "/usr": MODIFIED,
        "/usr/local": MODIFIED,
        "/usr/local/bin": MODIFIED,
        "/usr/local/bin/mytool": ADDED,
        "/usr/lib/python3/dist-packages/numpy": ADDED,
        "/usr/lib/python3/dist-packages/__pycache__/six.cpython-311.pyc": MODIFIED,
        "/etc/nginx/nginx.conf": MODIFIED,
        "/etc/alternatives/vi": ADDED,
        "/root/.gitconfig": ADDED,
        "/var/lib/dpkg/status": MODIFIED,
    }
    assert doubtful(forged, programs) == sorted(forged)
    assert doubtful(honest, programs) == []


def test_a_program_that_only_the_script_names_is_doubtful() -> None:
    script = b"#!/bin/bash\nuvx -w pytest==8.4.1 pytest /tests/test_outputs.py\n"
    changes = {"/usr/local/bin/uvx": ADDED, "/usr/local/bin/mytool": ADDED}
    assert doubtful(changes, named_in(script)) == ["/usr/local/bin/uvx"]


def test_of_entry_points_only_those_of_pytest_are_looked_for() -> None:
    folder = "/usr/local/lib/python3.11/dist-packages/x-1.dist-info"
    changes = {f"{folder}/entry_points.txt": ADDED, f"{folder}/METADATA": ADDED}
    assert entry_points(changes) == [f"{folder}/entry_points.txt"]
    assert loads_into_pytest(b"[console_scripts]\nx=x:main\n [ pytest11 ]\nx=x\n")
    assert not loads_into_pytest(b"[console_scripts]\npytest11=x:main\n")


@pytest.mark.parametrize(
    ("script", "asked"),
    [
        (TEST_SCRIPT, True),
        ("cd /app || exit 1\npython3 -m pytest /tests/test_outputs.py\n", True),
        ("uvx -p 3.13 \\\n  --with x \\\n  pytest /tests/test_outputs.py -rA\n", True),
        ("pytest /tests/test_outputs.py::test_outputs\n", False),
        ("pytest -k outputs /tests\n", False),
        ("cat /app/hello.txt\n", False),
    ],
)
def test_a_twin_is_made_where_all_tests_of_pytest_are_run(
    tmp_path: Path, store: TreeStore, script: str, asked: bool
) -> None:
    made = task(tmp_path / "t", IMAGE, script=script)
    loaded = open_suite(str(made)).load("t", store)
    assert loaded.verifier is not None
    tests = placed(loaded, loaded.verifier.tests, "tests")
    twin = twin_of(loaded, tests)
    assert (twin is not None) == asked
    if twin is not None:
        changed = {c.path: c.content for c in twin}
        assert (changed["tests/test_outputs.py"] or b"").startswith(TESTS.encode())
        assert changed["tests/test_outputs.py"] != TESTS.encode()
        assert twin != twin_of(loaded, tests), "nobody may know which test it is that has to fail"
        assert changed["tests/test.sh"] == script.encode()
