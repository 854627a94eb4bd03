"""The event of a job of GitLab CI, as it says and as GitLab bears it out."""

from collections.abc import Callable, Mapping

from agent.bot import events_gitlab
from agent.bot.config import Config
from agent.bot.gitlab import GitLab
from agent.bot.trigger import NotForUs, Trigger


def reader(
    forge: GitLab, event: object | None, variables: Mapping[str, str], still: bool
) -> Callable[[Config], Trigger | NotForUs]:
    """How the steps read the event: as it says, where GitLab bears it out. With `still` that has
    to be so now; it is asked once."""
    known: list[Trigger | NotForUs] = []

    def read(config: Config) -> Trigger | NotForUs:
        forge.use_fork(config.fork)
        if not known:
            found = events_gitlab.read(event, variables, config)
            if isinstance(found, Trigger) and (doubt := forge.doubt(found, config.label, still)):
                found = NotForUs(doubt)
            known.append(found)
        return known[0]

    return read
