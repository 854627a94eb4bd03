"""Paths as models write them, made relative to the workspace."""

import posixpath

from tools.tool import ToolError

WORKSPACE = "/workspace"


def workspace_path(path: str) -> str:
    """`path` relative to the workspace, in its shortest form; `.` is the workspace itself.

    Raises ToolError for one that is empty, holds a NUL or leads out of the workspace.
    """
    if not path or "\0" in path:
        raise ToolError("The path holds a NUL." if path else "The path is empty.")
    full = posixpath.normpath(posixpath.join(WORKSPACE, path))
    if full.startswith("//"):  # POSIX keeps two leading slashes; for us they are one
        full = full[1:]
    if full != WORKSPACE and not full.startswith(WORKSPACE + "/"):
        raise ToolError(
            f"{path} is outside of the workspace ({WORKSPACE}), where the file tools work.",
            "Give a path relative to the workspace; elsewhere use a shell command.",
        )
    return posixpath.relpath(full, WORKSPACE)
