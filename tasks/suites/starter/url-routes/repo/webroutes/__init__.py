"""A routing table: which handler serves which path."""

from webroutes.table import Match, NotFound, RouteTable

__all__ = ["Match", "NotFound", "RouteTable"]
