"""One finished game."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    player: str
    points: int
    seconds: float

    def __post_init__(self) -> None:
        if not self.player:
            raise ValueError("a score needs a player")
        if self.points < 0 or self.seconds < 0:
            raise ValueError(f"{self.player}: a score cannot be negative")
