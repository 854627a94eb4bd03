"""Dependencies are installed for real and used in a sandbox without a network: small packages of
the public Python and npm indexes; crates and Go modules that the test itself serves."""

import hashlib
import io
import json
import tarfile
import zipfile
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.buildjob import BuildSettings
from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.image import Image, ensure_image
from sandbox.patch import FILE
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks.repository import detect
from tests.outside import LOOPBACK, Names

pytestmark = pytest.mark.docker

# One image for both compilers, made once on a machine; with nothing else to do it takes a minute.
COMPILERS = ("cargo-web", "golang-go")

Run = Callable[..., Awaitable[str]]


@pytest.fixture
async def run(engine: Engine, tmp_path: Path) -> AsyncIterator[Run]:
    """Runs the detected tests of a repository in a sandbox of its image; returns their output."""
    made: list[str] = []

    async def tested(
        files: Mapping[str, str],
        settings: BuildSettings | None = None,
        lent: Mapping[str, str] = {},
    ) -> str:
        store = TreeStore.create(tmp_path / "store")
        base = Base(store, store.add_tree((p, FILE, text.encode()) for p, text in files.items()))
        spec = detect(base).image
        [install] = spec.installs
        more = tuple((path, text.encode()) for path, text in lent.items())
        spec = replace(
            spec,
            apt=COMPILERS if spec.apt and spec.apt[0] in COMPILERS else spec.apt,
            installs=(replace(install, files=(*install.files, *more)),),
        )
        image: Image = await ensure_image(
            spec,
            engine=engine,
            settings=settings or BuildSettings.from_environment(),
            cache=tmp_path / "cache",
            progress=print,
        )
        made.append(image.name)
        async with Sandbox.open(image, base, Policy()) as box:
            result = await box.run(detect(base).tests.command, timeout=120)
            output = (result.output.head + result.output.tail).decode()
            assert result.exit_code == 0, output
            assert [change.path for change in await box.delta()] == []
        return output

    yield tested
    for name in made:
        engine.api.remove_image(name)


def write(place: Path, content: bytes | str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode() if isinstance(content, str) else content)


def packed(files: Mapping[str, str]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for path, text in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return archive.getvalue()


UV_LOCK = """
version = 1
[[package]]
name = "me"
source = { virtual = "." }
[[package]]
name = "colorama"
version = "0.4.5"
source = { registry = "https://index.example/simple" }
wheels = [{ hash = "sha256:854bf444933e37f5824ae7bfc1e98d5bce2ebe4160d46b5edf346a89358e99da" }]
[[package]]
name = "iniconfig"
version = "1.1.1"
source = { registry = "https://index.example/simple" }
dependencies = [{ name = "colorama" }, { name = "pywin32", marker = "sys_platform == 'win32'" }]
wheels = [{ hash = "sha256:011e24c64b7f47f6ebd835bb12a743f2fbe9a26d4cecaa7f53bc4f35ee9da8b3" }]
"""


async def test_a_python_lock_decides_on_the_versions(run: Run) -> None:
    output = await run(
        {
            "pyproject.toml": "[project]\nname = 'me'\ndependencies = ['iniconfig>=1']\n",
            "uv.lock": UV_LOCK,
            "test_it.py": "import colorama, iniconfig\nfrom importlib.metadata import version\n"
            "def test_versions():\n    assert version('colorama') == '0.4.5'\n"
            "    assert version('iniconfig') == '1.1.1'\n",
        }
    )
    assert "1 passed" in output


MRI_SHA512 = (
    "oi1b3MfbyGa7FJMP9GmLTttni5JoICpYBRlq+x5V16fZbLsnL9N3wFqqIm/nIG43FjUFkFh9Epzp/kzUGUnJxQ=="
)
NPM_LOCK = {
    "name": "root",
    "lockfileVersion": 3,
    "requires": True,
    "packages": {
        "": {"name": "root", "workspaces": ["packages/*"], "devDependencies": {"mri": "^1.1.0"}},
        "node_modules/@me/a": {"resolved": "packages/a", "link": True},
        "node_modules/mri": {
            "version": "1.1.6",
            "resolved": "https://index.example/mri/-/mri-1.1.6.tgz",
            "integrity": f"sha512-{MRI_SHA512}",
            "dev": True,
        },
        "packages/a": {"name": "@me/a", "version": "1.0.0"},
    },
}


async def test_node_finds_packages_from_every_folder(run: Run) -> None:
    top = {"name": "root", "workspaces": ["packages/*"], "devDependencies": {"mri": "^1.1.0"}}
    output = await run(
        {
            "package.json": json.dumps({**top, "scripts": {"test": "node --test packages"}}),
            "package-lock.json": json.dumps(NPM_LOCK),
            "packages/a/package.json": json.dumps({"name": "@me/a", "version": "1.0.0"}),
            "packages/a/index.js": "module.exports = require('mri')(['--x=1']).x;",
            "packages/a/a.test.mjs": "import test from 'node:test'; import x from '@me/a';\n"
            "import assert from 'node:assert'; import version from 'mri/package.json' assert "
            "{type: 'json'};\n"
            "test('it', () => { assert.equal(x, 1); assert.equal(version.version, '1.1.6'); });",
        }
    )
    assert "# pass 1" in output


@pytest.mark.compilers
async def test_cargo_tests_with_crates_of_the_image(run: Run, web: tuple[Path, str]) -> None:
    folder, address = web
    manifest = "[package]\nname = 'tiny-crate'\nversion = '1.2.3'\nedition = '2021'\n"
    crate = packed(
        {
            "tiny-crate-1.2.3/Cargo.toml": manifest,
            "tiny-crate-1.2.3/src/lib.rs": "pub fn answer() -> u32 { 42 }\n",
        }
    )
    checksum = hashlib.sha256(crate).hexdigest()
    write(folder / "config.json", json.dumps({"dl": f"{address}/dl/{{crate}}-{{version}}"}))
    write(folder / "dl/tiny-crate-1.2.3", crate)
    entry = {"name": "tiny-crate", "vers": "1.2.3", "deps": [], "features": {}, "yanked": False}
    write(folder / "ti/ny/tiny-crate", json.dumps({**entry, "cksum": checksum}) + "\n")
    lock = f"""\
# This file is automatically @generated by Cargo.
# It is not intended for manual editing.
version = 4

[[package]]
name = "me"
version = "0.1.0"
dependencies = [
 "tiny-crate",
]

[[package]]
name = "tiny-crate"
version = "1.2.3"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "{checksum}"
"""
    served = f"[source.crates-io]\nreplace-with = 'x'\n[source.x]\nregistry = 'sparse+{address}/'\n"
    output = await run(
        {
            "Cargo.toml": "[package]\nname = 'me'\nversion = '0.1.0'\nedition = '2021'\n"
            "build = 'build.rs'\n[[bin]]\nname = 'me'\n[dependencies]\ntiny-crate = '1'\n",
            "Cargo.lock": lock,
            ".gitignore": "target/\n",
            "build.rs": "fn main() {}\n",
            "src/bin/me.rs": "fn main() {}\n\n"
            "#[test]\nfn it() { assert_eq!(tiny_crate::answer(), 42); }\n",
        },
        BuildSettings(places=(address.removeprefix("http://"),)),
        {".cargo/config.toml": served},
    )
    assert "1 passed" in output


@pytest.mark.compilers
async def test_go_tests_with_modules_of_the_image(
    run: Run, web: tuple[Path, str], names: Names
) -> None:
    folder, address = web
    # Go asks no proxy for an address of the loopback.
    served = f"modules.test:{address.rpartition(':')[2]}"
    names.known["modules.test"] = ["127.0.0.1"]
    module, version = "tiny.example/mod", "v1.2.3"
    gomod = f"module {module}\n\ngo 1.18\n"
    archive = io.BytesIO()
    files = {"go.mod": gomod, "mod.go": "package mod\n\nfunc Answer() int { return 42 }\n"}
    with zipfile.ZipFile(archive, "w") as zipped:
        for path, text in files.items():
            zipped.writestr(f"{module}@{version}/{path}", text)
    place = folder / module / "@v"
    write(place / "list", f"{version}\n")
    write(
        place / f"{version}.info", json.dumps({"Version": version, "Time": "2020-01-01T00:00:00Z"})
    )
    write(place / f"{version}.mod", gomod)
    write(place / f"{version}.zip", archive.getvalue())
    sums = go_sum({f"{module}@{version}/{path}": text for path, text in files.items()})
    output = await run(
        {
            "go.mod": f"module me\n\ngo 1.18\n\nrequire {module} {version}\n",
            "go.sum": f"{module} {version} {sums}\n"
            f"{module} {version}/go.mod {go_sum({'go.mod': gomod})}\n",
            "me_test.go": f'package me\n\nimport (\n\t"testing"\n\n\t"{module}"\n)\n\n'
            "func TestIt(t *testing.T) {\n\tif mod.Answer() != 42 {\n\t\tt.Fatal()\n\t}\n}\n",
        },
        BuildSettings(
            environment={"GOPROXY": f"http://{served},direct"}, places=(f"{served}@{LOOPBACK}",)
        ),
    )
    assert "ok" in output


def go_sum(files: Mapping[str, str]) -> str:
    """The hash that go.sum has of a module's files."""
    lines = [
        f"{hashlib.sha256(text.encode()).hexdigest()}  {path}\n"
        for path, text in sorted(files.items())
    ]
    return "h1:" + b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()
