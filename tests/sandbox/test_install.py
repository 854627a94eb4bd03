from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import UsageError
from sandbox.imageenv import with_environment
from sandbox.install import Install


def install(path: str = "a/b", **environment: str) -> Install:
    return Install("node", "", ((path, b""),), ("true",), tuple(environment.items()))


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../../x", "a//b", "", ".", "a/.", "a\nb"]
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="not a path"):
        install(path).check()


@given(st.text(max_size=20))
def test_every_path_that_passes_stays_in_its_folder(path: str) -> None:
    try:
        install(path).check()
    except UsageError:
        return
    assert not path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/"))


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "A B", "A=B", ""])
def test_a_variable_that_the_supervisor_would_heed_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a variable"):
        install(**{name: "x"}).check()


def test_a_variable_is_one_line() -> None:
    with pytest.raises(UsageError):
        install(GOPROXY="off\nLD_PRELOAD=x").check()
    install(GOPROXY="off", npm_config_x="1").check()


def test_the_name_of_a_layer_is_a_word() -> None:
    with pytest.raises(UsageError):
        Install("a/b:c", "", (("x", b""),), ()).check()


def test_without_files_nothing_would_decide() -> None:
    with pytest.raises(UsageError):
        Install("node", "", (), ("true",)).check()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (("a", "b"), ("ab",)),
        (("a", "b"), ("a\nb",)),
        (("a", "b"), ("b", "a")),
    ],
)
def test_what_is_different_is_another_layer(one: tuple[str, ...], two: tuple[str, ...]) -> None:
    file = (("x", b""),)
    contents = [Install("node", "", file, commands).content() for commands in (one, two)]
    assert contents[0] != contents[1]


def test_each_part_decides_on_the_layer_but_for_the_words() -> None:
    plain = Install("node", "said so", (("x", b"a"),), ("true",), (("A", "b"),))
    assert replace(plain, what="said otherwise").content() == plain.content()
    for other in (
        replace(plain, files=(("x", b"b"),)),
        replace(plain, files=(("y", b"a"),)),
        replace(plain, commands=("false",)),
        replace(plain, environment=(("A", "c"),)),
    ):
        assert other.content() != plain.content()


def test_folders_are_searched_after_the_images_own() -> None:
    added = (("PATH", "/node_modules/.bin"), ("A", "2"))
    assert with_environment(["PATH=/bin", "A=1", "B="], added) == [
        "PATH=/bin:/node_modules/.bin",
        "A=2",
        "B=",
    ]
    assert with_environment(["PATH=/bin:/node_modules/.bin"], added[:1]) == [
        "PATH=/bin:/node_modules/.bin"
    ]
    assert with_environment([], added[:1])[0].endswith("/bin:/node_modules/.bin")
