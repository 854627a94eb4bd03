"""Who may set the bot off: asked of the forge's permissions, each time, by each job."""

from agent.bot.config import Config
from agent.bot.forge import Forge
from agent.bot.trigger import Trigger


def refusal(forge: Forge, trigger: Trigger, config: Config) -> str:
    """Why the trigger's actor may not ask for this, empty where they may. Raises ForgeError.

    What an event says of an author's association is not asked: private members of an organisation
    show as mere contributors, and contributors may not push.
    """
    actor = trigger.actor
    if actor.bot and actor.login not in config.bots:
        return f"{actor.login} is a bot that the configuration does not name"
    if trigger.source == "build":
        if trigger.build is None or trigger.build.fork:
            return "the build is of another repository's code; ask with a comment"
        if config.red_builds == "none":
            return "the configuration leaves failed builds alone (red_builds)"
    if not actor.bot and actor.login.lower() in map(str.lower, config.allowed):
        return ""
    if not forge.may_write(actor):
        return f"{actor.login} may not push to this repository, and is not on its list"
    return ""
