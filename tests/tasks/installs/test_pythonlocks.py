import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.installs.pythonlocks import LOCKS, Lock, Locked, read_lock

SHA = "sha256:" + "0" * 64


def only(lock: Lock, name: str) -> Locked:
    assert lock.problems == []
    [found] = lock.packages[name]
    return found


def test_uv() -> None:
    lock = read_lock(
        "uv.lock",
        f"""
        version = 1
        [[package]]
        name = "Any_IO"
        version = "4.16.0"
        source = {{ registry = "https://index.example/simple" }}
        resolution-markers = ["python_full_version >= '3.10'"]
        dependencies = [
            {{ name = "idna" }},
            {{ name = "httpx", version = "1.0", extra = ["http2"], marker = "os_name == 'nt'" }},
        ]
        sdist = {{ url = "https://index.example/a.tar.gz", hash = "{SHA}", size = 1 }}
        wheels = [{{ url = "https://index.example/a.whl", hash = "md5:0", size = 1 }}]
        [package.optional-dependencies]
        Tri_O = [{{ name = "trio" }}]
        [[package]]
        name = "local"
        source = {{ editable = "packages/local" }}
        [[package]]
        name = "wheels"
        version = "1"
        source = {{ registry = "./wheels" }}
        """,
    )
    found = only(lock, "any-io")
    assert (found.version, found.hashes, found.origin) == ("4.16.0", (SHA,), "")
    assert found.markers == ("python_full_version >= '3.10'",)
    assert list(map(str, found.needs)) == ["idna", 'httpx[http2]==1.0; os_name == "nt"']
    assert list(map(str, found.extras["tri-o"])) == ["trio"]
    assert only(lock, "local").origin == "editable packages/local"
    assert only(lock, "wheels").origin == "registry ./wheels"


def test_poetry() -> None:
    lock = read_lock(
        "poetry.lock",
        f"""
        [[package]]
        name = "httpx"
        version = "0.28.1"
        optional = false
        python-versions = ">=3.8"
        groups = ["main"]
        markers = {{main = "os_name == 'posix'", dev = "os_name == 'nt'"}}
        files = [{{file = "httpx.whl", hash = "{SHA}"}}]
        [package.dependencies]
        anyio = "*"
        h2 = {{version = ">=3,<5", optional = true, markers = "extra == \\"http2\\""}}
        idna = [{{version = "^2.8", markers = "python_version < \\"3\\""}}, {{version = "3.1"}}]
        [package.extras]
        http2 = ["h2 (>=3,<5)"]
        [[package]]
        name = "forked"
        version = "1.0"
        [package.source]
        type = "git"
        url = "https://evil.example/forked.git"
        [[package]]
        name = "mirrored"
        version = "1.0"
        [package.source]
        type = "legacy"
        url = "https://index.example/simple"
        reference = "mirror"
        """,
    )
    found = only(lock, "httpx")
    assert found.markers == ("os_name == 'posix'", "os_name == 'nt'")
    assert (found.python, found.hashes) == (">=3.8", (SHA,))
    assert list(map(str, found.needs)) == [
        "anyio",
        'idna<3,>=2.8; python_version < "3"',
        "idna==3.1",
    ]
    assert list(map(str, found.extras["http2"])) == ["h2<5,>=3"]
    assert "git" in only(lock, "forked").origin
    mirrored = only(lock, "mirrored")
    assert (mirrored.origin, mirrored.index) == ("", "https://index.example/simple")


def test_hashes_where_older_versions_of_poetry_had_them() -> None:
    lock = read_lock(
        "poetry.lock",
        "[[package]]\nname='a'\nversion='1'\n"
        f"[metadata.files]\na=[{{file='a.whl', hash='{SHA}'}}]\n",
    )
    assert only(lock, "a").hashes == (SHA,)


def test_pdm() -> None:
    lock = read_lock(
        "pdm.lock",
        f"""
        [[package]]
        name = "requests"
        version = "2.31.0"
        requires_python = ">=3.7"
        groups = ["default"]
        marker = "os_name == 'posix'"
        dependencies = ["idna<4,>=2.5", "colorama; os_name == \\"nt\\""]
        files = [{{file = "requests.whl", hash = "{SHA}"}}]
        [[package]]
        name = "requests"
        version = "2.31.0"
        extras = ["socks"]
        dependencies = ["PySocks!=1.5.7", "requests==2.31.0"]
        [[package]]
        name = "forked"
        version = "1.0"
        git = "https://evil.example/forked.git"
        """,
    )
    assert lock.problems == []
    plain, with_socks = lock.packages["requests"]
    assert (plain.python, plain.markers, plain.hashes) == (">=3.7", ("os_name == 'posix'",), (SHA,))
    assert list(map(str, plain.needs)) == ["idna<4,>=2.5", 'colorama; os_name == "nt"']
    assert with_socks.needs == ()
    assert list(map(str, with_socks.extras["socks"])) == ["PySocks!=1.5.7", "requests==2.31.0"]
    assert only(lock, "forked").origin == "git https://evil.example/forked.git"


def test_pylock() -> None:
    lock = read_lock(
        "pylock.toml",
        f"""
        lock-version = "1.0"
        [[packages]]
        name = "idna"
        version = "3.20"
        marker = "'test' in dependency_groups"
        requires-python = ">=3.8"
        index = "https://index.example/simple"
        sdist = {{ url = "https://index.example/i.tar.gz", hashes = {{ sha256 = "{"0" * 64}" }} }}
        wheels = [{{ url = "https://index.example/i.whl", hashes = {{ md5 = "0" }} }}]
        [[packages]]
        name = "forked"
        vcs = {{ type = "git", url = "https://evil.example" }}
        """,
    )
    found = only(lock, "idna")
    assert lock.sections
    assert found.markers == ("'test' in dependency_groups",)
    assert (found.python, found.hashes) == (">=3.8", (SHA,))
    assert found.index == "https://index.example/simple"
    assert only(lock, "forked").origin.startswith("vcs ")


def test_pipfile() -> None:
    entry = {"version": "==1.0", "hashes": [SHA, "odd"], "markers": "os_name == 'posix'"}
    lock = read_lock(
        "Pipfile.lock",
        json.dumps(
            {
                "_meta": {"sources": [{"name": "main"}, {"name": "other"}]},
                "default": {"a": {**entry, "index": "main"}, "b": {**entry, "index": "other"}},
                "develop": {"c": {"git": "https://evil.example/c.git", "ref": "0"}},
            }
        ),
    )
    found = only(lock, "a")
    assert lock.sections
    assert (found.version, found.hashes, found.markers) == ("1.0", (SHA,), ("os_name == 'posix'",))
    assert found.origin == ""
    assert only(lock, "b").origin == "index other"
    assert only(lock, "c").origin == "git https://evil.example/c.git"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("uv.lock", "[[package", "cannot be read"),
        ("poetry.lock", "a = " + "[" * 100_000, "cannot be read"),
        ("Pipfile.lock", "[" * 100_000, "cannot be read"),
        ("Pipfile.lock", "[]", "holds no table"),
        ("Pipfile.lock", '{"default": {"a": "==1"}}', "a is no table"),
        ("uv.lock", "[[package]]\nname = 'a -r x'\nversion = '1'\n", "is no name"),
        ("uv.lock", "[[package]]\nname = 'a'\nversion='1 --pre'\nsource={registry='http://x'}\n",
         "a has no version"),
        ("pdm.lock", "[[package]]\nname = 'a'\nversion = '1'\ndependencies = ['-e .']\n",
         "is no requirement"),
        ("pdm.lock", "[[package]]\nname = '\\u001b[31m'\n", "is no name"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_a_problem_and_nothing_more(
    name: str, text: str, problem: str
) -> None:
    lock = read_lock(name, text)
    assert any(problem in found for found in lock.problems)
    assert all(found.isprintable() for found in lock.problems)


plain = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(
    ["1.0", "==1", "a", "name", SHA, "python_version < '3'", "https://x.example", "a[b] ; os_name"]
)  # fmt: skip
KEYS = """
name version source registry dependencies marker markers extra extras files hash hashes wheels sdist
optional-dependencies index sources git python-versions requires-python resolution-markers optional
sha256
"""
keys = st.sampled_from(KEYS.split())
anything = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "package": anything | st.lists(st.dictionaries(keys, anything), max_size=3),
        "packages": anything | st.lists(st.dictionaries(keys, anything), max_size=3),
        "default": anything | st.dictionaries(st.text(max_size=4), anything, max_size=3),
        "develop": anything,
        "metadata": anything,
        "_meta": anything,
    },
)


@given(st.sampled_from(sorted(LOCKS)), documents)
def test_no_document_makes_a_reader_fail(name: str, document: dict[str, object]) -> None:
    lock = Lock()
    LOCKS[name](document, lock)
    for packages in lock.packages.values():
        assert all(found.version or found.origin for found in packages)
        assert all(text.startswith("sha") for found in packages for text in found.hashes)


@given(st.sampled_from(sorted(LOCKS)), st.text(max_size=200))
def test_no_text_makes_a_reader_fail(name: str, text: str) -> None:
    read_lock(name, text)
