from typing import Any

import pytest

from agent.models.listing import Listing, Piece
from tests.agent.models import tiny

pytestmark = pytest.mark.model

FIRST, SECOND = "def f():\n    return 1\n", "x = 'é'"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny.tokenizer()


def test_pieces_stand_under_their_paths(tokenizer: Any) -> None:
    listing = Listing([Piece("a.py", 0, FIRST), Piece("b/c.py", 0, SECOND)], tokenizer)
    assert listing.text == f"# a.py\n{FIRST}\n# b/c.py\n{SECOND}\n\n"
    assert tokenizer.decode(listing.tokens) == listing.text


def test_each_place_leads_to_its_file_and_back(tokenizer: Any) -> None:
    listing = Listing([Piece("a.py", 0, FIRST), Piece("b.py", 100, SECOND)], tokenizer)
    for position in range(len(listing.tokens)):
        place = listing.place(position)
        if place is None:
            continue
        path, character = place
        piece = FIRST if path == "a.py" else SECOND
        inside = character - (0 if path == "a.py" else 100)
        assert listing.text[listing.offsets[position] :].startswith(piece[inside : inside + 1])
        # A character of two tokens begins at the first of them.
        assert listing.offsets[listing.position(path, character) or 0] == listing.offsets[position]


def test_headings_are_no_places(tokenizer: Any) -> None:
    listing = Listing([Piece("a.py", 0, FIRST)], tokenizer)
    assert listing.place(0) is None
    assert listing.position("a.py", 999) is None
    assert listing.position("b.py", 0) is None
