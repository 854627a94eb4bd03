import textwrap

import pytest

from agent.models.edits import Edit
from agent.models.python_source import PythonSource

TEXT = textwrap.dedent(
    '''\
    """Boxes."""
    LIMIT = 3  # of them


    class Box:
        def __init__(self, size: int = 1) -> None:
            """Makes one."""
            self.size = size

        @staticmethod
        def unit():
            return Box(1)

        def grow(self, by):
            if self.size < LIMIT:
                self.size += by
            return self.size
    '''
)
SOURCE = PythonSource(TEXT)


def edit(old: str, new: str) -> Edit:
    start = TEXT.index(old)
    return Edit(start, start + len(old), new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.size < LIMIT", "self.size <= LIMIT"),
        ("by\n        return", "LIMIT\n        return"),
        ("            return Box(1)", "            return Box(2)"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("return self.size\n", "return self.size\n        return 1\n"),
    ],
)
def test_an_edit_that_makes_another_program_means_something(old: str, new: str) -> None:
    if old not in TEXT:
        old, new = old.replace("    " * 3, "    " * 2), new.replace("    " * 3, "    " * 2)
    meaning = SOURCE.meaning(edit(old, new))
    assert meaning is not None
    assert meaning not in {SOURCE.meaning(Edit(at, at, "")) for at in SOURCE.function_starts}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.size < LIMIT", "self.size < < LIMIT"),
        ("self.size < LIMIT", "self.size < limit"),
        ("self.size < LIMIT", "self.weight < LIMIT"),
        ("+= by", "+= (by"),
        ("    def grow", "  def grow"),
    ],
)
def test_what_cannot_run_means_nothing(old: str, new: str) -> None:
    assert SOURCE.meaning(edit(old, new)) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("self.size < LIMIT", "self.size <= LIMIT"), ("self.size < LIMIT", "self.size<=LIMIT")),
        (("self.size += by", "self.size += (by)"), ("self.size += by", "self.size  +=  by")),
        (("Makes one.", "Makes two."), ("size: int = 1", "size: float = 1")),
    ],
)
def test_edits_that_leave_the_same_program_mean_the_same(
    first: tuple[str, str], second: tuple[str, str]
) -> None:
    assert SOURCE.meaning(edit(*first)) == SOURCE.meaning(edit(*second)) is not None


def test_the_same_edit_in_two_functions_means_two_things() -> None:
    assert SOURCE.meaning(edit("Box(1)", "Box(2)")) != SOURCE.meaning(edit("+= by", "+= 2"))


def test_places_are_counted_in_characters_not_bytes() -> None:
    source = PythonSource("x = 'äöü€'; y = 1\nz = y\n")
    assert source.tree is not None
    second = source.tree.body[1]
    start, end = source.span(second)
    assert source.text[start:end] == "y = 1"
    assert source.line(start) == 1
    assert source.line_span(2) == (18, 23)


def test_a_file_that_does_not_parse_is_judged_as_a_whole() -> None:
    source = PythonSource("def f(:\n    return 1\n")
    assert source.tree is None
    assert source.meaning(Edit(0, 0, "")) is None
    assert source.meaning(Edit(6, 6, ")")) is not None


def test_code_that_python_warns_of_is_read_without_a_word(recwarn: pytest.WarningsRecorder) -> None:
    PythonSource("x = 1if y else 2\n")
    assert not recwarn.list
