from pathlib import Path

import pytest

from sandbox.image import Image
from tests.tasks.judging import Judge, judging


@pytest.fixture
def judge(image: Image, tmp_path: Path) -> Judge:
    return judging(image, tmp_path)
