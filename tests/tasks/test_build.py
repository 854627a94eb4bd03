import shlex
from collections.abc import Callable

import pytest

from sandbox.errors import UsageError
from sandbox.patch import FILE
from sandbox.trees import Base, TreeStore
from tasks.build import Build, find_build
from tasks.python_project import PythonProject, poetry_specifier
from tasks.reading import RepositoryFiles

Project = Callable[[dict[str, str]], PythonProject]
SETUPTOOLS = "[build-system]\nrequires=['setuptools>=61']\nbuild-backend='setuptools.build_meta'\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TreeStore:
    return TreeStore.create(tmp_path_factory.mktemp("store") / "trees")


@pytest.fixture
def project(store: TreeStore) -> Project:
    def read(contents: dict[str, str]) -> PythonProject:
        tree = store.add_tree((p, FILE, text.encode()) for p, text in contents.items())
        return PythonProject(RepositoryFiles(Base(store, tree)))

    return read


@pytest.fixture
def build(project: Project) -> Callable[..., Build]:
    def found(contents: dict[str, str], version: str = "") -> Build:
        result = find_build(project(contents), version)
        assert result is not None
        return result

    return found


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"pyproject.toml": SETUPTOOLS, "src/pkg/__init__.py": ""}, "the package is in src/"),
        ({"pyproject.toml": SETUPTOOLS, "src/single.py": ""}, "the module is in src/"),
        ({"setup.py": "setup(ext_modules=[E()])", "pkg/__init__.py": ""}, "compiled parts"),
        ({"setup.py": "setup()", "pkg/__init__.py": "", "pkg/a.pyx": ""}, "Cython"),
        (
            {"pyproject.toml": "[build-system]\nbuild-backend='mesonpy'\n", "pkg/__init__.py": ""},
            "built by mesonpy",
        ),
        (
            {
                "pyproject.toml": SETUPTOOLS + "[tool.setuptools_scm]\nwrite_to='pkg/_v.py'\n",
                "pkg/__init__.py": "",
            },
            "the build writes pkg/_v.py",
        ),
        (
            {
                "pyproject.toml": SETUPTOOLS + "[project.entry-points.pytest11]\na='pkg'\n",
                "pkg/__init__.py": "",
            },
            "entry points",
        ),
        (
            {
                "pyproject.toml": SETUPTOOLS,
                "pkg/__init__.py": "from importlib import metadata\n",
            },
            "pkg/__init__.py reads its metadata",
        ),
        (
            {
                "setup.py": "setup()",
                "pkg/__init__.py": "",
                "tests/test_a.py": "import pkg_resources\n",
            },
            "tests/test_a.py reads its metadata",
        ),
    ],
)
def test_an_installation_is_made_where_tests_need_it(
    build: Callable[..., Build], files: dict[str, str], reason: str
) -> None:
    found = build(files)
    assert reason in found.reasons[0]
    assert found.rebuild.optional
    assert "--no-index" in found.rebuild.command
    assert "--no-build-isolation" in found.rebuild.command


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": SETUPTOOLS, "pkg/__init__.py": ""},
        {"setup.py": "setup(name='x')", "pkg/__init__.py": ""},
        {"pkg/__init__.py": "", "src/other/__init__.py": ""},
        {"pyproject.toml": SETUPTOOLS, "tests/__init__.py": ""},
        {"pyproject.toml": "[tool.black]\n", "src/pkg/__init__.py": ""},
        {
            "pyproject.toml": SETUPTOOLS + "[project.scripts]\nx='pkg:main'\n",
            "pkg/__init__.py": "",
        },
    ],
)
def test_none_is_made_where_tests_run_from_the_checkout(
    project: Project, files: dict[str, str]
) -> None:
    assert find_build(project(files)) is None


def test_inputs_are_metadata_and_for_compiled_parts_sources(
    build: Callable[..., Build],
) -> None:
    pure = build({"pyproject.toml": SETUPTOOLS, "src/pkg/__init__.py": ""})
    assert pure.rebuild.inputs is not None
    assert "/pyproject.toml" in pure.rebuild.inputs
    assert "*.c" not in pure.rebuild.inputs
    assert pure.apt == ()
    compiled = build({"setup.py": "setup(ext_modules=x)", "pkg/__init__.py": "", "pkg/a.c": ""})
    assert compiled.rebuild.inputs is not None
    assert "*.c" in compiled.rebuild.inputs
    assert "gcc" in compiled.apt
    rust = build(
        {"pyproject.toml": "[build-system]\nbuild-backend='maturin'\n", "pkg/__init__.py": ""}
    )
    assert "cargo-web" in rust.apt


@pytest.mark.parametrize(
    ("requires", "variable"),
    [
        ("setuptools-scm[toml]>=6", "SETUPTOOLS_SCM_PRETEND_VERSION"),
        ("setuptools_scm", "SETUPTOOLS_SCM_PRETEND_VERSION"),
        ("hatch-vcs", "SETUPTOOLS_SCM_PRETEND_VERSION"),
        ("pbr>=5", "PBR_VERSION"),
        ("poetry-dynamic-versioning", "POETRY_DYNAMIC_VERSIONING_BYPASS"),
    ],
)
def test_a_build_that_asks_git_for_its_version_is_told_one(
    build: Callable[..., Build], requires: str, variable: str
) -> None:
    files = {
        "pyproject.toml": f"[build-system]\nrequires=['{requires}']\n",
        "src/pkg/__init__.py": "",
    }
    assert f"{variable}=1.2.3 python3" in build(files, "v1.2.3").rebuild.command
    assert f"{variable}=2.0rc1 " in build(files, "pkg-2.0rc1").rebuild.command
    assert f"{variable}=0.1.0 " in build(files).rebuild.command
    with_info = {**files, "PKG-INFO": "Metadata-Version: 2.1\nVersion: 3.4\n"}
    assert f"{variable}=3.4 " in build(with_info).rebuild.command


def test_a_hostile_tag_cannot_become_a_command(build: Callable[..., Build]) -> None:
    files = {
        "pyproject.toml": "[build-system]\nrequires=['setuptools-scm']\n",
        "src/pkg/__init__.py": "",
    }
    for tag in ("1.0;touch${IFS}x", "1.0$(id)", "1'x", "1.0`id`", "v1.0|x"):
        words = shlex.split(build(files, tag).rebuild.command)
        assert words[0] == "SETUPTOOLS_SCM_PRETEND_VERSION=0.1.0"


@pytest.mark.parametrize(
    ("requires", "pip"),
    [
        ("['setuptools>=61']", ()),
        ("['setuptools', 'wheel']", ()),
        ("['setuptools>=77']", ("setuptools>=77", "packaging>=24.2")),
        ("['setuptools>=61', 'numpy']", ("numpy",)),
        ("['setuptools @ https://evil.example/x', 'cython']", ("cython",)),
    ],
)
def test_the_build_gets_what_the_image_lacks(
    build: Callable[..., Build], requires: str, pip: tuple[str, ...]
) -> None:
    files = {
        "pyproject.toml": f"[build-system]\nrequires={requires}\n",
        "src/pkg/__init__.py": "",
    }
    assert build(files).pip == pip


def test_hatchling_gets_what_its_editable_builds_ask_for(build: Callable[..., Build]) -> None:
    system = "[build-system]\nrequires=['hatchling']\nbuild-backend='hatchling.build'\n"
    files = {"pyproject.toml": system, "src/pkg/__init__.py": ""}
    assert build(files).pip == ("hatchling", "editables")


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ({"pyproject.toml": "[project]\nrequires-python='>=3.12'\n"}, "pyproject.toml"),
        ({"pyproject.toml": "[project]\nrequires-python='<3.11'\n"}, "pyproject.toml"),
        ({"setup.cfg": "[options]\npython_requires = >=3.13\n"}, "setup.cfg"),
        ({"setup.py": "setup(python_requires='==2.7.*')"}, "setup.py"),
        ({"pyproject.toml": "[tool.poetry.dependencies]\npython='~3.9'\n"}, "pyproject.toml"),
    ],
)
def test_another_python_than_the_images_is_said_with_the_way_out(
    project: Project, files: dict[str, str], where: str
) -> None:
    with pytest.raises(UsageError, match=r"asks for Python .*; the sandbox's image has 3\.11"):
        project(files).check_python()
    with pytest.raises(UsageError) as caught:
        project(files).check_python()
    assert caught.value.message.startswith(where)
    assert "--image" in caught.value.hint


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"pyproject.toml": "[project]\nrequires-python='>=3.8,<4'\n"},
        {"pyproject.toml": "[tool.poetry.dependencies]\npython='^3.8'\n"},
        {"pyproject.toml": "[project]\nrequires-python='three'\n"},
    ],
)
def test_the_images_python_is_taken(project: Project, files: dict[str, str]) -> None:
    project({"README": "", **files}).check_python()


@pytest.mark.parametrize(
    ("poetry", "specifier"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0", ">=0,<1"),
        ("~1.2.3", ">=1.2.3,<1.3"),
        ("~1", ">=1,<2"),
        ("~=1.4", "~=1.4"),
        ("*", ""),
        ("1.2", "==1.2"),
        (">=1, <2", ">=1,<2"),
        (">=1 <2", ">=1,<2"),
        ("^1 || ^2", ""),
    ],
)
def test_poetrys_versions_are_read(poetry: str, specifier: str) -> None:
    assert poetry_specifier(poetry) == specifier


def test_setup_py_is_never_run(project: Project) -> None:
    source = "raise SystemExit\nimport os; os._exit(1)\nsetup(name='x', install_requires=['a'])\n"
    assert project({"setup.py": source}).setup_py == {"name": "x", "install_requires": ["a"]}
    for odd in ("print 'python 2'", "\0", "(" * 5000, "setup(**x)"):
        assert project({"setup.py": odd}).setup_py == {}
