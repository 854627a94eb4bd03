"""Read single values; every problem is a SettingsError that names the variable."""

from collections.abc import Mapping

from settings.errors import SettingsError

TRUE = ("1", "true", "yes", "on")
FALSE = ("0", "false", "no", "off")


def text(source: Mapping[str, str], name: str, default: str | None = None) -> str:
    try:
        return source[name].strip()
    except KeyError:
        if default is None:
            raise SettingsError(name, "must be set") from None
        return default


def whole_number(source: Mapping[str, str], name: str, default: int, least: int = 0) -> int:
    raw = text(source, name, str(default))
    try:
        number = int(raw)
    except TypeError:
        raise SettingsError(name, f"{raw!r} is not a whole number") from None
    if number < least:
        raise SettingsError(name, f"must be at least {least}, not {number}")
    return number


def switch(source: Mapping[str, str], name: str, default: bool) -> bool:
    raw = text(source, name, "on" if default else "off").lower()
    if raw in TRUE:
        return True
    if raw in FALSE:
        return False
    raise SettingsError(name, f"{raw!r} is neither on nor off")


def names(source: Mapping[str, str], name: str) -> tuple[str, ...]:
    """A list separated by commas; empty entries are dropped."""
    entries = text(source, name, "").split(",")
    return tuple(entry.strip() for entry in entries if entry.strip())
