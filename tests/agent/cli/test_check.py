import json
import re
import signal
import subprocess

import pytest

from agent.cli.check import installed
from sandbox.image import ImageSpec
from sandbox.install import Install
from tests.agent.cli.conftest import User

pytestmark = pytest.mark.docker


def test_the_tests_are_run_and_told(user: User) -> None:
    done = user.greenroom("check")
    assert done.returncode == 0, done.stderr
    assert "tests      python3 -m pytest (pytest)" in done.stdout
    assert "failed   test_calc.py::test_add  assert -1 == 5" in done.stdout
    assert "1 passed, 1 failed in " in done.stdout


def test_what_was_installed_is_said_with_what_decided_on_it() -> None:
    install = Install("node", "the packages of package-lock.json, with npm", (("x", b""),), ())
    spec = ImageSpec(apt=("nodejs", "npm"), installs=(install,), pip=("six",), setup=("a\nb",))
    assert installed(spec) == [
        "Debian packages: nodejs, npm",
        "the packages of package-lock.json, with npm",
        "Python packages: six",
        "setup command: a b",
    ]
    assert installed(ImageSpec()) == []


def test_json(user: User) -> None:
    document = json.loads(user.greenroom("check", "--json").stdout)
    assert document["test_command"] == "python3 -m pytest"
    assert document["installed"] == []
    assert [result["id"] for result in document["report"]["results"]] == [
        "test_calc.py::test_add",
        "test_calc.py::test_double",
    ]


def test_what_is_missing_is_named(user: User) -> None:
    user.write({"calc.py": "import no_such_package\n"})
    done = user.greenroom("check")
    assert done.returncode == 0
    assert "missing: the Python module no_such_package" in done.stdout


def test_a_command_that_is_not_there_is_said(user: User) -> None:
    done = user.greenroom("check", "--test-cmd", "nonsense --all")
    assert done.returncode == 3
    assert "missing: the program nonsense" in done.stdout
    assert "the tests could not be run" in done.stdout


def test_binary_files_and_odd_names_are_no_trouble(user: User) -> None:
    (user.checkout / "dätä \n.bin").write_bytes(b"\x00\xff\xfe")
    (user.checkout / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n")
    done = user.greenroom("check")
    assert done.returncode == 0, done.stderr
    assert "1 passed, 1 failed" in done.stdout


def test_no_test_command_lists_what_was_looked_for(user: User) -> None:
    user.git("rm", "-q", "-r", ".")
    user.write({"readme.txt": "nothing"})
    done = user.greenroom("check")
    assert done.returncode == 2
    assert "No test command was found. Looked for: pytest" in done.stderr
    assert "--test-cmd" in done.stderr


def test_a_python_that_the_image_lacks_is_said(user: User) -> None:
    user.write(
        {"pyproject.toml": '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.99"\n'}
    )
    done = user.greenroom("check")
    assert done.returncode == 2
    assert "3.99" in done.stderr
    assert "image" in done.stderr


def test_a_checkout_larger_than_the_workspace_is_refused_with_its_folders(user: User) -> None:
    user.write({"data/big.bin": "x" * 3_000_000})
    done = user.greenroom("check", "--workspace-size", "2M")
    assert done.returncode == 2
    assert "data/" in done.stderr
    assert "exclude" in done.stderr


def test_limits_that_do_not_fit_are_refused_with_the_arithmetic(user: User) -> None:
    done = user.greenroom("check", "--memory", "64M")
    assert done.returncode == 2
    assert "workspace 16 + tmp 8" in done.stderr


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"DOCKER_HOST": "unix:///nonexistent.sock"},
            "unix:///nonexistent.sock (from DOCKER_HOST)",
        ),
        ({"DOCKER_CONTEXT": "nonsense"}, "The Docker context 'nonsense' does not exist"),
    ],
)
def test_an_engine_that_is_not_there_is_said(
    user: User, variables: dict[str, str], said: str
) -> None:
    done = user.greenroom("check", **variables)
    assert done.returncode == 3
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_a_repository(user: User) -> None:
    done = user.greenroom("check", "-C", str(user.home))
    assert done.returncode == 2
    assert "is not in a git repository" in done.stderr


def test_init_writes_what_check_then_uses(user: User) -> None:
    assert user.greenroom("init").returncode == 0
    text = (user.checkout / "greenroom.toml").read_text()
    assert 'test_cmd = "python3 -m pytest"' in text
    assert user.greenroom("check").returncode == 0
    settings = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)
    user.write({"greenroom.toml": settings, ".devcontainer/Dockerfile": "FROM x\n"})
    assert user.greenroom("trust", "--yes").returncode == 0
    shown = user.greenroom("config")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^seed +1 +greenroom.toml", shown.stdout, re.MULTILINE)
    again = user.greenroom("init")
    assert again.returncode == 2
    assert "exists" in again.stderr


def test_init_follows_no_link_and_repeats_no_settings(user: User) -> None:
    victim = user.home / "victim"
    victim.write_text("mine")
    for name in (".greenroom.toml.new", "greenroom.toml"):
        (user.checkout / name).symlink_to(victim)
    assert user.greenroom("init").returncode == 2
    assert user.greenroom("init", "--force").returncode == 0
    assert victim.read_text() == "mine"
    assert not (user.checkout / "greenroom.toml").is_symlink()
    (user.checkout / "greenroom.toml").unlink()
    user.write({"pyproject.toml": "[tool.greenroom]\nprotected = ['calc.py']\n"})
    done = user.greenroom("init")
    assert done.returncode == 2
    assert "has settings already, below [tool.greenroom]" in done.stderr


def test_a_smaller_sandbox_has_smaller_file_systems(user: User) -> None:
    done = user.greenroom("check", "--memory", "512M")
    assert done.returncode == 0, done.stderr
    assert "512.0 MiB memory" in done.stdout


def test_no_sandbox_has_more_memory_than_the_machine(user: User) -> None:
    done = user.greenroom("check", "--memory", "900T")
    assert done.returncode == 2
    assert "the machine of the Docker engine has " in done.stderr


def test_an_interrupt_is_said(user: User) -> None:
    user.write({"test_slow.py": "import time\n\n\ndef test_slow():\n    time.sleep(60)\n"})
    command = user.command("check", "--json")
    with subprocess.Popen(
        command,
        cwd=user.checkout,
        env=user.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert any("running the tests" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in err
    assert json.loads(out)["exit_code"] == 130
