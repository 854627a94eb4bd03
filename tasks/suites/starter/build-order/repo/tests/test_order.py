import pytest

from buildtool import CycleError, build_order, waves

CHAIN = {"app": ("library",), "library": ("kernel",)}
DIAMOND = {"app": ("parser", "printer"), "parser": ("text",), "printer": ("text",)}


def test_needs_come_first():
    assert build_order(CHAIN, "app") == ["kernel", "library", "app"]


def test_only_what_the_goal_needs_is_built():
    assert build_order(CHAIN, "library") == ["kernel", "library"]


def test_a_source_is_its_own_order():
    assert build_order(CHAIN, "kernel") == ["kernel"]


def test_what_is_needed_twice_is_built_once():
    assert build_order(DIAMOND, "app") == ["text", "parser", "printer", "app"]


def test_targets_of_a_wave_do_not_need_each_other():
    assert waves(DIAMOND, "app") == [["text"], ["parser", "printer"], ["app"]]


def test_a_cycle_is_reported_with_its_path():
    with pytest.raises(CycleError) as caught:
        build_order({"app": ("a",), "a": ("b",), "b": ("c",), "c": ("a",)}, "app")
    assert caught.value.path == ["a", "b", "c", "a"]


def test_a_target_that_needs_itself_is_a_cycle():
    with pytest.raises(CycleError, match="egg -> egg"):
        build_order({"egg": ("egg",)}, "egg")
