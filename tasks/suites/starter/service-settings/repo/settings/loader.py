"""All settings of the service in one place."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from settings import fields
from settings.errors import SettingsError


@dataclass(frozen=True)
class Settings:
    database: str
    port: int
    workers: int
    debug: bool
    allowed_hosts: tuple[str, ...]


def load(source: Mapping[str, str] = os.environ) -> Settings:
    return Settings(
        database=fields.text(source, "DATABASE"),
        port=fields.whole_number(source, "PORT", default=8080, least=1),
        workers=fields.whole_number(source, "WORKERS", default=4, least=1),
        debug=fields.switch(source, "DEBUG", default=False),
        allowed_hosts=fields.names(source, "ALLOWED_HOSTS"),
    )


def start_message(source: Mapping[str, str] = os.environ) -> str:
    """What the service prints when it starts; a bad setting is part of the message."""
    try:
        settings = load(source)
    except SettingsError as error:
        return f"cannot start: {error}"
    return f"listening on port {settings.port} with {settings.workers} workers"
