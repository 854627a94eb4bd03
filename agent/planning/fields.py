"""Reads the fields of a config.json, and says which one is missing or makes no sense."""

from collections.abc import Mapping
from typing import Any

from sandbox.errors import UsageError

#: Beyond this no field of a model's shape is in earnest, and sums would fill the screen.
_MOST = 1 << 32


class Fields:
    """The fields of one configuration. `where` names it in errors, which are UsageErrors."""

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self.data = data
        self.where = where

    def whole(self, *names: str, default: int | None = None, least: int = 1) -> int:
        """The whole number in the first field of `names` that is there and not null."""
        value = self.get(*names)
        if value is None:
            if default is None:
                raise self.wrong(f"the field {' or '.join(names)} is missing")
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
            raise self.wrong(f"{names[0]} is {_short(value)}, expected a whole number from {least}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(f"{name} is {_short(value)}, expected true or false")
        return value

    def entries(self, name: str, kind: type) -> list[Any]:
        """The list in `name`, empty where there is none; each entry is a `kind`."""
        value = self.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, kind) for entry in value):
            raise self.wrong(f"{name} is {_short(value)}, expected a list")
        return value

    def table(self, name: str) -> "Fields | None":
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(f"{name} is {_short(value)}, expected a table")
        return Fields(value, f"{self.where}, {name}")

    def text(self, name: str, default: str = "") -> str:
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.wrong(f"{name} is {_short(value)}, expected a text")
        return value

    def get(self, *names: str) -> Any:
        return next((self.data[name] for name in names if self.data.get(name) is not None), None)

    def wrong(self, what: str) -> UsageError:
        return UsageError(
            f"{self.where}: {what}",
            "Give the config.json that came with the model, unchanged.",
        )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
