"""Path patterns such as /users/<int:user_id>/posts/<slug>."""

from webroutes.patterns.pattern import Pattern, PatternError, parse

__all__ = ["Pattern", "PatternError", "parse"]
