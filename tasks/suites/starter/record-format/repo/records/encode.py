"""Write records; the format is described in the README."""

ESCAPES = {"\\": "\\\\", "\n": "\\n"}


def escape(field):
    """A field as it is written in a line."""
    if field is None:
        return "\\0"
    return "".join(ESCAPES.get(character, character) for character in field)


def encode(record):
    """One line, without its end."""
    return "|".join(escape(field) for field in record)


def encode_all(records):
    return "".join(encode(record) + "\n" for record in records)
