"""Rules such as 'app: parser printer', one a line."""

from collections.abc import Iterable, Mapping

Rules = Mapping[str, tuple[str, ...]]


class RuleError(ValueError):
    """A rule that cannot be read; the message names its line."""


def parse_rules(lines: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """What each target needs, in the order of the text; # starts a comment."""
    rules: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, start=1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        target, colon, needs = text.partition(":")
        target = target.strip()
        if not colon or not target:
            raise RuleError(f"line {number}: not a rule: {text!r}")
        if target in rules:
            raise RuleError(f"line {number}: {target} has two rules")
        rules[target] = tuple(needs.split())
    return rules


def sources(rules: Rules) -> list[str]:
    """What is needed but has no rule of its own, by name."""
    return sorted({need for needs in rules.values() for need in needs if need not in rules})
