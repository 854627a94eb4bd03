"""Badges of employees and visitors."""

import datetime
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Badge:
    owner: str
    groups: frozenset = field(default_factory=frozenset)
    valid_until: datetime.date | None = None
    blocked: bool = False

    def is_valid(self, day):
        """A badge is valid up to and including its last day, unless it was blocked."""
        if self.blocked:
            return False
        return self.valid_until is None or day <= self.valid_until
