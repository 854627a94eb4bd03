from pathlib import Path

import pytest

from sandbox.image import Image
from tasks import evidence
from tests.agent.bench import Bench


@pytest.fixture
def bench(tmp_path: Path, image: Image, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """These tests are of the loop: its clean rooms look once at what those of `tests/tasks` look at
    three times."""
    monkeypatch.setattr(evidence, "REPEATS", 1)
    return Bench(tmp_path, image)
