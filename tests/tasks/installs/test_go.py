import pytest

from tasks.installs.go import MODULES, find_go_install
from tests.tasks.conftest import MakeFiles

GO_MOD = "module me\n\ngo 1.19\n\nrequire tiny.example/mod v1.2.3\n"
SUM = "tiny.example/mod v1.2.3 h1:x=\n"


def test_the_modules_are_downloaded_and_found_without_a_network(make_files: MakeFiles) -> None:
    files = {
        "go.mod": GO_MOD,
        "go.sum": SUM,
        "inner/go.mod": "module me/inner\n",
        "testdata/x/go.mod": "module x\n",
        "main.go": "package main\n",
    }
    install, notes = find_go_install(make_files(files))
    assert install is not None
    install.check()
    assert notes == []
    assert dict(install.files) == {
        path: files[path].encode() for path in ("go.mod", "go.sum", "inner/go.mod")
    }
    assert install.commands[0].endswith("go mod download")
    assert dict(install.environment)["GOPROXY"] == "off"
    assert dict(install.environment)["GOMODCACHE"] == MODULES


def test_modules_come_from_a_proxy_and_never_from_the_server_in_their_name(
    make_files: MakeFiles,
) -> None:
    install, _ = find_go_install(make_files({"go.mod": GO_MOD, "go.sum": SUM}))
    assert install is not None
    assert "GOVCS='*:off'" in install.commands[0]
    assert "sed 's/[,|]direct//g'" in install.commands[0]


def test_without_sums_it_is_said_that_go_uses_nothing(make_files: MakeFiles) -> None:
    install, [note] = find_go_install(make_files({"go.mod": GO_MOD}))
    assert install is not None
    assert "no go.sum" in note


def test_a_module_of_the_repository_itself_may_take_the_place_of_another(
    make_files: MakeFiles,
) -> None:
    text = GO_MOD + "replace tiny.example/mod => ./mod // here\n"
    install, notes = find_go_install(
        make_files({"go.mod": text, "go.sum": "", "mod/go.mod": "module tiny.example/mod\n"})
    )
    assert install is not None
    assert notes == []


@pytest.mark.parametrize("place", ["../outside", "./missing", "/etc", "./a/../../b", ".."])
def test_a_place_out_of_the_repository_is_said_and_nothing_installed(
    make_files: MakeFiles, place: str
) -> None:
    for text in (f"replace x => {place}\n", f"replace (\n\tx v1.0.0 => {place}\n)\n"):
        install, [note] = find_go_install(make_files({"go.mod": GO_MOD + text}))
        assert install is None
        assert f"takes a module from {place}, outside" in note


@pytest.mark.parametrize("line", ["go 1.21.0", "go 1.22rc1", "toolchain go1.22.1", "tool x/y"])
def test_a_newer_go_is_said_and_nothing_installed(make_files: MakeFiles, line: str) -> None:
    text = GO_MOD.replace("go 1.19", line)
    install, [note] = find_go_install(make_files({"go.mod": text, "go.sum": SUM}))
    assert install is None
    assert "1.21 or later" in note
    assert "go mod vendor" in note


def test_vendored_modules_and_no_modules_need_nothing(make_files: MakeFiles) -> None:
    assert find_go_install(make_files({"go.mod": GO_MOD, "vendor/modules.txt": ""})) == (None, [])
    assert find_go_install(make_files({"go.mod": "module me\n\ngo 1.19\n"})) == (None, [])
