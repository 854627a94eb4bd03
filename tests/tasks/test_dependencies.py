from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from sandbox.patch import FILE
from sandbox.trees import Base, TreeStore
from tasks.dependencies import Dependencies, find_dependencies
from tasks.detect import TestSetup
from tasks.reading import RepositoryFiles
from tasks.requirements import Requirements, agreeing, requirement_lines

Find = Callable[..., Dependencies]
PYTEST = TestSetup("python", "pytest", "python3 -m pytest", ())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TreeStore:
    return TreeStore.create(tmp_path_factory.mktemp("store") / "trees")


@pytest.fixture
def find(store: TreeStore) -> Find:
    def found(contents: dict[str, str], setup: TestSetup = PYTEST) -> Dependencies:
        tree = store.add_tree((p, FILE, text.encode()) for p, text in contents.items())
        return find_dependencies(RepositoryFiles(Base(store, tree)), setup)

    return found


@pytest.mark.parametrize(
    ("files", "pip"),
    [
        pytest.param(
            {
                "pyproject.toml": "[project]\nname='me'\n"
                "dependencies=['a>=1', 'b; python_version>\"3\"']\n"
                "[project.optional-dependencies]\ntest=['c']\ndev=['ruff', 'd']\ndocs=['sphinx']\n"
            },
            ("a>=1", 'b; python_version > "3"', "c"),
            id="project and its test extra",
        ),
        pytest.param(
            {"pyproject.toml": "[project.optional-dependencies]\ndev=['ruff', 'mypy', 'd']\n"},
            ("d",),
            id="development extra without tools",
        ),
        pytest.param(
            {
                "pyproject.toml": "[project]\nname='Me_Self'\n[project.optional-dependencies]\n"
                "test=['me-self[extra,more]', 'a']\nextra=['b']\nmore=['me.self[extra]', 'c']\n"
            },
            ("a", "b", "c"),
            id="extras that ask for each other",
        ),
        pytest.param(
            {
                "pyproject.toml": "[dependency-groups]\ntests=['a', {include-group='Cover_age'}]\n"
                "cover-age=['b', {include-group='tests'}]\n"
            },
            ("a", "b"),
            id="groups that include each other",
        ),
        pytest.param(
            {
                "pyproject.toml": "[project]\ndynamic=['dependencies']\n"
                "[tool.setuptools.dynamic]\ndependencies={file=['reqs/base.txt']}\n",
                "reqs/base.txt": "a\n-r more.txt\n",
                "reqs/more.txt": "b\n",
            },
            ("a", "b"),
            id="dynamic dependencies",
        ),
        pytest.param(
            {
                "setup.cfg": "[options]\ninstall_requires =\n  a\n  b>=2 # why\ntests_require = c\n"
                "[options.extras_require]\ntest =\n  d\n"
            },
            ("a", "b>=2", "d", "c"),
            id="setup.cfg",
        ),
        pytest.param(
            {
                "setup.py": "import os\nDEPS = ['a>=1']\nTEST = ['c']\n"
                "setup(install_requires=DEPS + ['b'], extras_require={'test': TEST, 'x': f()},"
                " tests_require=os.environ.get('X'))\n"
            },
            ("a>=1", "b", "c"),
            id="literals of setup.py",
        ),
        pytest.param(
            {
                "pyproject.toml": "[tool.poetry.dependencies]\npython='^3.8'\na='^1.2.3'\n"
                "b={version='~2.0', extras=['x']}\nc='*'\nd='^0.3'\ne='1.0'\n"
                "[tool.poetry.group.test.dependencies]\nf='>=1,<2'\n"
            },
            ("a<2,>=1.2.3", "b[x]<2.1,>=2.0", "c", "d<0.4,>=0.3", "e==1.0", "f<2,>=1"),
            id="Poetry",
        ),
        pytest.param(
            {"Pipfile": "[packages]\na='*'\n[dev-packages]\nb='>=1'\n"}, ("a", "b>=1"), id="Pipfile"
        ),
        pytest.param(
            {"requirements.txt": "a==1 \\\n  --hash=sha256:00\nb\n", "requirements-dev.txt": "c\n"},
            ("a==1", "b", "c"),
            id="requirements files",
        ),
        pytest.param(
            {
                "requirements/test.in": "a\n",
                "requirements/test.txt": "a==1\n",
                "requirements/dev.txt": "no\n",
            },
            ("a==1",),
            id="the locked one of a pair",
        ),
        pytest.param(
            {
                "pyproject.toml": "[project]\ndependencies=['a']\n",
                "requirements.txt": "frozen==1\n",
                "tests/requirements.txt": "b\n",
            },
            ("a", "b"),
            id="metadata before requirements.txt",
        ),
        pytest.param(
            {
                "tox.ini": "[testenv]\ndeps =\n  a\n  py37: no\n  -r{toxinidir}/r.txt\n  {env:X}\n",
                "r.txt": "b\n",
            },
            ("a", "b"),
            id="tox",
        ),
        pytest.param(
            {"pyproject.toml": "[tool.hatch.envs.hatch-test]\nextra-dependencies=['a']\n"},
            ("a",),
            id="Hatch",
        ),
        pytest.param({"pyproject.toml": "[tool.uv]\ndev-dependencies=['a']\n"}, ("a",), id="uv"),
        pytest.param(
            {"pyproject.toml": "[tool.pdm.dev-dependencies]\ntest=['a']\n"}, ("a",), id="PDM"
        ),
    ],
)
def test_requirements_are_found(find: Find, files: dict[str, str], pip: tuple[str, ...]) -> None:
    assert find(files).pip == pip
    assert all("does not name every version" in note for note in find(files).notes)


@pytest.mark.parametrize(
    ("files", "pip"),
    [
        ({"requirements-test.txt": "pytest\n"}, ()),
        ({"requirements-test.txt": "pytest>=6,<8\n"}, ()),
        ({"requirements-test.txt": "pytest>=8.1\n"}, ("pytest>=8.1",)),
        ({"requirements-test.txt": "pytest<7\n"}, ("pytest<7",)),
        ({"pytest.ini": "[pytest]\nminversion = 8.0\n"}, ("pytest>=8.0",)),
        ({"pytest.ini": "[pytest]\nminversion = 6.0\n"}, ()),
        ({"pytest.ini": "[pytest]\nminversion = six\n"}, ()),
        ({"pyproject.toml": "[tool.pytest]\nstrict = true\n"}, ("pytest>=9",)),
        ({"pytest.ini": "[pytest]\naddopts = -n auto --cov=x\n"}, ("pytest-cov", "pytest-xdist")),
        (
            {"pyproject.toml": "[tool.pytest.ini_options]\naddopts=['-q', '--timeout=3']\n"},
            ("pytest-timeout",),
        ),
        ({"setup.cfg": "[tool:pytest]\nasyncio_mode = auto\n"}, ("pytest-asyncio",)),
        (
            {
                "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = x\n",
                "tox.ini": "[pytest]\nenv=1\n",
            },
            ("pytest-django",),
        ),
        (
            {
                "pytest.ini": "[pytest]\naddopts = --cov\n",
                "requirements-test.txt": "pytest_cov==4\n",
            },
            ("pytest_cov==4",),
        ),
        ({"test_a.py": "from hypothesis import given\n"}, ("hypothesis",)),
        ({"test_a.py": "import evil_package\n"}, ()),
    ],
)
def test_the_framework_gets_what_it_shows_to_need(
    find: Find, files: dict[str, str], pip: tuple[str, ...]
) -> None:
    assert find(files).pip == pip


LOCKED = """
[[package]]
name = "pytest"
version = "8.3.2"
source = { registry = "https://index.example/simple" }
[[package]]
name = "a"
version = "1.5"
source = { registry = "https://index.example/simple" }
"""


def test_what_a_lock_has_is_installed_by_it_and_the_rest_by_name(find: Find) -> None:
    project = "[project]\ndependencies=['a>=1', 'b']\n[dependency-groups]\ntest=['pytest']\n"
    found = find({"pyproject.toml": project, "uv.lock": LOCKED})
    [install] = found.installs
    assert install.files[0][1] == b"a==1.5\npytest==8.3.2\n"
    assert found.pip == ("b",)


HOSTILE = [
    "--index-url https://evil.example/simple",
    "-i https://evil.example/simple",
    "--extra-index-url=https://evil.example",
    "--find-links ./wheels",
    "--trusted-host evil.example",
    "-e ../other",
    "-e git+https://evil.example/x.git#egg=x",
    "git+ssh://git@evil.example/x.git",
    "https://evil.example/x.whl",
    "x @ https://evil.example/x.whl",
    "./local/package",
    "../outside",
    "/etc/passwd",
    "file:///etc/passwd",
    "x --global-option=--evil",
    "x --config-settings=a=b",
    "-c constraints.txt",
    "--pre",
    "x; evil",
    "$(touch x)",
    "`id`",
    "\x1b]0;title\x07",
]


@pytest.mark.parametrize("line", HOSTILE)
def test_what_is_no_plain_requirement_is_dropped_and_named(find: Find, line: str) -> None:
    found = find({"requirements.txt": f"good==1\n{line}\n"})
    assert found.pip == ("good==1",)
    assert "not installed: requirements.txt: " in found.notes[0]
    assert found.notes[0].isprintable()


def test_what_cannot_be_named_in_pip_has_advice_that_can_be_followed(find: Find) -> None:
    (note,) = find({"requirements.txt": "a==1\ngit+https://h.example/b\n-e ./libs/c\n"}).notes
    assert "requirements.txt: git+https://h.example/b; requirements.txt: -e ./libs/c. " in note
    assert "`setup`" in note
    assert "`rebuild`" in note


def test_the_repository_itself_is_no_requirement_but_its_extras_are(find: Find) -> None:
    project = "[project]\nname='me'\n[project.optional-dependencies]\nx=['a==1']\nt=['b==1']\n"
    found = find(
        {
            "pyproject.toml": project,
            "requirements.txt": "-e .[x]\n",
            "requirements-test.txt": "--editable=./[t]\nc==1\n.\n",
        }
    )
    assert found.pip == ("a==1", "c==1", "b==1")
    assert found.notes == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a", True),
        ("a>=2", True),
        ("a==2.*", True),
        ("a; python_version=='3.11'", True),
        ("a==2", False),
        ("a[x]==2; python_version>'3'", False),
    ],
)
def test_a_requirements_file_that_leaves_versions_to_the_day_is_named(
    find: Find, line: str, said: bool
) -> None:
    notes = find({"requirements.txt": "b==1\n-r more.txt\n", "more.txt": line}).notes
    assert bool(notes) == said
    assert all("more.txt does not name every version exactly" in note for note in notes)
    assert find({"requirements.txt": line, "uv.lock": "version = 1\n"}).notes == ()


def test_includes_stay_in_the_repository_and_end(find: Find) -> None:
    found = find(
        {
            "requirements.txt": "-r ../../etc/passwd\n-r /etc/passwd\n-r sub/a.txt\n-r missing\n",
            "sub/a.txt": "a\n-r ../requirements.txt\n--requirement=b.txt\n",
            "sub/b.txt": "b\n",
        }
    )
    assert found.pip == ("a", "b")


def test_poetry_sources_other_than_the_index_are_dropped(find: Find) -> None:
    found = find(
        {
            "pyproject.toml": "[tool.poetry.dependencies]\n"
            "a={git='https://evil.example'}\nb={path='../b'}\nc={url='https://evil.example'}\nd='*'\n"
            "e=[{version='1', python='<3'}, {version='2', python='>=3'}]\nf='^1||^2'\n"
        }
    )
    assert found.pip == ("d", "e==1", "e==2", "f")
    assert "a = " in found.notes[0]


@pytest.mark.parametrize(
    ("setup", "apt"),
    [
        (TestSetup("node", "node", "npm test", ()), ("nodejs", "npm")),
        (TestSetup("node", "node", "yarn test", ()), ("nodejs", "npm")),
        (TestSetup("rust", "cargo", "cargo test", ()), ("cargo-web",)),
        (TestSetup("go", "make", "make test", ()), ("make", "gcc", "libc6-dev", "golang-go")),
        (TestSetup("go", "go", "go test ./...", ()), ("golang-go",)),
        (TestSetup("java", "maven", "mvn test", ()), ("maven", "default-jdk-headless")),
        (TestSetup("make", "make", "make test", ()), ("make", "gcc", "libc6-dev")),
        (PYTEST, ()),
    ],
)
def test_toolchains_come_from_the_distribution(
    find: Find, setup: TestSetup, apt: tuple[str, ...]
) -> None:
    assert find({"README": ""}, setup).apt == apt


def test_python_requirements_are_not_taken_for_another_ecosystem(find: Find) -> None:
    go = TestSetup("go", "go", "go test ./...", ())
    assert find({"requirements.txt": "a\n", "go.mod": ""}, go).pip == ()


def test_packages_with_compiled_parts_get_a_compiler(find: Find) -> None:
    npm = TestSetup("node", "node", "npm test", ())
    package = {"package.json": '{"dependencies": {"a": "1"}}'}
    lock = '{"packages": {"node_modules/a": {"dependencies": {"%s": "1"}}}}'
    assert "gcc" in find({**package, "package-lock.json": lock % "prebuild-install"}, npm).apt
    assert "gcc" not in find({**package, "package-lock.json": lock % "my-node-gyp-x"}, npm).apt


@pytest.mark.parametrize(
    ("files", "setup", "kind"),
    [
        (
            {"package.json": '{"dependencies": {"a": "1"}}'},
            TestSetup("node", "node", "npm test", ()),
            "node",
        ),
        (
            {"Cargo.toml": "[dependencies]\na = '1'\n"},
            TestSetup("rust", "cargo", "cargo test", ()),
            "rust",
        ),
        (
            {"go.mod": "module x\n\nrequire a.example v1.0.0\n"},
            TestSetup("go", "go", "go test", ()),
            "go",
        ),
    ],
)
def test_each_ecosystem_has_its_own_installation(
    find: Find, files: dict[str, str], setup: TestSetup, kind: str
) -> None:
    found = find(files, setup)
    assert [install.kind for install in found.installs] == [kind]
    assert found.pip == ()


def test_exact_versions_rule_out_what_contradicts_them() -> None:
    kept, left_out = agreeing(["a==1.0", "b>=2", "a>=2", "a>=0.5", "b==2.*", "a==1.0"])
    assert kept == ("a==1.0", "b>=2", "a>=0.5", "b==2.*")
    assert left_out == ("a>=2 (1.0 is asked for too)",)


@given(st.text(max_size=60))
def test_any_text_is_taken_as_a_plain_requirement_or_dropped(text: str) -> None:
    place = Requirements()
    place.add_all(requirement_lines(text), "x")
    for found in place.found:
        assert Requirement(found).url is None
        assert not found.startswith("-")
    assert all(dropped.isprintable() for dropped in place.dropped)


def test_a_lock_is_held_against_what_the_repository_asks_for_and_no_more(find: Find) -> None:
    entry = "[[package]]\nname='a'\nversion='1'\nsource={registry='https://index.example'}\n"
    found = find(
        {
            "uv.lock": entry,
            "pyproject.toml": "[project]\nname='me'\ndependencies=['a>=2']\n",
            "test_a.py": "import hypothesis\n",
        }
    )
    assert found.pip == ("a>=2", "hypothesis")
    (note,) = found.notes
    assert "uv.lock does not fit what the repository asks for: a>=2 (it has 1). " in note
