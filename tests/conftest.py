"""What tests that need Docker share: the engine, the image, and that nothing is left behind."""

import asyncio

import pytest

from sandbox.image import Image, ImageSpec, ensure_image


@pytest.fixture(scope="session")
def image() -> Image:
    """Greenroom's own image; built on first use, which takes a minute or two."""
    return asyncio.run(ensure_image(ImageSpec(), progress=lambda line: print(line, flush=True)))
