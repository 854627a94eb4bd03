"""How well a cache does."""

from dataclasses import dataclass


@dataclass
class Stats:
    hits: int = 0
    misses: int = 0
    evictions: int = 0

    @property
    def hit_rate(self) -> float:
        """The share of look-ups that found something; 0 before the first one."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else 0.0
