"""Dockerfiles of a checkout, built by the real engine on our own image."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from docker.utils.build import PatternMatcher

from sandbox.buildjob import BuildSettings
from sandbox.checkoutbuild import CheckoutBuild, _ignored
from sandbox.engine import Engine
from sandbox.errors import SetupError, UsageError
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.naming import IMAGE_LABEL
from sandbox.patch import EXECUTABLE, FILE, SYMLINK
from sandbox.trees import Base, TreeStore
from tests.sandbox.chains import remove_chain
from tests.sandbox.printed import printed

Build = Callable[..., Awaitable[Image]]
Show = Callable[[Image, str], str]
MARK = "greenroom-test"
PROXY = "http://somebody:hunter2hunter2@127.0.0.1:9/"


def base_of(store: TreeStore, files: dict[str, str | tuple[int, str]]) -> Base:
    found = [(p, *(e if isinstance(e, tuple) else (FILE, e))) for p, e in files.items()]
    return Base(store, store.add_tree((p, mode, text.encode()) for p, mode, text in found))


@pytest.fixture
def store(tmp_path: Path) -> TreeStore:
    return TreeStore.create(tmp_path / "trees.git")


@pytest.fixture
async def build(
    engine: Engine, image: Image, tmp_path: Path, store: TreeStore
) -> AsyncIterator[Build]:
    """Builds a checkout's Dockerfile, in which BASE stands for our own image."""
    made: set[str] = set()

    async def make(
        files: dict[str, Any], settings: BuildSettings | None = None, said: Any = None, **spec: Any
    ) -> Image:
        name = spec.setdefault("dockerfile", "Dockerfile")
        begin = f"FROM {image.name}\nLABEL {MARK}={uuid.uuid4().hex}"
        files = {**files, name: str(files.get(name, "")).replace("BASE", begin)}
        found = await ensure_image(
            ImageSpec(**spec),
            engine=engine,
            settings=settings or BuildSettings(),
            cache=tmp_path / "cache",
            checkout=base_of(store, files),
            progress=said.append if said is not None else lambda _line: None,
            live=said.append if said is not None else None,
        )
        made.add(found.name)
        return found

    yield make
    for name in made:
        remove_chain(engine, name)
    # Stages that are not the last, and steps of a build that failed, have no name.
    for each in engine.api.images(filters={"label": [MARK, f"{IMAGE_LABEL}=1"], "dangling": True}):
        engine.api.remove_image(each["Id"])


@pytest.fixture
def show(engine: Engine) -> Show:
    return partial(printed, engine)


def test_the_context_is_the_checkout_without_what_is_ignored(store: TreeStore) -> None:
    checkout = base_of(
        store,
        {
            "Dockerfile": "FROM x",
            ".dockerignore": "# a comment\n\n*.log\ndata/\n!data/keep.csv\n",
            "a.log": "",
            "deep/b.log": "",
            "data/big.csv": "",
            "data/keep.csv": "",
            "src/main.py": "",
        },
    )
    found = CheckoutBuild(checkout, "Dockerfile").files
    assert set(found) == {
        *("Dockerfile", ".dockerignore", "deep/b.log", "data/keep.csv", "src/main.py")
    }
    assert set(CheckoutBuild(checkout, "Dockerfile", "src").files) == {"main.py"}


@pytest.mark.parametrize(
    ("rules", "path", "ignored"),
    [
        ("*.log", "a.log", True),
        ("*.log", "a/b.log", False),
        ("**/*.log", "a/b/c.log", True),
        ("**.log", "a/b/c.log", True),
        ("**.log", "c.log", True),
        ("a/**", "a/b/c", True),
        ("a", "a/b/c", True),
        ("/a/", "a/b", True),
        ("b", "a/b", False),
        ("./a/../b", "b", True),
        ("../a", "a", True),
        ("*\n!a/b", "a/b/c", False),
        ("!a\na", "a", True),
        ("*\n!*.md\nREADME.md", "README.md", True),
        ("*\n!*.md\nREADME.md", "x.md", False),
        ("a?[b-d]", "axc", True),
        ("a?[b-d]", "a/c", False),
    ],
)
def test_rules_of_a_context_are_read_as_docker_s(rules: str, path: str, ignored: bool) -> None:
    assert _ignored(rules)(path) is ignored
    if rules != "**.log":  # which docker-py reads otherwise than the program
        assert bool(PatternMatcher(rules.splitlines()).matches(path)) is ignored


@pytest.mark.parametrize("rules", ["*a" * 40 + "b", "**/" * 40 + "b", "a*" * 40 + "/b"])
def test_a_hostile_rule_of_a_context_does_not_hold_the_host_up(rules: str) -> None:
    ignored = _ignored(rules)
    assert not any(ignored(path) for path in ("a" * 250, "a/" * 200 + "c"))


def test_the_key_tells_what_decides_on_the_result(store: TreeStore) -> None:
    files = {"Dockerfile": "FROM x", "a": "1", ".dockerignore": "b", "b": "1"}

    def key(changes: dict[str, str], *more: Any) -> str:
        return CheckoutBuild(base_of(store, {**files, **changes}), "Dockerfile", *more).key()

    assert key({}) == key({"b": "2"}) == key({})
    keys = {key({}), key({"a": "2"}), key({"Dockerfile": "FROM y"}), key({}, "", "stage")}
    assert len(keys | {key({}, "", None, ("A=1",))}) == 5


@pytest.mark.parametrize("entry", [None, (SYMLINK, "/etc/passwd")])
def test_a_dockerfile_that_is_none_is_said(store: TreeStore, entry: Any) -> None:
    checkout = base_of(store, {"x": "", **({"Dockerfile": entry} if entry else {})})
    with pytest.raises(UsageError, match="no file Dockerfile"):
        CheckoutBuild(checkout, "Dockerfile").key()


@pytest.mark.docker
async def test_a_dockerfile_is_built_with_the_checkout_s_files(build: Build, show: Show) -> None:
    made = await build(
        {
            "ci/Dockerfile": "BASE\nARG WHO\nCOPY . /app\nRUN /app/run.sh $WHO > /said\n",
            "run.sh": (EXECUTABLE, "#!/bin/sh\necho hello $1\n"),
            "link": (SYMLINK, "run.sh"),
            ".dockerignore": "left-out\n",
            "left-out": "",
            "näme\udcff": "odd",
        },
        dockerfile="ci/Dockerfile",
        build_args=("WHO=world",),
    )
    assert show(made, "cat /said; readlink /app/link").split() == ["hello", "world", "run.sh"]
    listing = show(made, "LC_ALL=C ls -A -b /app").split()
    assert listing == [".dockerignore", "ci", "link", "n\\303\\244me\\377", "run.sh"]
    assert made.origin.startswith("ci/Dockerfile sha256:")


@pytest.mark.docker
async def test_a_change_that_no_step_sees_makes_no_new_image(
    build: Build, engine: Engine, image: Image
) -> None:
    text = f"FROM {image.name}\nLABEL {MARK}={uuid.uuid4().hex}\nCOPY used /used\n"
    first = await build({"Dockerfile": text, "used": "1", "other": "1"})
    again = await build({"Dockerfile": text, "used": "1", "other": "2"})
    other = await build({"Dockerfile": text, "used": "2", "other": "2"})
    assert first.reference == again.reference != other.reference
    parent = engine.api.inspect_image(first.reference)["Parent"]
    assert len(engine.api.inspect_image(parent)["RepoTags"]) == 1


@pytest.mark.docker
async def test_the_failing_step_is_named(build: Build, engine: Engine) -> None:
    said: list[str] = []
    with pytest.raises(SetupError, match="Building Dockerfile failed at `RUN echo one; ") as caught:
        await build({"Dockerfile": "BASE\nRUN echo one; echo two >&2; exit 7\n"}, said=said)
    assert "  two\n" in caught.value.message
    assert "  one" in said or "one" in said


@pytest.mark.docker
async def test_an_image_to_build_on_that_is_not_here_says_what_to_do(build: Build) -> None:
    with pytest.raises(SetupError, match="Building Dockerfile failed at `FROM") as caught:
        await build({"Dockerfile": "FROM localhost:9/nobody/nothing:1\n"})
    assert "docker load -i FILE" in caught.value.hint


@pytest.mark.docker
async def test_buildkit_s_own_words_are_explained(build: Build) -> None:
    with pytest.raises(SetupError) as caught:
        await build({"Dockerfile": "BASE\nRUN --mount=type=cache,target=/x true\n"})
    assert "docker build -t" in caught.value.hint


@pytest.mark.docker
async def test_what_is_lent_reaches_the_steps_and_does_not_stay(
    build: Build, engine: Engine, image: Image, show: Show, tmp_path: Path
) -> None:
    certificates = tmp_path / "ca.pem"
    certificates.write_text("-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n")
    settings = BuildSettings(
        ca_bundle=certificates,
        apt_mirror="https://mirror.example/all",
        environment={
            "https_proxy": PROXY,
            "PIP_INDEX_URL": "https://index.example/simple",
            "PIP_EXTRA_INDEX_URL": "https://bob:pw12pw12@i.example/simple",
        },
    )
    said: list[str] = []
    lines = (
        f"FROM {image.name} AS one",
        f"LABEL {MARK}={uuid.uuid4().hex}",
        "RUN echo 'deb http://archive.example/debian x main' > /etc/apt/sources.list",
        "FROM one",
        'RUN grep -q ours "$SSL_CERT_FILE" && test -n "$https_proxy" && env > /seen',
        "RUN apt-get --version; cat /etc/apt/sources.list >> /seen",
        "FROM one",
        "COPY --from=1 /seen /seen",
        "USER 1000",
        # What was written a moment before a layer counts as written by it.
        "RUN sleep 2; apt-get --version",
    )
    made = await build({"Dockerfile": "\n".join(lines)}, settings, said)
    seen = show(made, "cat /seen")
    assert "PIP_INDEX_URL=https://index.example/simple" in seen
    assert "https://mirror.example/all/debian x main" in seen
    assert "archive.example" not in seen
    told = str(engine.api.inspect_image(made.reference)) + str(engine.api.history(made.reference))
    assert "hunter2" not in told
    assert "pw12pw12" not in told + seen
    assert "history would keep a login: PIP_EXTRA_INDEX_URL" in "\n".join(said)
    assert "greenroom" not in show(made, "ls -A /var/tmp; env")


@pytest.mark.docker
async def test_a_dockerfile_that_would_keep_a_proxy_s_login_is_refused(build: Build) -> None:
    with pytest.raises(UsageError, match="declares ARG https_proxy"):
        await build(
            {"Dockerfile": "BASE\nARG https_proxy\nRUN true\n"},
            BuildSettings(environment={"https_proxy": PROXY}),
        )


@pytest.mark.docker
@pytest.mark.parametrize(
    "lines",
    ["ENV mine=$http_proxy", "LABEL mine=${HTTP_PROXY}", 'ARG "HTTP_PROXY"', "ARG HTTP_${REST}"],
)
async def test_an_image_that_would_show_a_proxy_s_login_is_not_kept(
    build: Build, engine: Engine, lines: str
) -> None:
    mark = f"{MARK}={uuid.uuid4().hex}"
    with pytest.raises(UsageError, match="shows the login of this machine's proxy"):
        await build(
            {"Dockerfile": f"BASE\nLABEL {mark}\nENV REST=PROXY\n{lines}\nRUN true\n"},
            BuildSettings(environment={"http_proxy": PROXY, "HTTP_PROXY": PROXY}),
        )
    left = engine.api.images(filters={"label": mark})
    assert "hunter2" not in str([engine.api.inspect_image(each["Id"]) for each in left])
