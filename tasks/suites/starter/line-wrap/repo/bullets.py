"""Lists with a hanging indent."""

from wrap import wrap


def bullet(text, width=72, marker="- "):
    """One list entry; lines after the first are indented under its text."""
    first, *rest = wrap(text, width - len(marker)) or [""]
    indent = " " * len(marker)
    return [marker + first, *(indent + line for line in rest)]


def bullet_list(entries, width=72, marker="- "):
    return [line for entry in entries for line in bullet(entry, width, marker)]


def numbered_list(entries, width=72):
    """Entries numbered from 1; all numbers are as wide as the last."""
    digits = len(str(len(entries)))
    lines = []
    for number, entry in enumerate(entries, start=1):
        lines.extend(bullet(entry, width, f"{number:>{digits}}. "))
    return lines
