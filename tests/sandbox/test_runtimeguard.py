import json

import pytest

from sandbox.runtimeguard import Runtime, changed, runtime

DEBIAN = runtime(
    json.dumps(
        {
            "exe": "/usr/bin/python3.11",
            "prefix": "/usr",
            "path": ["/usr/lib/python311.zip", "/usr/lib/python3.11"],
        }
    )
)
OFFICIAL = runtime(
    json.dumps(
        {
            "exe": "/usr/local/bin/python3.12",
            "prefix": "/usr/local",
            "path": ["/usr/local/lib/python312.zip", "/usr/local/lib/python3.12"],
        }
    )
)


@pytest.mark.parametrize("guarded", [DEBIAN, OFFICIAL])
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
        "/usr/local/bin": 0,
        "/usr/local/bin/ruff": 1,
        "/root": 0,
    }
    assert changed(changes, guarded) is None


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/python3",
        "/usr/bin/python3.11",
        "/usr/local/bin/python3",
        "/usr/bin/pyvenv.cfg",
        "/usr/pyvenv.cfg",
        "/usr/lib/python311.zip",
        "/usr/lib/python3.11/json/__init__.py",
        "/usr/lib/python3.11/__pycache__/os.cpython-311.pyc",
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
        "/etc/ld.so.preload",
        "/etc/ld.so.conf.d/local.conf",
    ],
)
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_what_the_supervisor_runs_from_is_guarded(path: str, kind: int) -> None:
    parent = path.rpartition("/")[0]
    assert changed({parent: 0, path: kind}, DEBIAN) == path


def test_a_standard_library_beside_the_packages_is_guarded() -> None:
    path = "/usr/local/lib/python3.12/os.py"
    assert changed({"/usr/local/lib/python3.12": 0, path: 0}, OFFICIAL) == path
