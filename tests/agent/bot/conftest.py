from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.bot import githubs, gitlabs


@pytest.fixture(params=["github", "gitlab"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A repository at each of the fake forges, where `dev` may push and `reporter` may not."""
    module: Any = {"github": githubs, "gitlab": gitlabs}[request.param]
    with module.desk(tmp_path) as desk:
        desk.project.roles |= {"dev": "write", "reporter": "triage"}
        yield desk
