"""Paths as models write them, made relative to the workspace."""

import posixpath

from tools.tool import ToolError

WORKSPACE = "/workspace"


def workspace_path(path: str, workspace: str = WORKSPACE) -> str:
    """`path` relative to the workspace, in its shortest form; `.` is the workspace itself.

    Raises ToolError for one that is empty, holds a NUL or leads out of the workspace.
    """
    if not path or "\0" in path:
        raise ToolError("The path holds a NUL." if path else "The path is empty.")
    full = posixpath.normpath(posixpath.join(workspace, path))
    if full.startswith("//"):  # POSIX keeps two leading slashes; for us they are one
        full = full[1:]
    if full != workspace and not full.startswith(workspace.rstrip("/") + "/"):
        raise ToolError(
            f"{path} is outside of the workspace ({workspace}), where the file tools work.",
            "Give a path relative to the workspace; elsewhere use a shell command.",
        )
    return posixpath.relpath(full, workspace)
