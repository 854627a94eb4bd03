import pytest

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def test_a_command_tells_its_exit_code_seconds_and_output(desk):
    result = await desk.call("shell", command="echo out; echo err >&2; exit 3")
    head, *output = result.text.split("\n")
    assert head.startswith("Exit code 3 after 0.")
    assert output == ["out", "err", ""]
    assert result.ok
    assert result.data["exit_code"] == 3


async def test_a_silent_command_says_that_there_is_no_output(desk):
    assert "(no output)" in (await desk.call("shell", command="true")).text


async def test_a_command_runs_in_the_folder_given(desk):
    result = await desk.call("shell", command="pwd", cwd="shop")
    assert "/workspace/shop" in result.text


async def test_a_missing_folder_is_named(desk):
    result = await desk.call("shell", command="pwd", cwd="nowhere")
    assert not result.ok
    assert "no folder nowhere" in result.text
    assert (
        "no folder shop/cart.py"
        in (await desk.call("shell", command="pwd", cwd="shop/cart.py")).text
    )


async def test_a_command_over_its_time_is_stopped_with_what_it_wrote(desk):
    result = await desk.call("shell", command="echo begun; sleep 30", timeout_seconds=1)
    assert not result.ok
    assert "still running at its time limit of 1 s" in result.text
    assert "begun" in result.text


async def test_a_longer_time_than_allowed_is_said(desk):
    result = await desk.call("shell", command="true", timeout_seconds=5000)
    assert "longest time allowed is 60 seconds" in result.text


async def test_a_command_killed_for_memory_says_the_limit(desk):
    result = await desk.call("shell", command="python3 -c 'x = b\"x\" * (3 << 30); print(len(x))'")
    assert not result.ok
    assert "Out of memory" in result.text
    assert "700 MiB" in result.text


async def test_a_signal_is_named(desk):
    result = await desk.call("shell", command="kill -SEGV $$")
    assert "Killed by SIGSEGV" in result.text


async def test_long_output_keeps_both_ends_and_says_how_to_see_the_rest(desk):
    result = await desk.call("shell", command="seq 1 200000")
    assert len(result.text) < 11_000
    lines = result.text.split("\n")
    assert lines[1] == "1"
    assert lines[-2] == "200000"
    said = next(line for line in lines if line.startswith("[..."))
    assert "1,288,895 bytes left out" in said
    assert "> /tmp/out.txt" in said


async def test_binary_output_is_data_like_any_other(desk):
    result = await desk.call("shell", command=r"printf '\x1b[31m\xff\x00z'")
    assert "\x1b[31m\ufffd\x00z" in result.text


async def test_a_command_with_a_nul_is_refused(desk):
    result = await desk.call("shell", command="echo a\0b")
    assert (result.ok, "NUL" in result.text) == (False, True)


async def test_output_is_seen_live(desk):
    seen = []
    desk.context.on_output = seen.append
    await desk.call("shell", command="echo now")
    assert b"".join(seen) == b"now\n"
