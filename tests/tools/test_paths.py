import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.paths import workspace_path
from tools.tool import ToolError


@pytest.mark.parametrize(
    ("given_path", "relative"),
    [
        ("a.py", "a.py"),
        ("./src//a.py", "src/a.py"),
        ("/workspace/src/a.py", "src/a.py"),
        ("//workspace/a", "a"),
        ("src/../a", "a"),
        (".", "."),
        ("/workspace/", "."),
        (" odd name ", " odd name "),
    ],
)
def test_paths_become_relative_to_the_workspace(given_path, relative):
    assert workspace_path(given_path) == relative


@pytest.mark.parametrize("path", ["", "a\0b", "../x", "/etc/passwd", "/workspaces/x", "a/../.."])
def test_paths_that_lead_elsewhere_are_refused(path):
    with pytest.raises(ToolError):
        workspace_path(path)


@given(st.text(alphabet="a./ "))
def test_no_path_leads_out(path):
    try:
        relative = workspace_path(path)
    except ToolError:
        return
    assert not relative.startswith(("/", "../"))
    assert relative != ".."
    assert workspace_path(relative) == relative
