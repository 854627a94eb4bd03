import json
from typing import Any

import pytest

from sandbox.runtimeguard import Runtime, ask, asks_loader, changed, libraries, replaced, runtime

LISTED = """\
\tlinux-vdso.so.1 (0x00007ff9f136c000)
\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007ff9f1263000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007ff9f1056000)
\t/lib64/ld-linux-x86-64.so.2 => /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 (0x00007ff9f136e000)
"""
LOADER = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
CTYPES = "/usr/lib/python3.11/lib-dynload/_ctypes.so"


def answer(**more: Any) -> str:
    told = {
        "exe": "/usr/bin/python3.11",
        "executable": "/usr/bin/python3",
        "prefix": "/usr",
        "path": ["/usr/lib/python311.zip", "/usr/lib/python3.11"],
        "version": "3.11",
        "loader": LOADER,
        "lists": {
            "/usr/bin/python3.11": LISTED,
            CTYPES: LISTED + "\tlibffi.so.8 => /lib/x86_64-linux-gnu/libffi.so.8 (0x00007f)\n",
            "/usr/lib/python3.11/lib-dynload/termios.so": LISTED,
        },
        "links": [
            *("/usr/bin/python3", "/usr/bin/python3.11", LOADER),
            *("/lib/x86_64-linux-gnu/libz.so.1", "/lib/x86_64-linux-gnu/libz.so.1.2.13"),
        ],
        "search": ["/opt/venv/bin", "/usr/bin"],
    }
    return json.dumps({**told, **more})


DEBIAN = runtime(answer())
OFFICIAL = runtime(
    answer(
        exe="/usr/local/bin/python3.12",
        executable="/usr/local/bin/python3",
        prefix="/usr/local",
        version="3.12",
        path=["/usr/local/lib/python312.zip", "/usr/local/lib/python3.12"],
    )
)
VENV = runtime(answer(executable="/opt/venv/bin/python3", links=["/opt/venv/bin/python3"]))
UNKNOWN = runtime(answer(loader="", lists={}))


@pytest.mark.parametrize("guarded", [DEBIAN, OFFICIAL, VENV, UNKNOWN])
def test_an_ordinary_install_changes_nothing_guarded(guarded: Runtime) -> None:
    changes = {
        "/usr": 0,
        "/usr/local": 0,
        "/usr/local/lib": 0,
        "/usr/local/lib/python3.12": 0,
        "/usr/local/lib/python3.12/site-packages": 0,
        "/usr/local/lib/python3.12/site-packages/six.py": 1,
        "/usr/local/lib/python3.11": 0,
        "/usr/local/lib/python3.11/dist-packages": 0,
        "/usr/local/lib/python3.11/dist-packages/six.py": 1,
        "/opt/venv/lib/python3.11": 0,
        "/opt/venv/lib/python3.11/site-packages": 0,
        "/opt/venv/lib/python3.11/site-packages/six.py": 1,
        "/usr/local/bin": 0,
        "/usr/local/bin/ruff": 1,
        "/root": 0,
    }
    assert changed(changes, guarded) is None
    assert list(replaced(changes, guarded)) == []
    assert not asks_loader(changes, guarded)


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/python3",
        "/usr/bin/python3.11",
        "/usr/local/bin/python3",
        "/opt/venv/bin/python3",
        "/usr/bin/pyvenv.cfg",
        "/usr/pyvenv.cfg",
        "/usr/bin/pybuilddir.txt",
        "/usr/bin/lib/python3.11/os.py",
        "/usr/lib/python311.zip",
        "/usr/lib/python3.11/json/__init__.py",
        "/usr/lib/python3.11/__pycache__/os.cpython-311.pyc",
        "/lib/x86_64-linux-gnu/libz.so.1",
        "/lib/x86_64-linux-gnu/libz.so.1.2.13",
        LOADER,
        "/etc/ld.so.preload",
        "/usr/bin/python3._pth",
        # Modules that are loaded because a file names them.
        "/etc/ssl/openssl.cnf",
        "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.d/evil.conf",
        "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache",
        "/usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so",
        # It would be found first, if not now then after the next ldconfig.
        "/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libz.so.1",
        "/usr/local/lib/libffi.so.8",
    ],
)
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_what_the_supervisor_runs_from_is_guarded(path: str, kind: int) -> None:
    parent = path.rpartition("/")[0]
    assert changed({parent: 0, path: kind}, DEBIAN) == path


def test_a_standard_library_beside_the_packages_is_guarded() -> None:
    path = "/usr/local/lib/python3.12/os.py"
    assert changed({"/usr/local/lib/python3.12": 0, path: 0}, OFFICIAL) == path


def test_the_python_of_a_virtual_environment_is_guarded() -> None:
    for path in ("/opt/venv/bin/python3", "/opt/venv/pyvenv.cfg", "/opt/venv/lib/python3.11/os.py"):
        assert changed({path: 1}, VENV) == path


def test_a_folder_that_goes_takes_what_is_guarded_with_it() -> None:
    assert changed({"/lib/x86_64-linux-gnu": 2}, DEBIAN) == "/lib/x86_64-linux-gnu"
    assert changed({"/opt/other": 2}, DEBIAN) is None


def test_a_folder_that_may_be_a_link_now_is_named() -> None:
    assert list(replaced({"/usr/bin": 0, "/var": 0}, DEBIAN)) == ["/usr/bin"]
    assert list(replaced({"/usr/bin": 0, "/usr/bin/x": 1}, DEBIAN)) == []


@pytest.mark.parametrize(
    "path",
    [
        "/etc/ld.so.cache",
        "/etc/ld.so.conf.d/x.conf",
        "/usr/local/lib/libother.so.1",
    ],
)
def test_other_libraries_may_change_if_the_loader_finds_the_same(path: str) -> None:
    assert changed({path: 1}, DEBIAN) is None
    assert asks_loader({path: 1}, DEBIAN)
    assert changed({path: 1}, UNKNOWN) == path


def test_a_library_is_asked_for_where_it_needs_more_than_the_interpreter() -> None:
    assert set(DEBIAN.lists) == {"/usr/bin/python3.11", CTYPES}
    assert libraries(LISTED) == {
        ("libz.so.1", "/lib/x86_64-linux-gnu/libz.so.1"),
        ("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
    }


def test_what_is_asked_names_the_supervisor_s_own_modules() -> None:
    assert "'_ctypes'" in ask()
    assert "sandbox" not in ask()
