"""Settings of a service, read from environment variables."""

from settings.errors import SettingsError
from settings.loader import Settings, load

__all__ = ["Settings", "SettingsError", "load"]
