"""Read records; the format is described in the README."""

UNESCAPES = {"\\": "\\", "n": "\n"}


class RecordError(ValueError):
    """A line that is not a record."""


def unescape(text):
    """The field behind its written form; RecordError for an unknown escape."""
    if text == "\\0":
        return None
    characters = iter(text)
    field = []
    for character in characters:
        if character == "\\":
            code = next(characters, "")
            if code not in UNESCAPES:
                raise RecordError(f"unknown escape \\{code} in {text!r}")
            character = UNESCAPES[code]
        field.append(character)
    return "".join(field)


def decode(line):
    """The fields of one line."""
    return [unescape(text) for text in line.rstrip("\n").split("|")]


def decode_all(text, fields=None):
    """All records; RecordError when one has another number of fields than asked for."""
    records = []
    for number, line in enumerate(text.splitlines(), start=1):
        record = decode(line)
        if fields is not None and len(record) != fields:
            raise RecordError(f"line {number} has {len(record)} fields, not {fields}")
        records.append(record)
    return records
