from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from tasks.installs.python import Choice, Target, choose, find_python_lock, image_variables
from tasks.installs.pythonlocks import Lock, Locked
from tasks.python_project import PythonProject
from tasks.reading import RepositoryFiles
from tests.tasks.conftest import MakeFiles

SHA = "sha256:" + "0" * 64
TARGET = Target(
    image_variables("3.11.2"), {"test"}, {"test"}, frozenset({"https://other.example/simple"})
)


def lock(*packages: Locked, sections: bool = False) -> Lock:
    found = Lock(sections=sections)
    for package in packages:
        found.packages.setdefault(package.name, []).append(package)
    return found


def locked(
    name: str,
    version: str = "1",
    needs: Sequence[str] = (),
    markers: Iterable[str] = (),
    **rest: str,
) -> Locked:
    return Locked(
        name, version, (SHA,), tuple(markers), needs=tuple(map(Requirement, needs)), **rest
    )


def taken(choice: Choice) -> list[str]:
    return sorted(f"{package.name}=={package.version}" for package in choice.taken.values())


def test_what_a_requirement_leads_to_is_taken_and_nothing_else() -> None:
    found = lock(
        locked("a", needs=["B>=1", "win; os_name=='nt'"]),
        locked("b", "2", needs=["c", "a"]),
        locked("c"),
        locked("win"),
        locked("unrelated"),
    )
    choice = choose(found, ["A"], TARGET)
    assert taken(choice) == ["a==1", "b==2", "c==1"]
    assert choice.unlocked == []


def test_what_the_lock_has_not_stays_as_it_was() -> None:
    choice = choose(lock(locked("a", "1")), ["a>=2", "b~=1.0", "c; os_name=='nt'"], TARGET)
    assert taken(choice) == []
    assert choice.unlocked == ["a>=2", "b~=1.0"]


def test_an_extra_brings_its_own_also_when_asked_for_later() -> None:
    socks = Locked("a", "1", extras={"socks": (Requirement("pysocks"),)})
    found = lock(locked("a"), socks, locked("pysocks"), locked("b", needs=["a[socks]"]))
    assert taken(choose(found, ["a"], TARGET)) == ["a==1"]
    assert taken(choose(found, ["a", "b"], TARGET)) == ["a==1", "b==1", "pysocks==1"]


def test_of_several_versions_the_one_for_the_image_is_taken() -> None:
    found = lock(
        locked("a", "1", markers=["python_full_version < '3.10'"]),
        locked("a", "2", markers=["python_full_version >= '3.10'", "os_name == 'nt'"]),
        locked("a", "3", python=">=3.12"),
        locked("a", "4", markers=["sys_platform == 'darwin'"]),
    )
    assert taken(choose(found, ["a"], TARGET)) == ["a==2"]
    newer = Target(image_variables("3.12.1"))
    assert taken(choose(found, ["a"], newer)) == ["a==3"]


def test_one_version_of_a_package_is_taken_even_where_two_are_asked_for() -> None:
    found = lock(
        locked("a", "1", needs=["c"]), locked("a", "2"), locked("b", needs=["a==1"]), locked("c")
    )
    assert taken(choose(found, ["a", "b"], TARGET)) == ["a==2", "b==1"]


def test_what_comes_from_no_index_is_left_out_but_not_what_it_needs() -> None:
    found = lock(
        locked("a", needs=["forked", "member", "torch", "other"]),
        locked("forked", origin="git https://evil.example"),
        Locked("member", "", origin="editable ../member", needs=(Requirement("b"),)),
        locked("b"),
        locked("torch", "2.3+cpu"),
        locked("other", index="https://other.example/simple/"),
    )
    choice = choose(found, ["a"], TARGET)
    assert taken(choice) == ["a==1", "b==1"]
    assert list(choice.left_out) == [
        "other (https://other.example/simple/)",
        "torch (version 2.3+cpu)",
        "member (editable ../member)",
        "forked (git https://evil.example)",
    ]


def test_the_project_itself_is_not_installed_and_not_said() -> None:
    found = lock(Locked("me", "", origin="virtual .", needs=(Requirement("b"),)), locked("b"))
    choice = choose(found, ["me[x]"], TARGET, "me")
    assert taken(choice) == ["b==1"]
    assert not choice.left_out


def test_of_a_lock_with_sections_all_is_taken_that_holds() -> None:
    found = lock(
        locked("a"),
        locked("b", markers=["'test' in dependency_groups"]),
        locked("c", markers=["'docs' in dependency_groups"]),
        locked("d", markers=["'test' in extras or os_name == 'nt'"]),
        locked("e", markers=["no marker at all"]),
        sections=True,
    )
    assert taken(choose(found, [], TARGET)) == ["a==1", "b==1", "d==1"]


@given(st.text(max_size=30))
def test_any_text_is_a_marker_that_holds_or_not(text: str) -> None:
    assert TARGET.holds(text) in (True, False)


OPERANDS = (
    "python_version extras dependency_groups extra os_name platform_version '3' 'test' 'x!' ''"
)
operands = st.sampled_from(OPERANDS.split())
markers = st.builds(
    "{} {} {}".format,
    operands,
    st.sampled_from(["==", "<", "in", "not in", "~=", "==="]),
    operands,
)


@given(markers)
def test_no_comparison_of_a_marker_fails(text: str) -> None:
    assert TARGET.holds(text) in (True, False)
    assert TARGET.takes(Locked("a", "1", markers=(text,), python=text)) in (True, False)


UV = f"""
[[package]]
name = "a"
version = "1.5"
source = {{ registry = "https://index.example/simple" }}
dependencies = [{{ name = "b" }}, {{ name = "forked" }}]
sdist = {{ hash = "{SHA}" }}
[[package]]
name = "b"
version = "2"
source = {{ registry = "https://index.example/simple" }}
sdist = {{ hash = "{SHA}" }}
[[package]]
name = "forked"
version = "1"
source = {{ git = "https://evil.example" }}
"""


def test_the_versions_go_to_pip_with_their_hashes(make_files: MakeFiles) -> None:
    project = PythonProject(make_files({"uv.lock": UV}))
    found = find_python_lock(project, ["a>=1", "z"], frozenset())
    assert found is not None
    assert found.install is not None
    assert found.install.what == "2 Python packages in the versions of uv.lock"
    assert dict(found.install.files) == {
        "uv.lock.txt": f"a==1.5 --hash={SHA}\nb==2 --hash={SHA}\n".encode()
    }
    assert found.install.commands == ("python3 -m pip install --no-deps -r uv.lock.txt",)
    assert found.unlocked == ("z",)
    assert "forked (git https://evil.example)" in found.notes[0]
    assert "greenroom.toml" in found.notes[0]


def test_what_the_repository_asks_for_and_its_lock_does_not_fit_is_named(
    make_files: MakeFiles,
) -> None:
    other = UV + "[[package]]\nname='c'\nversion='3'\nsource={registry='https://i.example'}\n"
    other += "resolution-markers=[\"os_name == 'nt'\"]\n"
    project = PythonProject(make_files({"uv.lock": other}), {"pytest": "9.0"})
    wanted = ["b>=3", "c>=3", "gone", "pytest>=8", "ours"]
    found = find_python_lock(project, wanted, frozenset(), frozenset(wanted) - {"ours"})
    assert found is not None
    assert len(found.notes) == 1
    assert (
        "uv.lock does not fit what the repository asks for: b>=3 (it has 2); "
        "c>=3 (it has 3 for other Pythons or machines); gone (not in it). "
    ) in found.notes[0]
    assert found.notes[0].endswith("uv lock.")


def test_hashes_are_for_all_or_for_none(make_files: MakeFiles) -> None:
    files = make_files({"uv.lock": UV.replace(f'sdist = {{ hash = "{SHA}" }}\n', "", 1)})
    found = find_python_lock(PythonProject(files), ["a"], frozenset())
    assert found is not None
    assert found.install is not None
    assert found.install.files[0][1] == b"a==1.5\nb==2\n"


@pytest.mark.parametrize(
    ("settings", "left_out"),
    [
        ("[[tool.uv.index]]\nname='x'\nurl='https://index.example/simple/'\n", True),
        ("[[tool.uv.index]]\nurl='https://index.example/simple'\ndefault=true\n", False),
        ("[tool.uv]\nextra-index-url=['https://index.example/simple']\n", True),
        ("[[tool.poetry.source]]\nurl='https://index.example/simple'\npriority='explicit'\n", True),
        ("[[tool.poetry.source]]\nurl='https://index.example/simple'\n", False),
        ("[tool.uv]\nindex='https://index.example/simple'\n", False),
    ],
)
def test_an_index_that_the_repository_adds_is_not_used(
    make_files: MakeFiles, settings: str, left_out: bool
) -> None:
    project = PythonProject(make_files({"uv.lock": UV, "pyproject.toml": settings}))
    found = find_python_lock(project, ["b"], frozenset())
    assert found is not None
    assert (found.install is None) == left_out
    assert bool(found.notes) == left_out


def test_a_lock_that_cannot_be_read_leaves_the_requirements_as_they_are(
    make_files: MakeFiles,
) -> None:
    broken = "[package]\nname = " + '"' + "x" * 40 + '" "a long line that goes on and on" = 1\n'
    project = PythonProject(make_files({"poetry.lock": broken}))
    found = find_python_lock(project, ["a"], frozenset(), {"a"})
    assert found is not None
    assert (found.install, found.unlocked) == (None, ("a",))
    (note,) = found.notes
    assert "poetry.lock is not taken as it is: it cannot be read" in note
    assert "(at line 2, column 51)" in note
    assert "poetry lock" in note


def test_a_repository_without_a_lock_has_none(make_files: MakeFiles) -> None:
    files: RepositoryFiles = make_files({"pyproject.toml": ""})
    assert find_python_lock(PythonProject(files), ["a"], frozenset()) is None
