import asyncio
import hashlib
import json
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.archives import END_OF_ARCHIVE, member
from sandbox.buildjob import BuildSettings
from sandbox.engine import Engine
from sandbox.errors import UsageError
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.imagestore import Removal, StoredImage
from sandbox.naming import KEY_LABEL

OLD = StoredImage("x", (), "", datetime.now(UTC), datetime.now(UTC), 1 << 30, 1 << 30)


@pytest.mark.parametrize(
    "spec",
    [
        ImageSpec(apt=("-o=Dir::Etc=/x",)),
        ImageSpec(apt=("gcc; reboot",)),
        ImageSpec(apt=("Gcc",)),
        ImageSpec(pip=("--index-url=http://x.example",)),
        ImageSpec(pip=(" -r/etc/passwd",)),
        ImageSpec(pip=("six\n--pre",)),
        ImageSpec(pip=("",)),
        ImageSpec(base=""),
        ImageSpec(base="--privileged"),
        *(
            ImageSpec(base=name)
            for name in ("../x", "bad image!", "UPPER/case/x", "a@b@c", "x:y:z")
        ),
        ImageSpec(base="http://x/y"),
    ],
)
async def test_a_name_that_would_be_read_as_an_option_is_refused(spec: ImageSpec) -> None:
    with pytest.raises(UsageError):
        await ensure_image(spec)


@pytest.mark.parametrize(
    "name",
    [
        *("python:3.13-slim", "debian", "ab12cd34ef56", "sha256:" + "a" * 64, "localhost:5000/a/b"),
        *("registry.example/team/image@sha256:" + "0" * 64, "greenroom/pip:8c0368c0843fc7fb"),
        "Registry.example:443/a__b/c-d:V1.2_x",
    ],
)
def test_names_of_images_are_taken(name: str) -> None:
    ImageSpec(base=name).check()


@given(st.text(min_size=1))
@example("\r0")
@example("\n-r/etc/passwd")
def test_no_requirement_passes_that_pip_reads_as_an_option_or_two_lines(text: str) -> None:
    try:
        ImageSpec(pip=(text,)).check()
    except UsageError:
        return
    assert not text.strip().startswith("-")
    assert len(text.splitlines()) == 1


def test_ordinary_names_are_accepted() -> None:
    ImageSpec(
        base="registry.example:5000/team/image:tag@sha256:" + "0" * 64,
        apt=("g++", "libxml2-dev", "openjdk-17-jdk-headless", "libc6:arm64", "git=1:2.39.5-0"),
        pip=("requests>=2.31,<3", "uvicorn[standard]", 'tomli; python_version < "3.11"'),
    ).check()


@pytest.mark.docker
async def test_the_image_holds_what_rooms_need(engine: Engine, image: Image) -> None:
    container = engine.api.create_container(
        image.reference,
        ["bash", "-lc", "set -e; for p in python3 python pip pytest git rg make patch ps; do "
         "command -v $p; done; python3 -c 'import zoneinfo; zoneinfo.ZoneInfo(\"Asia/Tokyo\")'; "
         "echo $LANG"],
    )["Id"]  # fmt: skip
    try:
        engine.api.start(container)
        assert engine.api.wait(container)["StatusCode"] == 0
        assert engine.api.logs(container).decode().splitlines()[-1] == "C.UTF-8"
    finally:
        engine.api.remove_container(container)


@pytest.mark.docker
async def test_an_image_that_is_here_takes_milliseconds(engine: Engine, image: Image) -> None:
    best = 1.0
    for _ in range(5):
        started = time.monotonic()
        again = await ensure_image(ImageSpec(), engine=engine, settings=BuildSettings())
        best = min(best, time.monotonic() - started)
        assert again == image
    assert best < 0.1


@pytest.mark.docker
async def test_an_image_for_another_machine_is_refused_by_name_before_it_runs(
    engine: Engine,
) -> None:
    other = "arm64" if engine.abilities.machine == "x86_64" else "amd64"
    layer = b"".join([member("greeting", 0o644, b"hello"), END_OF_ARCHIVE])
    config = {
        "architecture": other,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    name = f"greenroom-test/other:{uuid.uuid4().hex[:12]}"
    listed = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "layer.tar": layer}
    files["manifest.json"] = json.dumps(listed).encode()
    members = [member(path, 0o644, data) for path, data in files.items()]
    list(engine.api.load_image(b"".join([*members, END_OF_ARCHIVE])))
    try:
        with pytest.raises(UsageError, match=f"{name} is made for linux/{other}"):
            await ensure_image(ImageSpec(base=name), engine=engine)
    finally:
        engine.api.remove_image(name)


@pytest.mark.docker
def test_an_image_says_what_it_is(image: Image) -> None:
    told = image.as_dict()
    assert str(told["id"]).startswith("sha256:")
    assert told["origin"]


@pytest.mark.docker
async def test_each_layer_is_kept_by_itself(engine: Engine, image: Image, tmp_path: Path) -> None:
    mark = uuid.uuid4()
    lines: list[str] = []
    made = []
    try:
        for command in ("true", "true", "echo other"):
            spec = ImageSpec(setup=(f"{command} # {mark}",))
            made.append(
                await ensure_image(
                    spec, engine=engine, settings=BuildSettings(), cache=tmp_path,
                    progress=lines.append,
                )
            )  # fmt: skip
        assert made[0] == made[1]
        assert made[0].reference != made[2].reference
        assert made[0].origin == image.origin
        assert sum("saving the setup layer" in line for line in lines) == 2
    finally:
        for name in {each.name for each in made}:
            engine.api.remove_image(name)


@pytest.mark.docker
@pytest.mark.parametrize(
    ("done", "said"),
    [
        (Removal(removed=[], left_bytes=5 << 30), []),
        (Removal(removed=[], left_bytes=30 << 30),
         ["images take 30.0 GiB, more than image_budget; all in use"]),
        (Removal(removed=[OLD, OLD], left_bytes=19 << 30),
         ["image_budget: removed 2 images unused for longest, 2.0 GiB"]),
    ],
)  # fmt: skip
async def test_a_build_keeps_images_within_their_budget_and_says_so(
    engine: Engine, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    done: Removal, said: list[str],
) -> None:  # fmt: skip
    asked: list[int] = []

    def keep(budget: int, **_more: object) -> Removal:
        asked.append(budget)
        return done

    monkeypatch.setattr("sandbox.image.keep_within", keep)
    spec = ImageSpec(setup=(f"true # {uuid.uuid4()}",))
    settings = BuildSettings(image_budget=20 << 30)
    lines: list[str] = []
    for _ in range(2):
        made = await ensure_image(
            spec, engine=engine, settings=settings, cache=tmp_path, progress=lines.append
        )
    engine.api.remove_image(made.name)
    assert asked == [20 << 30], "only a build can go over it"
    assert [line for line in lines if "image_budget" in line] == said


_BUILD = """
import asyncio, sys
from pathlib import Path
from sandbox.buildjob import BuildSettings
from sandbox.image import ImageSpec, ensure_image
asyncio.run(ensure_image(
    ImageSpec(setup=(sys.argv[1],)),
    settings=BuildSettings(), cache=Path(sys.argv[2]), progress=print,
))
"""


@pytest.mark.docker
def test_two_processes_build_an_image_once(engine: Engine, image: Image, tmp_path: Path) -> None:
    command = f"sleep 1 # {uuid.uuid4()}"
    arguments = [sys.executable, "-c", _BUILD, command, str(tmp_path)]
    both = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(process.communicate(timeout=60)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    made = asyncio.run(
        ensure_image(ImageSpec(setup=(command,)), engine=engine, settings=BuildSettings())
    )
    engine.api.remove_image(made.name)
    assert said.count("saving the setup layer") == 1
    assert "waiting for another process" in said


@pytest.mark.docker
def test_two_users_who_build_an_image_at_once_leave_one(
    engine: Engine, image: Image, tmp_path: Path
) -> None:
    # Each has a cache folder of their own, so neither sees the other's lock.
    command = f"sleep 1 # {uuid.uuid4()}"
    both = [
        subprocess.Popen([sys.executable, "-c", _BUILD, command, str(tmp_path / name)])
        for name in ("one", "two")
    ]
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    made = asyncio.run(
        ensure_image(ImageSpec(setup=(command,)), engine=engine, settings=BuildSettings())
    )
    key = engine.api.inspect_image(made.reference)["Config"]["Labels"][KEY_LABEL]
    same = engine.api.images(all=True, filters={"label": f"{KEY_LABEL}={key}"})
    engine.api.remove_image(made.name)
    assert [found["Id"] for found in same] == [made.reference]
