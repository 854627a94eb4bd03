import json

from hypothesis import given
from hypothesis import strategies as st

from agent.models.edits import Edit, edit_arguments
from tools.edit import replace_text

SOURCES = st.text("ab \n", min_size=1, max_size=60)


def test_the_call_replaces_whole_lines() -> None:
    source = "one\ntwo\nthree\n"
    arguments = json.loads(edit_arguments("a.py", source, Edit(5, 6, "xyz")))
    assert arguments == {"path": "a.py", "old_text": "two", "new_text": "txyzo"}


def test_a_line_that_stands_twice_is_told_apart_by_its_neighbours() -> None:
    source = "if a:\n    return 1\nelse:\n    return 1\n\nb()\n"
    first = json.loads(
        edit_arguments("a.py", source, Edit(place := source.index("1"), place + 1, "2"))
    )
    assert first["old_text"] == "    return 1\nelse:"
    second = json.loads(
        edit_arguments("a.py", source, Edit(place := source.rindex("1"), place + 1, "2"))
    )
    assert second["old_text"].startswith("    return 1\n\n")


@given(source=SOURCES, data=st.data())
def test_the_call_makes_the_edit(source: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(source)))
    end = data.draw(st.integers(start, len(source)))
    edit = Edit(start, end, data.draw(st.text("xy\n", min_size=1, max_size=5)))
    arguments = json.loads(edit_arguments("a.py", source, edit))
    if not source.strip() or edit.apply(source) == source:
        return
    edited = replace_text(source, arguments["old_text"], arguments["new_text"])
    assert edited.text == edit.apply(source)
