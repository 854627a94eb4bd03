"""What tests share: how property tests search; a folder that is served; for those that need Docker
the engine and the image, and that nothing is left behind."""

import asyncio
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from sandbox.engine import Engine, shared_engine
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.leftovers import OWNER_LABEL, this_process
from tests.outside import Names
from tests.private_engine import PrivateEngine, why_not
from tests.sandbox.serving import served

# The same examples each time, so that a run says something of the change that it tests. To look for
# more: HYPOTHESIS_PROFILE=search pytest
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.register_profile("search", max_examples=2_000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background so; programs that tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="also run what is marked nightly")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what takes minutes, unless it is asked for."""
    if config.getoption("--nightly"):
        return
    nightly = [item for item in items if item.get_closest_marker("nightly")]
    if nightly:
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]


@pytest.fixture(scope="session")
def engine() -> Engine:
    return shared_engine()


@pytest.fixture(scope="session")
def image(engine: Engine) -> Image:
    """Greenroom's own image; built on first use, which takes a minute or two."""
    return asyncio.run(ensure_image(ImageSpec(), engine=engine, progress=print))


@pytest.fixture(scope="session")
def _one_private_engine(image: Image, engine: Engine) -> Iterator[PrivateEngine]:
    private = PrivateEngine(Path(tempfile.mkdtemp(prefix="gr-")))
    try:
        private.start()
        private.load(image, engine)
        yield private
    finally:
        private.remove()


@pytest.fixture
def private_engine(request: pytest.FixtureRequest) -> PrivateEngine:
    """An engine that the test may kill, with the sandbox image; it runs."""
    if reason := why_not():
        pytest.skip(reason)
    private: PrivateEngine = request.getfixturevalue("_one_private_engine")
    private.start()
    return private


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """What names below `.test` lead to."""
    found = Names()
    monkeypatch.setattr(socket, "getaddrinfo", found.look_up)
    return found


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder served over HTTP on this machine, and its address."""
    folder = tmp_path / "web"
    folder.mkdir()
    with served(folder) as port:
        yield folder, f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module", autouse=True)
def _no_container_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a module with tests that need Docker, no container of this process may be there."""
    yield
    items = [i for i in request.session.items if i.getparent(pytest.Module) is request.node]
    if not any(item.get_closest_marker("docker") for item in items):
        return
    own = f"{OWNER_LABEL}={this_process().label()}"
    api = shared_engine().api
    deadline = time.monotonic() + 5  # the engine removes what ended by itself a moment later
    while left := api.containers(all=True, filters={"label": own}):
        if time.monotonic() > deadline:
            pytest.fail(f"containers were left: {[(c['Names'], c['Status']) for c in left]}")
        time.sleep(0.1)
