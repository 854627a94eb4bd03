"""The board that is shown between games."""

from arcade.ranking import best_per_player, by_points, ranks
from arcade.score import Score


class Board:
    """Collects scores and shows the best ones."""

    def __init__(self) -> None:
        self._scores: list[Score] = []

    def add(self, player: str, points: int, seconds: float) -> Score:
        score = Score(player, points, seconds)
        self._scores.append(score)
        return score

    def top(self, count: int = 10, once_per_player: bool = True) -> list[Score]:
        """The `count` best games; a player may appear several times, unless told otherwise."""
        scores = best_per_player(self._scores) if once_per_player else by_points(self._scores)
        return scores[:count]

    def champions(self) -> list[Score]:
        """The best game of each player on the board."""
        return self.top(len(self._scores), once_per_player=True)

    def show(self, count: int = 10) -> str:
        lines = []
        for rank, score in ranks(self.top(count)):
            lines.append(f"{rank:>2}. {score.player:<8} {score.points:>6}")
        return "\n".join(lines) or "no games yet"
