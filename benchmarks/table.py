"""A line of a benchmark's table, with what it may be at most or has to be at least."""

from dataclasses import dataclass

HEAD = "| | seen | bound | ratio |\n|---|---|---|---|"


@dataclass(frozen=True)
class Row:
    """One line of the table. `bound` and `least` are what `value` may be at most and must be at
    least; `ratio` says the same in terms of something else measured in this run."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    least: float | None = None
    ratio: str = ""
    met: bool = True

    @property
    def holds(self) -> bool:
        over = self.bound is not None and self.value > self.bound
        under = self.least is not None and self.value < self.least
        return self.met and not over and not under

    def line(self) -> str:
        bound = f"at most {self.bound:g} {self.unit}" if self.bound is not None else ""
        bound = f"at least {self.least:g} {self.unit}" if self.least is not None else bound
        missed = "" if self.holds else " **missed**"
        return f"| {self.name} | {self.value:,.3g} {self.unit} | {bound}{missed} | {self.ratio} |"
