from collections.abc import Sequence
from typing import Any

import pytest

from agent.models.lookahead import Branch, Growth, Lookahead
from tests.agent.models import tiny

pytestmark = pytest.mark.model

CONTEXT = [1, 5, 9]
TEXT = list(range(20, 60))


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny.llama()


@pytest.fixture
def lookahead(model: Any) -> Lookahead:
    return Lookahead(model, CONTEXT, TEXT)


def plain(model: Any, ids: Sequence[int]) -> Any:
    """What the model says after each of `ids`, read alone."""
    import torch

    with torch.inference_mode():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0].float(), -1)


def test_the_texts_own_tokens_are_rated_as_when_read_alone(
    model: Any, lookahead: Lookahead
) -> None:
    rows = plain(model, CONTEXT + TEXT)
    wanted = [rows[len(CONTEXT) - 1 + n, token].item() for n, token in enumerate(TEXT)]
    assert lookahead.own == pytest.approx(wanted, abs=1e-4)


def test_alternatives_at_a_position_see_only_what_stands_before(
    model: Any, lookahead: Lookahead
) -> None:
    for position, row in zip([0, 7], lookahead.at([0, 7]), strict=True):
        alone = plain(model, CONTEXT + TEXT[:position])[-1]
        assert row.tolist() == pytest.approx(alone.tolist(), abs=1e-4)


def test_branches_share_a_pass_and_do_not_see_each_other(
    model: Any, lookahead: Lookahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.models.lookahead._PASS", 6)
    branches = [
        Branch(3, (100, 101, 102)),
        Branch(30, (7,)),
        Branch(0, (8, 9)),
        Branch(len(TEXT), (11, 12)),
    ]
    for _ in range(2):  # The second time nothing of the first is left.
        for branch, values in zip(branches, lookahead.likelihoods(branches), strict=True):
            before = CONTEXT + TEXT[: branch.position]
            rows = plain(model, [*before, *branch.tokens])
            wanted = [
                rows[len(before) - 1 + n, token].item() for n, token in enumerate(branch.tokens)
            ]
            assert values == pytest.approx(wanted, abs=1e-4)


def test_growing_branches_split_and_die_and_are_rated_as_when_read_alone(
    model: Any, lookahead: Lookahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.models.lookahead._PASS", 3)
    positions = [3, 10, 0]
    written: list[list[int]] = [[], [], []]
    growth = Growth(lookahead, positions)
    generations = [
        ([0, 0, 1, 2], [11, 12, 13, 14]),
        ([1, 1, 3], [20, 21, 22]),
        ([2, 0], [30, 31]),
        ([1], [5]),
    ]
    for parents, tokens in generations:
        rows = growth.feed(parents, tokens)
        written = [[*written[p], token] for p, token in zip(parents, tokens, strict=True)]
        positions = [positions[p] for p in parents]
        for position, branch, row in zip(positions, written, rows, strict=True):
            alone = plain(model, CONTEXT + TEXT[:position] + branch)[-1]
            assert row.tolist() == pytest.approx(alone.tolist(), abs=1e-4)
    growth.close()
    branch = Branch(5, (1, 2))
    fresh = Lookahead(model, CONTEXT, TEXT).likelihoods([branch])
    assert lookahead.likelihoods([branch])[0] == pytest.approx(fresh[0], abs=1e-4)


def test_what_was_read_is_counted(model: Any) -> None:
    lookahead = Lookahead(model, CONTEXT, TEXT)
    assert lookahead.read == len(CONTEXT) + len(TEXT)
    lookahead.likelihoods([Branch(3, (1, 2)), Branch(4, (3,))])
    assert lookahead.read == len(CONTEXT) + len(TEXT) + 3
