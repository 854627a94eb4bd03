"""What a patch of the bot may not do, however well it is proved; judged where nothing else runs."""

from agent.bot.config import Config
from agent.settingsfile import Reader
from sandbox.patch import Patch


def violations(patch: Patch, base: Reader, config: Config) -> tuple[str, ...]:
    """Why the patch may not be published, a sentence each; none for one that may."""
    raise NotImplementedError
