"""Where an attempt stands: which commit is worked on, and which one's word is taken."""

from dataclasses import dataclass, replace
from pathlib import Path

from agent.bot.fetch import fetched
from agent.bot.forge import Forge
from agent.bot.trigger import Actor, Trigger
from agent.request import Pin
from sandbox.errors import SetupError


@dataclass(frozen=True)
class Ground:
    """A commit to work on, on its branch. Settings are always those of `settings`, a commit of the
    default branch. Where the head is not `trusted`, somebody without the right to push may have
    written it, and the image is made of the default branch's files, too. `elsewhere` is the address
    of the fork that the head lies in. `private` is whether strangers cannot read the repository.
    """

    commit: str
    branch: str
    settings: str
    trusted: bool = True
    private: bool = True
    url: str = ""
    elsewhere: str = ""

    def pin(self, *, trusted: bool = True) -> Pin:
        """`trusted` is whether the settings are the user's own."""
        image = self.commit if self.trusted else self.settings
        return Pin(self.commit, self.settings, image, trusted)

    def fetch(self, folder: Path, token: str, login: str) -> None:
        """Fetches what is needed into `folder`. Raises SetupError where it cannot be had."""
        fetched(self.url, self.settings, token, folder, login=login)
        if self.commit == self.settings:
            return
        try:
            fetched(self.url, self.commit, token, folder, login=login)
        except SetupError:
            if not self.elsewhere:
                raise
            # Another repository is not shown this one's token.
            fetched(self.elsewhere, self.commit, "", folder)


def find(forge: Forge, trigger: Trigger) -> Ground:
    """The ground of what a trigger asks for. Raises ForgeError."""
    repository = forge.repository()
    commit = forge.base_commit(repository.default_branch)
    own = Ground(
        *(commit, repository.default_branch, commit),
        private=repository.private,
        url=repository.clone_url,
    )
    place, build = trigger.place, trigger.build
    pull = forge.pull(place.number) if place and place.pull else None
    if pull is not None:
        own = replace(
            own,
            commit=pull.commit,
            branch=pull.branch,
            trusted=not pull.fork and forge.may_write(Actor(pull.author, 0)),
            elsewhere=pull.clone_url if pull.fork else "",
        )
    if build is not None:
        trusted = own.trusted and not build.fork
        own = replace(own, commit=build.commit, branch=build.branch, trusted=trusted)
    return own
