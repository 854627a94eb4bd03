import pytest

from agent.bot import pulltext, telling
from agent.bot.config import Config
from agent.bot.proposal import Proposal
from agent.bot.trigger import Actor, Place, Trigger
from sandbox.patch import FILE, Change, Patch

PATH = "<img src=//evil.test> [a](/b) ![c](//d) @dev `x` fixes #1.lock"


@pytest.mark.parametrize("part", ["<img", "://", "](/b", "![", "@dev", "#1"])
def test_what_a_patch_names_in_a_refusal_is_text(part: str) -> None:
    assert part not in telling.refused([f"{PATH} is a lockfile."], "")


@pytest.mark.parametrize("title", ["", "\u200b", "\u2800\u3164\n", "\u202e \ue000"])
def test_a_title_of_nothing_that_is_seen_is_none(title: str) -> None:
    trigger = Trigger("comment:1", "fix", "comment", Actor("dev", 1), "", Place(7), title)
    proposal = Proposal("comment:1", "solved", "", "main", "a1" * 20)
    assert pulltext.title(trigger, proposal) == "Make the failing tests pass"
    assert pulltext.branch_name(trigger) == "greenroom/7-fix"


@pytest.mark.parametrize("part", ["`x`", "@dev", "#1"])
def test_what_a_patch_names_in_a_pull_request_is_code(part: str) -> None:
    trigger = Trigger("comment:1", "fix", "comment", Actor("dev", 1), "", Place(7), "It fails")
    patch = Patch((Change(PATH, FILE, b"x"),))
    proposal = Proposal("comment:1", "solved", "", "main", "a1" * 20, patch, grade="proved")
    made = pulltext.pull_request(trigger, proposal, Config(), lambda path: None, base="main")
    (line,) = (line for line in made.body.split("\n") if "evil.test" in line)
    assert line.startswith("- `<img")
    assert line.endswith("lock`")
    assert part not in line[3:-1]
