"""The extras: `local` and `vllm`, the heavy packages that a model in this process needs."""

import importlib.util
from collections.abc import Sequence

from sandbox.errors import SetupError

PACKAGES = ("torch", "transformers", "accelerate", "gguf", "llguidance")
HOW_TO_INSTALL = (
    "They come with the extra `local`; in Greenroom's checkout: uv tool install --force '.[local]' "
    "(or: pipx install --force '.[local]')."
)
VLLM = ("vllm", "transformers")
HOW_TO_INSTALL_VLLM = (
    "vLLM pins its own torch and transformers, so give Greenroom an environment with nothing else; "
    "in its checkout: uv tool install --force '.[vllm]' (or: pipx install --force '.[vllm]')."
)


def missing_packages(packages: Sequence[str] = ()) -> list[str]:
    """Those of `packages`, or of the extra `local`, that are not installed; nothing is imported."""
    wanted = packages or PACKAGES
    return [name for name in wanted if importlib.util.find_spec(name) is None]


def check_packages(what: str) -> None:
    """Raises SetupError, shown to the user, that says what `what` lacks and how to get it."""
    missing = missing_packages()
    if missing:
        raise SetupError(
            f"{what} needs packages that are not installed: {', '.join(missing)}", HOW_TO_INSTALL
        )


def check_vllm() -> None:
    """Raises SetupError, shown to the user, unless vLLM and what goes with it are installed."""
    if missing := missing_packages(VLLM):
        raise SetupError(
            f"vLLM in this process needs packages that are not installed: {', '.join(missing)}",
            HOW_TO_INSTALL_VLLM,
        )
