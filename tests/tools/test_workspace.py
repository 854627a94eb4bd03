import pytest

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def test_a_missing_file_names_those_that_may_be_meant(desk):
    moved = await desk.call("read_file", path="src/cart.py")
    assert not moved.ok
    assert "Is one of these meant: shop/cart.py?" in moved.text
    misspelt = await desk.call("read_file", path="shop/carts.py")
    assert "shop/cart.py" in misspelt.text
    assert "search" in (await desk.call("read_file", path="qqqq")).text


async def test_files_outside_of_the_workspace_are_not_reached(desk):
    for path in ("/etc/passwd", "../etc/passwd", "shop/../../etc/passwd"):
        result = await desk.call("read_file", path=path)
        assert (result.ok, "outside of the workspace" in result.text) == (False, True)
    await desk.call("shell", command="ln -s /etc/passwd link")
    linked = await desk.call("read_file", path="link")
    assert not linked.ok
    assert "root:" not in linked.text


async def test_a_pipe_is_not_read(desk):
    await desk.call("shell", command="mkfifo pipe")
    assert "not a regular file" in (await desk.call("read_file", path="pipe")).text


async def test_a_protected_file_may_be_changed_and_the_model_is_told(desk):
    result = await desk.call(
        "edit_file", path="tests/test_cart.py", old_text="== 3", new_text="== -3"
    )
    assert result.ok
    assert "tests/test_cart.py is protected" in result.text
    assert "put back before the result is verified" in result.text
    assert b"== -3" in await desk.box.read("tests/test_cart.py")
    added = await desk.call("write_file", path="tests/test_new.py", content="")
    assert "protected" not in added.text
    refused = await desk.call("write_file", path="tests/conftest.py", content="")
    assert "conftest.py may not be added" in refused.text
    hiding = await desk.call("write_file", path="random.py", content="")
    assert "random.py may not be added" in hiding.text


async def test_writing_below_a_file_or_over_a_folder_is_refused(desk):
    below = await desk.call("write_file", path="run.sh/x", content="")
    assert (below.ok, "a part of that path is a file" in below.text) == (False, True)
    over = await desk.call("write_file", path="shop", content="")
    assert (over.ok, "is a folder" in over.text) == (False, True)
