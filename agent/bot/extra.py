"""The extra `ci`: the packages that the bot needs and nothing else does."""

from sandbox.errors import SetupError

HOW_TO_INSTALL = (
    "It comes with greenroom[ci]; in Greenroom's checkout: uv tool install --force '.[ci]' "
    "(or: pipx install --force '.[ci]')."
)


def not_installed(what: str) -> SetupError:
    """The error for a package that is not there; `what` names it, with what it is for."""
    return SetupError(f"{what} is not installed.", HOW_TO_INSTALL)
