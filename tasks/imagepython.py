"""Which Python an image is to have: our own image's, or that of the official image of a version."""

import re
from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sandbox.errors import UsageError
from tasks.detect import TestSetup
from tasks.python_project import IMAGE_PYTHON, PythonProject

#: The supervisor's own.
_OLDEST = (3, 7)


def official_image(python: str | None) -> str | None:
    """The name of the official image with the Python that is asked for, None where our own image
    has it. That image holds no package to count on. Raises UsageError for a text that is no version
    of Python.
    """
    if python is None:
        return None
    found = re.fullmatch(r"3\.(0|[1-9]\d?)(\.(0|[1-9]\d?))?", python.strip())
    if found is None or (3, int(found[1])) < _OLDEST:
        raise UsageError(
            f"python is {python!r}, which is no version that a sandbox can have.",
            'Write one from 3.7 on, such as "3.12" or "3.12.4".',
        )
    wanted = python.strip()
    return None if f"{IMAGE_PYTHON}.".startswith(f"{wanted}.") else f"python:{wanted}-slim"


def newest_of(python: str) -> str:
    """A version as specifiers are asked about it: `3.12` stands for its newest."""
    return python.strip() if python.count(".") == 2 else f"{python.strip()}.99"


def not_provided(
    project: PythonProject, tests: TestSetup, requirements: Iterable[str]
) -> tuple[str, ...]:
    """What our own image has and others have not, as far as tests or a build need it and nothing
    asks for it by name.
    """
    named = {canonicalize_name(Requirement(text).name) for text in requirements}
    wanted = ["pytest"] if tests.framework == "pytest" else []
    wanted += ["setuptools", "wheel"] if project.backend == "setuptools" else []
    return tuple(name for name in wanted if name not in named)
