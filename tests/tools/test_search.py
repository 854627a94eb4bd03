import pytest

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def test_matches_come_with_path_and_line_number(desk):
    result = await desk.call("search", pattern=r"result [-+]= \w+")
    assert result.text == "1 match in 1 file:\nshop/cart.py:4:         result -= price"


async def test_literal_text_needs_no_escaping(desk):
    result = await desk.call("search", pattern="total([", literal=True)
    assert "2 matches in 1 file" in result.text


async def test_path_and_glob_narrow_the_search(desk):
    assert "tests/" not in (await desk.call("search", pattern="total", path="shop")).text
    assert "shop/" not in (await desk.call("search", pattern="total", glob="test_*.py")).text
    assert "1 match" in (await desk.call("search", pattern="total", path="shop/cart.py")).text


async def test_anchors_hold_for_each_line_whatever_its_end(desk):
    assert "tests/test_cart.py:8: def" in (await desk.call("search", pattern="^def test_sum")).text
    assert "docs/crlf.txt:2: two" in (await desk.call("search", pattern="^two$")).text


async def test_double_stars_mean_any_folders(desk):
    for glob in ("**/*.py", "shop/**/*.py", "shop/*.py"):
        assert "shop/cart.py" in (await desk.call("search", pattern="def total", glob=glob)).text


async def test_many_matches_are_cut_and_said(desk):
    result = await desk.call("search", pattern="line", path="docs/long.txt")
    assert result.text.startswith("50 matches in 1 file; there are more: narrow it")
    more = await desk.call("search", pattern="line", path="docs/long.txt", max_results=120)
    assert more.data["matches"] == 120


async def test_nothing_found_is_said_with_what_was_looked_for(desk):
    result = await desk.call("search", pattern="zzz.*", path="shop", glob="*.py")
    assert result.ok
    assert "Nothing matches 'zzz.*' in shop in files like *.py." in result.text


async def test_a_malformed_pattern_hints_at_literal(desk):
    result = await desk.call("search", pattern="total(")
    assert not result.ok
    assert "not a regular expression" in result.text
    assert "set literal to true" in result.text


async def test_a_missing_path_and_an_empty_pattern_are_named(desk):
    missing = await desk.call("search", pattern="x", path="nowhere")
    assert not missing.ok
    assert missing.text == "nowhere: cannot be searched: No such file or directory"
    assert "empty" in (await desk.call("search", pattern="")).text


async def test_a_line_break_in_a_pattern_is_explained(desk):
    assert "one by one" in (await desk.call("search", pattern="result = 0\\n")).text


async def test_long_lines_are_clipped_and_binary_files_passed_over(desk):
    await desk.box.write("min.js", b"var x;" * 1000)
    assert "more characters in this line" in (await desk.call("search", pattern="var x")).text
    assert "Nothing" in (await desk.call("search", pattern="IHDR")).text
