import pytest

from tools.syntax import syntax_note
from tools.tool import ToolLimits

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def test_an_edit_that_breaks_python_is_noticed_once(desk):
    broken = await desk.call(
        "edit_file", path="shop/cart.py", old_text="return result", new_text="return result)"
    )
    assert broken.ok
    assert "Warning: shop/cart.py is not valid Python now: line 5: unmatched ')'." in broken.text
    again = await desk.call(
        "edit_file", path="shop/cart.py", old_text="result = 0", new_text="result = 1"
    )
    assert "Warning" not in again.text


async def test_only_python_files_are_looked_at(desk):
    assert await syntax_note(desk.context, "a.txt", None, b"def (") == ""
    assert "not valid Python" in await syntax_note(desk.context, "a.py", None, b"def (")


async def test_the_check_can_be_left_out(desk):
    desk.context.limits = ToolLimits(check_syntax=False)
    assert await syntax_note(desk.context, "a.py", None, b"def (") == ""


async def test_what_python_cannot_read_at_all_is_told_too(desk):
    for content in (b"x = 1\0", b"x = '\xff'\n", b"(" * 5000):
        assert "not valid Python" in await syntax_note(desk.context, "a.py", b"x = 1", content)


async def test_an_image_without_python_gets_no_remark(desk):
    desk.context.box = _WithoutPython(desk.box)
    assert await syntax_note(desk.context, "a.py", None, b"def (") == ""


class _WithoutPython:
    """The sandbox, in which no program of that name is found."""

    def __init__(self, box):
        self._box = box

    async def run(self, command, **settings):
        return await self._box.run(["no-such-python", *command[1:]], **settings)
