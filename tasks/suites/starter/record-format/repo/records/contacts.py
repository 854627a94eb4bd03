"""Contacts as records of three fields."""

from dataclasses import dataclass

from records.decode import decode_all
from records.encode import encode_all


@dataclass(frozen=True)
class Contact:
    name: str
    address: str
    note: str | None = None


def dump(contacts):
    return encode_all([each.name, each.address, each.note] for each in contacts)


def load(text):
    return [Contact(*record) for record in decode_all(text, fields=3)]
