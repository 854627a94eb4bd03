import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.container import Sandbox
from sandbox.errors import UsageError
from sandbox.image import Image
from sandbox.patch import FILE, Change, Patch
from sandbox.policy import Policy
from sandbox.trees import TreeStore
from tasks.python_project import IMAGE_PACKAGES, IMAGE_PYTHON
from tasks.repository import FromCheckout, Overrides, task_from_checkout
from tasks.runner import run_tests, support_files

Make = Callable[..., FromCheckout]

PACKAGE = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools>=61", "setuptools-scm"]
build-backend = "setuptools.build_meta"
[project]
name = "demo-package"
dynamic = ["version"]
dependencies = ["attrs"]
[project.optional-dependencies]
test = ["pytest>=7", "hypothesis"]
[tool.pytest.ini_options]
testpaths = ["tests"]
""",
    "src/demo/__init__.py": "def double(x):\n    return x * 2\n",
    "tests/test_demo.py": """\
from importlib.metadata import version
import demo

def test_double():
    assert demo.double(2) == 4

def test_version():
    assert version("demo-package") == "1.4.0"
""",
    "AGENTS.md": "Run the tests.\n",
}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "demo checkout"
    write(folder, PACKAGE)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    git(folder, "tag", "v1.4.0")
    return folder


@pytest.fixture
def make(top: Path, tmp_path: Path) -> Make:
    store = TreeStore.create(tmp_path / "store")
    return lambda **options: task_from_checkout(top, store, "Fix it.", **options)


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def git(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    identity = ("-c", "user.name=A", "-c", "user.email=a@b")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, env=environment)


def test_a_checkout_becomes_a_task(make: Make) -> None:
    made = make()
    task = made.task
    assert task.instruction == "Fix it."
    assert task.id.startswith("demo checkout-")
    assert (task.checks.test_command, task.checks.framework) == ("python3 -m pytest", "pytest")
    assert task.image.pip == ("attrs", "hypothesis", "setuptools-scm")
    assert task.image.base is None
    assert task.rebuild is not None
    assert task.rebuild.command.startswith("SETUPTOOLS_SCM_PRETEND_VERSION=1.4.0 ")
    assert "tests/" in task.checks.protected
    assert "conftest.py" in task.checks.forbidden_additions
    assert task.advice == "Run the tests.\n"
    assert task.notes == ()
    assert made.detected.reasons == (
        "pytest: [tool.pytest.ini_options] in pyproject.toml",
        "installed for its tests: the package is in src/, tests/test_demo.py reads its metadata",
    )


def test_settings_decide_over_what_is_detected(make: Make) -> None:
    task = make(
        overrides=Overrides(
            test_cmd="make check",
            quick_test_cmd="pytest -x",
            lint_cmd="ruff check",
            rebuild="make build",
            test_timeout=5.0,
            expected=("a::b",),
            protected=("/golden/",),
            forbidden_additions=("*.exe",),
            apt=("libxml2",),
            pip=("lxml >= 5", "attrs==23.1"),
            setup=("true",),
        ),
        policy=Policy(cpus=1.0),
        id="mine",
    ).task
    checks = task.checks
    assert task.id == "mine"
    assert task.policy.cpus == 1.0
    assert (checks.test_command, checks.framework) == ("make check", "make")
    assert (checks.quick_test_command, checks.lint_command) == ("pytest -x", "ruff check")
    assert (checks.timeout, checks.expected) == (5.0, ("a::b",))
    assert checks.protected[-1] == "/golden/"
    assert checks.forbidden_additions[-1] == "*.exe"
    assert task.rebuild is not None
    assert (task.rebuild.command, task.rebuild.optional) == ("make build", False)
    assert task.image.pip == ("lxml>=5", "attrs==23.1", "attrs", "hypothesis")
    assert "libxml2" in task.image.apt
    assert task.image.setup == ("true",)


def test_nothing_is_installed_into_an_image_that_was_named(make: Make) -> None:
    image = make(overrides=Overrides(image="python:3.12", pip=("attrs",))).task.image
    assert (image.base, image.apt, image.pip) == ("python:3.12", (), ("attrs",))


def test_a_lock_decides_on_versions_unless_an_image_is_named(top: Path, make: Make) -> None:
    entry = "source = { registry = 'https://index.example/simple' }\n"
    (top / "uv.lock").write_text(f"[[package]]\nname = 'attrs'\nversion = '23.1'\n{entry}")
    image = make().task.image
    assert [install.files[0][1] for install in image.installs] == [b"attrs==23.1\n"]
    assert image.pip == ("hypothesis", "setuptools-scm")
    assert make(overrides=Overrides(image="python:3.12")).task.image.installs == ()


def test_a_dockerfile_brings_all_but_what_settings_name(make: Make) -> None:
    image = make(overrides=Overrides(dockerfile="./ci/Dockerfile", pip=("attrs",))).task.image
    assert (image.dockerfile, image.base, image.apt) == ("ci/Dockerfile", None, ())
    assert image.pip == ("attrs",)
    named = make(overrides=Overrides(dockerfile="x", image="y")).task.image
    assert (named.dockerfile, named.base) == (None, "y")


def test_another_python_is_the_official_image_with_all_that_tests_need(make: Make) -> None:
    image = make(overrides=Overrides(python="3.13")).task.image
    assert image.base == "python:3.13-slim"
    assert image.pip == ("attrs", "pytest>=7", "hypothesis", "setuptools>=61", "setuptools-scm",
                         "packaging>=24.2", "wheel")  # fmt: skip
    assert make(overrides=Overrides(python="3.11")).task.image == make().task.image


def test_a_python_that_a_named_image_has_not_to_have_is_said(make: Make) -> None:
    task = make(overrides=Overrides(python="3.13", image="mine:1")).task
    assert task.image.base == "mine:1"
    assert "`python` is not used: mine:1 brings its own." in task.notes


def test_the_wrong_python_is_an_error_unless_an_image_is_named(top: Path, make: Make) -> None:
    text = PACKAGE["pyproject.toml"].replace("[project]\n", "[project]\nrequires-python='>=3.14'\n")
    (top / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match=r"asks for Python >=3\.14") as caught:
        make()
    assert "--python 3.14" in caught.value.hint
    with pytest.raises(UsageError, match=r"image has 3\.13"):
        make(overrides=Overrides(python="3.13"))
    assert make(overrides=Overrides(python="3.14")).task.image.base == "python:3.14-slim"
    assert make(overrides=Overrides(image="python:3.14")).task.rebuild is not None


def test_a_requirement_of_the_users_that_is_none_is_an_error(make: Make) -> None:
    with pytest.raises(UsageError, match=r"'-e \.' in `pip` is not"):
        make(overrides=Overrides(pip=("-e .",)))


def test_the_user_is_told_what_else_was_taken_and_left(top: Path, make: Make) -> None:
    write(
        top,
        {
            ".gitignore": "secret/\n",
            "secret/key": "x",
            "new.py": "x",
            "requirements-test.txt": "-i https://evil.example\nhypothesis==1\nhypothesis>2\n",
        },
    )
    notes = "\n".join(make(overrides=Overrides(include=("secret/",))).task.notes)
    assert "Untracked files are taken too: .gitignore, new.py, requirements-test.txt." in notes
    assert "Ignored files are taken, as `include` asks: secret/key." in notes
    assert "not installed: requirements-test.txt: -i https://evil.example" in notes
    assert "contradict others and are not used: hypothesis>2 (1 is asked for too)" in notes


def test_advice_is_bounded(top: Path, make: Make) -> None:
    (top / "AGENTS.md").write_text("x" * 100_000)
    advice = make().task.advice
    assert len(advice) < 20_000
    assert "goes on" in advice
    (top / "AGENTS.md").unlink()
    (top / "AGENTS.md").symlink_to("/etc/passwd")
    assert make().task.advice == ""


def test_a_checkout_beyond_the_workspace_is_refused(top: Path, make: Make) -> None:
    (top / "big").write_bytes(bytes(9 << 20))
    with pytest.raises(UsageError, match=r"at most 7\.5 MiB.*`workspace_size`") as caught:
        make(policy=Policy(workspace_bytes=10 << 20))
    assert '`workspace` to "disk"' in caught.value.hint


def test_a_workspace_on_disk_takes_what_none_in_memory_does(
    top: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "big").write_bytes(bytes(9 << 20))
    on_disk = Policy(workspace="disk", workspace_bytes=1 << 20)
    assert "big" in {entry.path for entry in make(policy=on_disk).task.base.entries.values()}
    monkeypatch.setattr("tasks.repository.DISK_BASE_BYTES", 4 << 20)
    with pytest.raises(UsageError, match=r"at most 4\.0 MiB are taken\. ") as caught:
        make(policy=on_disk)
    assert "memory" not in caught.value.hint
    assert "workspace_size" not in caught.value.hint


@pytest.mark.docker
async def test_the_detected_step_makes_the_tests_pass_offline(
    top: Path, make: Make, image: Image
) -> None:
    # A fixed version: what would find it in git is not in the plain image.
    text = PACKAGE["pyproject.toml"].replace(', "setuptools-scm"', "")
    text = text.replace('dynamic = ["version"]', 'version = "1.4.0"')
    (top / "pyproject.toml").write_text(text)
    task = make().task
    assert task.rebuild is not None
    async with Sandbox.open(
        image, task.base, task.policy, rebuild=task.rebuild, support=support_files()
    ) as box:
        assert box.rebuild_result is not None
        assert box.rebuild_result.exit_code == 0, box.rebuild_result.output.text
        report = await run_tests(box, task.checks)
        assert report.green, report.output
        assert len(report.passed) == 2
        broken = Patch((Change("src/demo/__init__.py", FILE, b"def double(x):\n    return x\n"),))
        await box.apply(broken)
        report = await run_tests(box, task.checks)
        assert report.failing == ("tests/test_demo.py::test_double",)
        assert (await box.delta()) == broken


@pytest.mark.docker
async def test_the_image_has_the_versions_that_detection_counts_on(
    make: Make, image: Image
) -> None:
    task = make().task
    names = " ".join(IMAGE_PACKAGES)
    async with Sandbox.open(image, task.base, task.policy) as box:
        told = await box.run(
            "python3 -c 'import platform; print(platform.python_version())'; "
            f"python3 -m pip list --format=freeze | grep -E '^({names.replace(' ', '|')})='"
        )
    version, *packages = told.output.text.split()
    assert version == IMAGE_PYTHON
    assert dict(line.split("==") for line in packages) == IMAGE_PACKAGES
