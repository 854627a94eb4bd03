from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import GreenroomError, UsageError
from sandbox.patch import EXECUTABLE, FILE
from tasks.files import read_task_file


def written(folder: Path, text: str) -> Path:
    path = folder / "dates.toml"
    path.write_text(text)
    return path


def test_an_instruction_is_enough(tmp_path: Path) -> None:
    task = read_task_file(written(tmp_path, 'instruction = "Fix it."'))
    assert task.instruction == "Fix it."
    assert task.id == "dates"
    assert task.repository == tmp_path
    assert task.settings() == {}
    assert task.hidden_tests() is None


def test_every_field_is_read(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "secret" / "tests").mkdir(parents=True)
    (tmp_path / "secret" / "tests" / "test_new.py").write_text("def test_new(): pass\n")
    script = tmp_path / "secret" / "run.sh"
    script.write_text("true\n")
    script.chmod(0o755)
    task = read_task_file(
        written(
            tmp_path,
            """
            id = "dates/one"
            instruction = "Fix it."
            repository = "repo"
            hidden = "secret"
            test_cmd = "pytest -q"
            test_timeout = 30
            expected = ["tests/test_new.py::test_new"]
            protected = ["data/"]
            memory = "1GiB"
            workspace_size = 1000000
            pids = 64
            pip = ["attrs"]
            """,
        )
    )
    assert task.id == "dates/one"
    assert task.repository == tmp_path / "repo"
    assert task.expected == ("tests/test_new.py::test_new",)
    assert task.settings() == {
        "test_cmd": "pytest -q",
        "test_timeout": 30,
        "protected": ("data/",),
        "memory": 1 << 30,
        "workspace_size": 1_000_000,
        "pids": 64,
        "pip": ("attrs",),
    }
    hidden = task.hidden_tests()
    assert hidden is not None
    assert [(change.path, change.mode) for change in hidden] == [
        ("run.sh", EXECUTABLE),
        ("tests/test_new.py", FILE),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("test_cmd = 'pytest'", ["dates.toml", "'instruction' is missing"]),
        ("instruction = 'x'\ntest_comand = 'y'", ["'test_comand'", "did you mean 'test_cmd'"]),
        ("instruction = 5", ["instruction: expected a text", "5"]),
        ("instruction = ' '", ["instruction: expected a text"]),
        ("instruction = 'x'\nexpected = 'one'", ["expected: expected a list", "'one'"]),
        ("instruction = 'x'\npip = [1]", ["pip: expected a list"]),
        ("instruction = 'x'\ntest_timeout = 0", ["test_timeout: expected a number above zero"]),
        ("instruction = 'x'\ntest_timeout = inf", ["test_timeout: expected a number"]),
        ("instruction = 'x'\npids = 2.5", ["pids: expected a whole number"]),
        ("instruction = 'x'\npids = true", ["pids: expected a whole number"]),
        ("instruction = 'x'\nmemory = '2X'", ["memory: expected a size", "'2X'"]),
        ("instruction = 'x'\nrepository = 'gone'", ["repository: there is no folder", "gone"]),
        ("instruction = ", ["dates.toml is not valid TOML", "end of document"]),
        (f"instruction = {'9' * 5000}", ["dates.toml is not valid TOML", "4300 digits"]),
    ],
)
def test_a_bad_file_is_named_with_its_field(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        read_task_file(written(tmp_path, text))
    for word in words:
        assert word in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.toml cannot be read: No such file"):
        read_task_file(tmp_path / "nowhere.toml")


def test_links_among_hidden_tests_are_refused(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "test_a.py").symlink_to("/etc/passwd")
    task = read_task_file(written(tmp_path, "instruction = 'x'\nhidden = 'hidden'"))
    with pytest.raises(UsageError, match="no regular file"):
        task.hidden_tests()


@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_give_a_task_or_a_plain_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    with pytest.raises(GreenroomError):
        read_task_file(path)
