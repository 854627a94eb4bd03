"""The extra `local`: the heavy packages that a model in this process needs."""

import importlib.util

from sandbox.errors import SetupError

PACKAGES = ("torch", "transformers", "accelerate", "gguf", "openai_harmony", "llguidance")
HOW_TO_INSTALL = (
    "They come with the extra `local`; in Greenroom's checkout: uv tool install --force '.[local]' "
    "(or: pipx install --force '.[local]')."
)


def missing_packages() -> list[str]:
    """Those that are not installed; nothing is imported."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def check_packages(what: str) -> None:
    """Raises SetupError, shown to the user, that says what `what` lacks and how to get it."""
    missing = missing_packages()
    if missing:
        raise SetupError(
            f"{what} needs packages that are not installed: {', '.join(missing)}", HOW_TO_INSTALL
        )
