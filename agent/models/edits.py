"""An edit of a file, and the `edit_file` call that makes it."""

import json
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Edit:
    """Put `text` in place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str

    def apply(self, source: str) -> str:
        return source[: self.start] + self.text + source[self.end :]


def edit_arguments(path: str, source: str, edit: Edit) -> str:
    """The arguments of an `edit_file` call for `edit`, as JSON text.

    The old text is whole lines, as few as stand once in the file.
    """
    first = source.rfind("\n", 0, edit.start) + 1
    last = _line_end(source, edit.end)
    while source.count(old := source[first:last]) > 1 or not old.strip():
        grown = source.rfind("\n", 0, max(0, first - 1)) + 1 if first else 0
        if (grown, _line_end(source, last + 1)) == (first, last):
            break
        # Towards the end first: what follows a line tells more often which one it is.
        longer = _line_end(source, last + 1)
        first, last = (first, longer) if longer != last else (grown, last)
    new = replace(edit, start=edit.start - first, end=edit.end - first).apply(old)
    return json.dumps({"path": path, "old_text": old, "new_text": new}, ensure_ascii=False)


def _line_end(source: str, position: int) -> int:
    found = source.find("\n", min(position, len(source)))
    return len(source) if found < 0 else found
