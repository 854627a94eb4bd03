"""A tiny build tool: targets, what they need, and the order to build them in."""

from buildtool.order import CycleError, build_order, waves
from buildtool.rules import RuleError, Rules, parse_rules

__all__ = ["CycleError", "RuleError", "Rules", "build_order", "parse_rules", "waves"]
