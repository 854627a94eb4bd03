import pytest

from agent.bot.owners import PLACES, owners


def named(text: str, *paths: str, place: str = "CODEOWNERS") -> tuple[str, ...]:
    return owners({place: text.encode()}.get, paths)


@pytest.mark.parametrize("place", PLACES)
def test_every_place_of_the_file_is_looked_at(place: str) -> None:
    assert named("* @ada", "a.py", place=place) == ("ada",)


def test_the_last_pattern_that_matches_decides() -> None:
    text = "* @ada\n/docs/ @team/writers # the writers\n*.md @grace\n"
    assert named(text, "src/a.py") == ("ada",)
    assert named(text, "docs/a.txt") == ("team/writers",)
    assert named(text, "docs/a.md") == ("grace",)


def test_a_pattern_without_owners_frees_its_files() -> None:
    assert named("* @ada\n/generated/\n", "generated/a.py") == ()


def test_each_owner_is_named_once_and_addresses_never() -> None:
    assert named("* @ada ada@example.org @grace", "a", "b") == ("ada", "grace")


def test_sections_lend_their_owners_and_each_section_counts() -> None:
    text = "* @ada\n[Docs] @team/writers\n*.md\n^[Data][2]\n/data/ @grace\n"
    assert named(text, "data/a.md") == ("ada", "team/writers", "grace")


def test_a_blank_in_a_path_is_escaped() -> None:
    assert named("/my\\ docs/ @ada", "my docs/a.txt") == ("ada",)


def test_no_file_names_nobody() -> None:
    assert owners({}.get, ["a.py"]) == ()
