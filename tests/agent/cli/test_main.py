import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli.main import main

GREENROOM = Path(sys.executable).with_name("greenroom")


def greenroom(
    *words: str, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **variables}
    return subprocess.run(
        [GREENROOM, *words], capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


def test_help_lists_the_commands_and_exit_codes() -> None:
    done = greenroom("--help")
    assert done.returncode == 0
    assert "solve" in done.stdout
    assert "130 and 143" in done.stdout


def test_no_command_prints_help_and_is_a_usage_error() -> None:
    assert greenroom().returncode == 2


def test_version() -> None:
    assert greenroom("--version").stdout.startswith("greenroom ")


def test_a_flag_before_the_command_is_told_its_place() -> None:
    done = greenroom("-C", "somewhere", "check")
    assert done.returncode == 2
    assert "'-C' stands before the command" in done.stderr
    assert "greenroom COMMAND '-C'" in done.stderr


def test_an_unknown_command_names_the_nearest() -> None:
    done = greenroom("slove")
    assert done.returncode == 2
    assert "did you mean 'solve'?" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "solve",
        "resume",
        "check",
        "verify",
        "init",
        "config",
        "trust",
        "image",
        "models",
        "plan",
        "runs",
        "show",
        "shell",
        "prune",
    ],
)
def test_each_command_explains_itself_without_heavy_imports(command: str) -> None:
    code = (
        "import sys; sys.argv = ['greenroom', sys.argv[1], '--help']\n"
        "from agent.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'docker', 'git', 'httpx', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage: greenroom" in done.stdout


def test_help_into_a_closed_pipe_is_quiet() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{GREENROOM} --help | head -1"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_packages_of_a_hostile_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "__init__.py").write_text("raise SystemExit('pwned')")
    done = greenroom("config", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 3
    assert "'tools' comes from" in done.stderr
    assert "pwned" not in done.stderr


def test_a_usage_error_has_no_traceback_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "greenroom.toml").write_text("nonsense = 1")
    plain = greenroom("config", "-C", str(tmp_path), HOME=str(tmp_path))
    assert plain.returncode == 2
    assert "unknown key 'nonsense'" in plain.stderr
    assert "Traceback" not in plain.stderr
    debug = greenroom("config", "--debug", "-C", str(tmp_path), HOME=str(tmp_path))
    assert "Traceback" in debug.stderr


def test_config_says_where_each_value_came_from(tmp_path: Path) -> None:
    (tmp_path / "greenroom.toml").write_text("turn_limit = 7")
    done = greenroom("config", "-C", str(tmp_path), HOME=str(tmp_path), GREENROOM_SEED="5")
    assert done.returncode == 0
    lines = {line.split()[0]: line.split()[1:3] for line in done.stdout.splitlines()}
    assert lines["turn_limit"] == ["7", "greenroom.toml"]
    assert lines["seed"] == ["5", "GREENROOM_SEED"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_closed_are_no_trouble(closed: str, tmp_path: Path) -> None:
    script = f"'{GREENROOM}' solve - -C {tmp_path} {closed}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_an_interrupt_while_modules_load_is_quiet(tmp_path: Path) -> None:
    code = (
        "import importlib, signal, sys\n"
        "from agent.cli import main\n"
        "def load(name): signal.raise_signal(signal.SIGINT)\n"
        "importlib.import_module = load\n"
        "sys.exit(main.main(['runs']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


def test_the_bots_commands_are_shown_where_none_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["ci"]) == 2
    assert "ci COMMAND" in capsys.readouterr().out
    assert main(["ci", "--help"]) == 0
    assert "doctor" in capsys.readouterr().out
    assert main(["ci", "locl"]) == 2
    assert "did you mean 'local'" in capsys.readouterr().err
