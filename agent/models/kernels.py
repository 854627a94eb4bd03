"""The code that MXFP4 is computed with on a GPU: a package, and a repository of the hub."""

import os
from pathlib import Path

from sandbox.errors import SetupError

_REPOSITORY = "kernels-community/gpt-oss-triton-kernels"
_VERSION = "v1"


def how_to_install(span: str) -> str:
    """The command that puts the package, in the versions of `span`, beside Greenroom."""
    return f"In Greenroom's checkout: uv tool install --force '.[local]' --with 'kernels{span}'"


def check_repository(name: str) -> None:
    """Raises SetupError where the repository was not downloaded, since nothing is downloaded while
    the model `name` is loaded."""
    from huggingface_hub import constants  # noqa: PLC0415

    if os.environ.get("LOCAL_KERNELS"):  # kernels' own way to name a folder
        return
    cache = Path(os.environ.get("KERNELS_CACHE") or constants.HF_HUB_CACHE)
    folder = _REPOSITORY.replace("/", "--")
    # The hub's library has called it a model, too.
    if any((cache / f"{kind}--{folder}" / "refs").is_dir() for kind in ("kernels", "models")):
        return
    raise SetupError(
        f"the model {name} is quantised to MXFP4, and the code that computes with that,"
        f" {_REPOSITORY}, is not on this machine",
        f"Get it with: uvx --from huggingface_hub hf download {_REPOSITORY} --repo-type kernel"
        f" --revision {_VERSION}",
    )
