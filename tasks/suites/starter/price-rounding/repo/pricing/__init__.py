"""Prices for the shop and for the accounts."""

from pricing.rounding import round_price

__all__ = ["round_price"]
