import pytest

from tools.files import excerpt

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def test_a_file_is_shown_with_line_numbers(desk):
    result = await desk.call("read_file", path="shop/cart.py")
    assert result.text.split("\n")[:3] == [
        "shop/cart.py: lines 1 to 5 of 5",
        "1| def total(prices):",
        "2|     result = 0",
    ]


async def test_a_long_file_comes_in_pages(desk):
    first = (await desk.call("read_file", path="docs/long.txt")).text
    assert "lines 1 to 200 of 500" in first
    assert first.endswith("[300 more lines; to see them, read on from line 201]")
    second = (await desk.call("read_file", path="docs/long.txt", start_line=201)).text
    assert "201| line 201" in second
    last = (await desk.call("read_file", path="docs/long.txt", start_line=401)).text
    assert last.endswith("500| line 500")


async def test_a_chosen_range_is_shown_alone(desk):
    result = await desk.call("read_file", path="docs/long.txt", start_line=9, end_line=10)
    assert result.text == "docs/long.txt: lines 9 to 10 of 500\n 9| line 9\n10| line 10"


async def test_ranges_that_make_no_sense_are_explained(desk):
    beyond = await desk.call("read_file", path="docs/long.txt", start_line=501)
    assert (beyond.ok, "only 500 lines" in beyond.text) == (False, True)
    turned = await desk.call("read_file", path="docs/long.txt", start_line=5, end_line=4)
    assert "is before the first" in turned.text


async def test_a_page_is_bounded_in_characters_and_lines_are_clipped(desk):
    await desk.box.write("wide.txt", b"x" * 50_000 + b"\n" + b"y" * 900 + b"\n" * 1)
    shown = (await desk.call("read_file", path="wide.txt")).text
    assert "49,000 more characters in this line" in shown
    await desk.box.write("wide.txt", (b"z" * 900 + b"\n") * 100)
    page = (await desk.call("read_file", path="wide.txt", end_line=100)).text
    assert len(page) < 11_000
    assert "read on from line 12" in page


async def test_what_is_unusual_about_a_file_is_said(desk):
    assert "lines end with CRLF" in (await desk.call("read_file", path="docs/crlf.txt")).text
    latin = (await desk.call("read_file", path="docs/latin.txt")).text
    assert "shown as Latin-1" in latin
    assert "1| café" in latin
    assert (await desk.call("read_file", path="docs/empty.txt")).text == "docs/empty.txt is empty."
    binary = (await desk.call("read_file", path="docs/logo.png")).text
    assert binary == "docs/logo.png is a binary file of 16 bytes; it is not shown."


async def test_a_folder_is_listed(desk):
    result = await desk.call("read_file", path="shop")
    assert result.ok
    assert "shop/cart.py" in result.text


async def test_writing_makes_folders_and_says_what_was_there(desk):
    made = await desk.call("write_file", path="new/deep/a.txt", content="one\ntwo\n")
    assert made.text == "Created new/deep/a.txt (2 lines)."
    assert await desk.box.read("new/deep/a.txt") == b"one\ntwo\n"
    again = await desk.call("write_file", path="new/deep/a.txt", content="one")
    assert "it had 2 lines and has 1 line now" in again.text
    assert await desk.box.read("new/deep/a.txt") == b"one"


async def test_writing_over_a_crlf_file_keeps_its_line_ends(desk):
    result = await desk.call("write_file", path="docs/crlf.txt", content="1\n2\n")
    assert "CRLF, as before" in result.text
    assert await desk.box.read("docs/crlf.txt") == b"1\r\n2\r\n"


async def test_writing_keeps_the_executable_bit(desk):
    await desk.call("write_file", path="run.sh", content="#!/bin/sh\necho two\n")
    assert "two" in (await desk.call("shell", command="./run.sh")).text


async def test_a_write_that_does_not_fit_says_so(desk):
    await desk.call("shell", command="head -c 70000000 /dev/zero > big; true")
    result = await desk.call("write_file", path="more.txt", content="x" * 200_000)
    assert not result.ok
    assert "o space left" in result.text


async def test_an_edit_shows_the_place_afterwards(desk):
    result = await desk.call(
        "edit_file", path="shop/cart.py", old_text="result -= price", new_text="result += price"
    )
    assert result.ok
    assert result.text.split("\n") == [
        "Edited shop/cart.py: line 4.",
        "1| def total(prices):",
        "2|     result = 0",
        "3|     for price in prices:",
        "4|         result += price",
        "5|     return result",
    ]


async def test_an_edit_keeps_line_ends_and_encoding(desk):
    await desk.call("edit_file", path="docs/crlf.txt", old_text="two\n", new_text="2\n2b\n")
    assert await desk.box.read("docs/crlf.txt") == b"one\r\n2\r\n2b\r\nthree\r\n"
    await desk.call("edit_file", path="docs/latin.txt", old_text="menu", new_text="thé")
    assert await desk.box.read("docs/latin.txt") == b"caf\xe9\nth\xe9\n"
    refused = await desk.call("edit_file", path="docs/latin.txt", old_text="thé", new_text="€")
    assert (refused.ok, "U+20AC" in refused.text) == (False, True)


async def test_an_edit_that_does_not_fit_changes_nothing(desk):
    before = await desk.box.read("shop/cart.py")
    result = await desk.call("edit_file", path="shop/cart.py", old_text="result", new_text="r")
    assert (result.ok, "stands 3 times" in result.text) == (False, True)
    assert await desk.box.read("shop/cart.py") == before


async def test_a_binary_file_is_not_edited(desk):
    result = await desk.call("edit_file", path="docs/logo.png", old_text="PNG", new_text="GIF")
    assert (result.ok, "binary file of 16 bytes" in result.text) == (False, True)


async def test_names_with_spaces_and_unicode_work(desk):
    result = await desk.call("read_file", path="with space/naïve.txt")
    assert "1| hello" in result.text


async def test_an_excerpt_is_a_screenful():
    text = "".join(f"{number}\n" for number in range(1, 101))
    assert excerpt(text, [(1, 1), (50, 50)]).split("\n")[3:6] == [" 4| 4", "...", "47| 47"]
    assert excerpt(text, [(1, 100)]).endswith("30| 30\n...")
    assert excerpt("", [(1, 1)]) == ""
