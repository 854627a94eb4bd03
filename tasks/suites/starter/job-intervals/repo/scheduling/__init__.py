"""Run jobs again and again, at intervals written like '90s', '2h' or '1d12h'."""

from scheduling.interval import IntervalError, parse_interval, show_interval
from scheduling.planner import Job, Planner

__all__ = ["IntervalError", "Job", "Planner", "parse_interval", "show_interval"]
