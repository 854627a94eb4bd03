"""Put scores in order and give them ranks."""

from collections.abc import Iterable

from arcade.score import Score


def by_points(scores: Iterable[Score]) -> list[Score]:
    """The most points first; among equals, the quicker game."""
    return sorted(scores, key=lambda score: (-score.points, score.seconds))


def by_time(scores: Iterable[Score]) -> list[Score]:
    """The quickest game first; among equals, the one with more points."""
    return sorted(scores, key=lambda score: (score.seconds, -score.points))


def best_per_player(scores: Iterable[Score]) -> list[Score]:
    """The best score of every player, by points."""
    best: dict[str, Score] = {}
    for score in by_points(scores):
        best.setdefault(score.player, score)
    return list(best.values())


def ranks(scores: Iterable[Score]) -> list[tuple[int, Score]]:
    """Scores with their ranks; equal points share a rank, and the next ones are skipped."""
    ranked: list[tuple[int, Score]] = []
    for position, score in enumerate(by_points(scores), start=1):
        if ranked and ranked[-1][1].points == score.points:
            position = ranked[-1][0]
        ranked.append((position, score))
    return ranked
