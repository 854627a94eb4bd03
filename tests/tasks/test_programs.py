import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.programs import files_run, runs_make

FILES = {"run.sh", "ci/test.sh", "lint.py", "app.py", "tests/test_a.py", "Makefile"}


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("./run.sh", ["run.sh"]),
        ("sh run.sh --fast app.py", ["run.sh"]),
        ("bash -eu ci/test.sh", ["ci/test.sh"]),
        ("CI=1 timeout 60 ./run.sh && python3 lint.py app.py", ["run.sh", "lint.py"]),
        ("sh -c 'cd . && ./ci/test.sh'", ["ci/test.sh"]),
        ("env A=1 python3.11 -X utf8 lint.py", ["lint.py"]),
        ("python3 -X=utf8 ./lint.py", ["lint.py"]),
        ("python3 -m pytest tests/test_a.py", []),
        ("python3 -m py_compile app.py", []),
        ("grep -n tab app.py | sh run.sh", ["run.sh"]),
        ("python3 -c 'import app' app.py", []),
        ("pytest 'unclosed", []),
        ("", []),
    ],
)
def test_what_a_command_runs(command: str, files: list[str]) -> None:
    assert list(files_run(command, FILES)) == files


def test_make_is_seen() -> None:
    assert runs_make("cd x && make -j2 test")
    assert not runs_make("cmake --build . ; echo remake")


@given(st.text())
def test_any_text_is_a_command(text: str) -> None:
    assert set(files_run(text, FILES)) <= FILES
    runs_make(text)
