"""What a comparison says, in plain sentences."""

from agent.bench.report.comparison import Comparison
from agent.bench.report.words import percent, points
from agent.cli.text import count


def sentences(found: Comparison, first: str, second: str) -> list[str]:
    """The result, how it was found, and whether the sample can tell."""
    change = found.change
    bounds = f"{points(change.value)} points, 95% interval {points(change.low)} to "
    return [
        f"{first} solves {percent(found.first)}, {second} {percent(found.second)} of "
        f"{count(found.tasks, 'task')}: {bounds}{points(change.high)}.",
        _how(found),
        _telling(found, first, second),
        _sample(found),
    ]


def _how(found: Comparison) -> str:
    if found.pairs is None or found.p_value is None:
        return "Several attempts at a task: the interval is a paired bootstrap over tasks."
    pairs = found.pairs
    return (
        f"They differ on {count(pairs.discordant, 'task')}: {pairs.first} only the first solves, "
        f"{pairs.second} only the second (McNemar's exact test: p = {_small(found.p_value)}; "
        "interval: Newcombe's for pairs)."
    )


def _telling(found: Comparison, first: str, second: str) -> str:
    unsure = found.p_value is not None and found.p_value >= 0.05
    if found.tells and not unsure:
        better = second if found.change.value > 0 else first
        return f"The sample can tell: {better} is better on tasks like these."
    return "The sample cannot tell: that there is no difference fits what was seen."


def _sample(found: Comparison) -> str:
    tasks = count(found.tasks, "task")
    if found.smallest >= 1:
        said = f"{tasks} are too few to show any difference"
    else:
        said = (
            f"With {tasks} like these a true difference of {100 * found.smallest:.1f} points or "
            "more shows four times in five; smaller ones are missed more often"
        )
    if found.wanted is None or found.tells:
        return f"{said}."
    return f"{said}; to show the difference that was seen takes about {found.wanted:,} tasks."


def _small(p_value: float) -> str:
    return f"{p_value:.2g}" if p_value >= 0.001 else f"{p_value:.1e}"
