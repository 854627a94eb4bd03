from pathlib import Path

import pytest

from sandbox.image import Image
from tests.agent.bench import Bench


@pytest.fixture
def bench(tmp_path: Path, image: Image) -> Bench:
    return Bench(tmp_path, image)
