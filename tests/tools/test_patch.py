import pytest

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

GOOD = """*** Begin Patch
*** Update File: shop/cart.py
@@ def total(prices):
-        result -= price
+        result += price
*** Update File: run.sh
*** Move to: bin/run.sh
@@
-echo run
+echo moved
*** Add File: shop/tax.py
+RATE = 0.2
*** Delete File: docs/long.txt
*** End Patch"""


async def names(desk) -> set[str]:
    return {entry.path for entry in await desk.box.list(".", depth=3)}


async def test_a_patch_changes_adds_moves_and_deletes(desk):
    result = await desk.call("apply_patch", patch=GOOD)
    assert result.ok, result.text
    assert b"result += price" in await desk.box.read("shop/cart.py")
    assert await desk.box.read("shop/tax.py") == b"RATE = 0.2\n"
    present = await names(desk)
    assert "docs/long.txt" not in present
    assert "run.sh" not in present
    for said in (
        "Updated shop/cart.py (lines 4)",
        "Added shop/tax.py (1 line)",
        "Moved run.sh to bin/run.sh",
        "Deleted docs/long.txt",
        "4|         result += price",
    ):
        assert said in result.text


async def test_a_moved_file_stays_executable(desk):
    await desk.call("apply_patch", patch=GOOD)
    assert "moved" in (await desk.call("shell", command="bin/run.sh")).text


async def test_one_hunk_that_does_not_fit_keeps_everything_as_it_was(desk):
    before = await names(desk)
    patch = GOOD.replace("-        result -= price", "-        result *= price")
    result = await desk.call("apply_patch", patch=patch)
    assert not result.ok
    assert "Hunk 1 (line 3 of the patch) does not fit shop/cart.py" in result.text
    assert "the file has '-= price'; the patch has '*= price'" in result.text
    assert "Nothing was changed." in result.text
    assert await names(desk) == before


async def test_a_write_that_fails_takes_back_the_others(desk):
    await desk.call("shell", command="head -c 65000000 /dev/zero > big; true")
    before = await desk.box.read("shop/cart.py")
    lines = "\n".join("+" + "x" * 100 for _ in range(30_000))
    patch = GOOD.replace("+RATE = 0.2", lines)
    result = await desk.call("apply_patch", patch=patch)
    assert not result.ok
    assert await desk.box.read("shop/cart.py") == before
    present = await names(desk)
    assert "shop/tax.py" not in present
    assert {"run.sh", "docs/long.txt"} <= present
    assert "run" in (await desk.call("shell", command="./run.sh")).text


async def test_what_git_diff_prints_inside_can_be_applied_again(desk):
    await desk.call("apply_patch", patch=GOOD)
    await desk.call("shell", command="git add -A && git diff --cached -M > /tmp/all.diff")
    shown = await desk.box.run("cat /tmp/all.diff", output_limit=100_000)
    await desk.box.reset()
    result = await desk.call("apply_patch", patch=shown.output.text)
    assert result.ok, result.text
    assert b"result += price" in await desk.box.read("shop/cart.py")
    assert "moved" in (await desk.call("shell", command="bin/run.sh")).text


async def test_a_diff_sets_the_executable_bit(desk):
    diff = "diff --git a/go.sh b/go.sh\nnew file mode 100755\n--- /dev/null\n+++ b/go.sh\n"
    result = await desk.call("apply_patch", patch=diff + "@@ -0,0 +1 @@\n+echo went\n")
    assert result.ok, result.text
    assert "went" in (await desk.call("shell", command="./go.sh")).text


async def test_broken_python_and_protected_files_are_noticed(desk):
    patch = (
        "*** Begin Patch\n*** Update File: tests/test_cart.py\n@@\n-def test_empty():\n"
        "+def test_empty(:\n*** End Patch"
    )
    result = await desk.call("apply_patch", patch=patch)
    assert "not valid Python now: line 4" in result.text
    assert "tests/test_cart.py is protected" in result.text


async def test_text_that_is_no_patch_is_answered_with_the_form(desk):
    result = await desk.call("apply_patch", patch="change += to -=")
    assert not result.ok
    assert "*** Begin Patch" in result.text


async def test_a_patch_onto_a_folder_is_refused(desk):
    result = await desk.call(
        "apply_patch", patch="*** Begin Patch\n*** Delete File: shop\n*** End Patch"
    )
    assert (result.ok, "shop is a folder" in result.text) == (False, True)
