"""Quantities with units that can be converted and added."""

from units.convert import UnitError, convert
from units.quantity import Quantity

__all__ = ["Quantity", "UnitError", "convert"]
