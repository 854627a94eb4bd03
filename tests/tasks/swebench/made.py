"""A small repository as an image of SWE-bench's has it, and rows on it: the real ones cannot be
downloaded everywhere, so these follow the layout of the suite's own images."""

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import docker

IMAGE = "swebench/sweb.eval.x86_64.demo_1776_calc-1:latest"
WRONG = "def add(a, b):\n    return a - b\n\n\ndef twice(n):\n    return n * 2\n"
RIGHT = WRONG.replace("a - b", "a + b")
OLD_TEST = "from calc import twice\n\n\ndef test_twice():\n    assert twice(4) == 8\n"
NEW_TEST = (
    "import pytest\n\nfrom calc import add, twice\n\n\n"
    "def test_twice():\n    assert twice(4) == 8\n\n\n"
    "@pytest.mark.parametrize('a, b', [(1, 2), (3, 4)], ids=['one two', 'three four'])\n"
    "def test_add(a, b):\n    assert add(a, b) == a + b\n\n\n"
    "@pytest.mark.skip(reason='later')\ndef test_later():\n    assert False\n"
)
ACTIVATE = 'conda() { export PATH=/opt/miniconda3/envs/testbed/bin:"$PATH"; }\n'


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", *words]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def repository(folder: Path) -> tuple[str, str, str]:
    """A repository whose history goes on after the base: its base commit, the diff of the solution
    and the diff of the tests."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "calc.py").write_text(WRONG)
    (folder / "test_calc.py").write_text(OLD_TEST)
    (folder / ".gitignore").write_text("*.built\n__pycache__/\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "begin")
    base = git(folder, "rev-parse", "HEAD").strip()
    (folder / "calc.py").write_text(RIGHT)
    git(folder, "commit", "--quiet", "-am", "the solution")
    gold = git(folder, "diff", base, "HEAD")
    (folder / "test_calc.py").write_text(NEW_TEST)
    git(folder, "commit", "--quiet", "-am", "its tests")
    tests = git(folder, "diff", "HEAD~", "HEAD")
    return base, gold, tests


def eval_script(base: str, tests: str, command: str = "pytest -rA test_calc.py") -> str:
    """As the suite's harness writes it."""
    return f"""#!/bin/bash
set -uxo pipefail
source /opt/miniconda3/bin/activate
conda activate testbed
cd /testbed
git config --global --add safe.directory /testbed
cd /testbed
git status
git show
git -c core.fileMode=false diff {base}
source /opt/miniconda3/bin/activate
conda activate testbed
python -m pip install -e .
git checkout {base} test_calc.py
git apply -v - <<'EOF_114329324912'
{tests}
EOF_114329324912
: '>>>>> Start Test Output'
{command}
: '>>>>> End Test Output'
git checkout {base} test_calc.py
"""


def row(base: str, gold: str, tests: str, **fields: Any) -> dict[str, Any]:
    return {
        "repo": "demo/calc",
        "instance_id": "demo__calc-1",
        "base_commit": base,
        "patch": gold,
        "test_patch": tests,
        "problem_statement": "add() subtracts.",
        "hints_text": "",
        "created_at": "2024-01-01",
        "version": "1.0",
        # As the suite has such ids: cut at the first blank.
        "FAIL_TO_PASS": json.dumps(["test_calc.py::test_add[one", "test_calc.py::test_add[three"]),
        "PASS_TO_PASS": json.dumps(["test_calc.py::test_twice", "test_calc.py::test_later"]),
        "environment_setup_commit": base,
        "image": IMAGE,
        "eval_script": eval_script(base, tests),
        "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
        **fields,
    }


def make_image(checkout: Path, base: str, parent: str) -> None:
    """An image with the checkout at its base commit in /testbed, its history beside it."""
    git(checkout, "checkout", "--quiet", base)
    (checkout / "kernel.built").write_text("made when the image was built\n")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.add(checkout, "testbed")
        _file(archive, "opt/miniconda3/bin/activate", ACTIVATE)
        link = tarfile.TarInfo("opt/miniconda3/envs/testbed/bin/python")
        link.type, link.linkname = tarfile.SYMTYPE, "/usr/bin/python3"
        archive.addfile(link)
    api = docker.from_env().api
    made = api.create_container(parent, ["true"])
    try:
        api.put_archive(made["Id"], "/", data.getvalue())
        repository, tag = IMAGE.rsplit(":", 1)
        api.commit(made["Id"], repository=repository, tag=tag)
    finally:
        api.remove_container(made["Id"], force=True)


def _file(archive: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text)
    entry.mode = 0o755
    archive.addfile(entry, io.BytesIO(text.encode()))
