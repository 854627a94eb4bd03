from pathlib import Path

import pytest

from reports.reader import read_sales


@pytest.fixture
def march():
    with open(Path(__file__).parent / "data" / "march.csv", newline="") as file:
        return read_sales(file)
