"""Convert plain numbers from one unit to another."""

from units.tables import DIMENSIONS


class UnitError(ValueError):
    """An unknown unit, or two units that measure different things."""


def dimension(unit: str) -> str:
    for name, table in DIMENSIONS.items():
        if unit in table:
            return name
    raise UnitError(f"unknown unit {unit!r}")


def convert(amount: float, source: str, target: str) -> float:
    """`amount`, given in `source` units, in `target` units."""
    measured = dimension(source)
    if dimension(target) != measured:
        raise UnitError(f"cannot convert {source} to {target}")
    table = DIMENSIONS[measured]
    return amount * table[source] / table[target]
