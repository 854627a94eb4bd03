import pytest

from agent.missing import MOST, NO_FILE, Missing, by_advice, missing
from tasks.task import TestReport

FILES = frozenset(
    (
        *("src/app/__init__.py", "src/app/fast.pyx", "src/app/core.py", "proto/orders.proto"),
        *("tests/yaml/__init__.py", "tests/__init__.py", "tools/space/one.py", "lib/ns/a.py"),
    )
)


def asked(output: str, files: frozenset[str] = FILES) -> tuple[Missing, ...]:
    return missing(TestReport({}, False, "pytest", "pytest", output=output), files)


def advice(output: str) -> str:
    (found,) = asked(output)
    return found.advice


def lacks(module: str) -> str:
    return f"E   ModuleNotFoundError: No module named '{module}'\n"


@pytest.mark.parametrize("module", ["requests", "google.protobuf.any_pb2", "yaml"])
def test_what_the_repository_has_not_comes_by_pip(module: str) -> None:
    assert advice(lacks(module)).endswith("to the image with --pip.")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("app._version", ""),
        ("app.fast", " from src/app/fast.pyx"),
        ("orders_pb2", " from proto/orders.proto"),
        ("app.items_pb2_grpc", ""),
    ],
)
def test_what_a_build_makes_is_a_matter_of_the_rebuild_step(module: str, source: str) -> None:
    assert advice(lacks(module)).startswith(f"A build makes it{source}, and it is not there: ")
    assert "`rebuild`" in advice(lacks(module))


def test_a_name_that_cannot_be_imported_is_missing_only_where_a_build_makes_it() -> None:
    said = "ImportError: cannot import name '{}' from 'app' (/work/src/app/__init__.py)\n"
    assert asked(said.format("fast"))[0].what == "the Python module app.fast"
    assert asked(said.format("slow")) == ()


@pytest.mark.parametrize(
    ("module", "place"), [("app", "src"), ("app.core", "src"), ("one", "tools/space")]
)
def test_a_file_of_the_repository_is_a_matter_of_the_path(module: str, place: str) -> None:
    assert f"The repository has it in {place}/" in advice(lacks(module))
    assert f"PYTHONPATH={place} " in advice(lacks(module))


@pytest.mark.parametrize("module", ["app.unwritten", "ns.b", "tests.helper"])
def test_what_may_not_be_written_yet_is_not_asked_of_the_image(module: str) -> None:
    assert advice(lacks(module)) == NO_FILE


def test_programs_libraries_and_node_modules_have_advice_of_their_own() -> None:
    said = "bash: line 1: jq: command not found\nError: Cannot find module 'left-pad'\n"
    said += "x: error while loading shared libraries: libx.so.1: cannot open\n"
    told = by_advice(asked(said + lacks("one_a") + lacks("one_b")))
    assert list(told.values()) == [
        ["the Python module one_a", "the Python module one_b"],
        ["the program jq", "the library libx.so.1"],
        ["the Node module left-pad"],
    ]


def test_only_so_many_are_named() -> None:
    assert len(asked("".join(lacks(f"m{n}") for n in range(MOST + 9)))) == MOST
