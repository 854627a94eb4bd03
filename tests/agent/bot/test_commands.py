import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bot.commands import Command, read
from tests.agent.bot.corpus import CORPUS

ACTIONS = ("fix", "retry", "stop")


@pytest.mark.parametrize(
    ("comment", "command"),
    [
        ("/greenroom fix", Command("fix", "")),
        ("/greenroom retry\r\n", Command("retry", "")),
        ("/greenroom \t stop  ", Command("stop", "")),
        ("/greenroom fix look at dates.py", Command("fix", "look at dates.py")),
        ("/greenroom fix\tonce\nmore\n\n- so\n", Command("fix", "once\nmore\n\n- so")),
        ("/greenroom stop\n/greenroom fix", Command("stop", "/greenroom fix")),
        ("/greenroom retry > quoted", Command("retry", "> quoted")),
    ],
)
def test_a_command_and_its_guidance(comment: str, command: Command) -> None:
    assert read(comment) == command


@pytest.mark.parametrize("comment", CORPUS.values(), ids=CORPUS)
def test_no_hostile_comment_is_a_command(comment: str) -> None:
    assert read(comment) is None


@given(st.text(alphabet="/greenom fixtryspd\n\t>`<!-", max_size=40))
def test_only_a_first_line_that_begins_so_is_a_command(comment: str) -> None:
    words = comment.partition("\n")[0].replace("\t", " ").split()
    expected = comment.startswith("/greenroom") and words[:1] == ["/greenroom"]
    assert (read(comment) is not None) == (expected and words[1:2] != [] and words[1] in ACTIONS)


@given(st.sampled_from(ACTIONS), st.text())
def test_any_guidance_is_kept(action: str, guidance: str) -> None:
    found = read(f"/greenroom {action}\n{guidance}")
    assert found == Command(action, guidance.strip())  # type: ignore[arg-type]


@given(st.text(min_size=1).filter(lambda text: text[0] != "/"), st.sampled_from(ACTIONS))
def test_nothing_may_stand_before_a_command(before: str, action: str) -> None:
    assert read(f"{before}/greenroom {action}") is None
