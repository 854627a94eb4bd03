"""One thing to do."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Item:
    number: int
    title: str
    due: date
    done_on: date | None = None

    @property
    def done(self) -> bool:
        return self.done_on is not None

    def overdue(self, today: date) -> bool:
        return not self.done and self.due < today
