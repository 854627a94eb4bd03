import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from sandbox.errors import UsageError
from tasks.imagepython import newest_of, official_image
from tasks.python_project import IMAGE_PYTHON


@pytest.mark.parametrize(
    ("python", "image"),
    [
        (None, None),
        ("3.11", None),
        (IMAGE_PYTHON, None),
        ("3.12", "python:3.12-slim"),
        ("3.1", UsageError),
        ("3.11.9", "python:3.11.9-slim"),
        ("2.7", UsageError),
        ("3.6", UsageError),
        (">=3.9", UsageError),
        ("3.12; reboot", UsageError),
        ("latest", UsageError),
    ],
)
def test_the_image_of_a_version(python: str | None, image: object) -> None:
    if image is UsageError:
        with pytest.raises(UsageError, match="no version that a sandbox can have"):
            official_image(python)
    else:
        assert official_image(python) == image


@given(st.text())
def test_no_other_text_becomes_the_name_of_an_image(text: str) -> None:
    try:
        image = official_image(text)
    except UsageError:
        return
    assert image is None or image == f"python:{Version(text.strip())}-slim"


def test_a_minor_version_stands_for_its_newest() -> None:
    assert newest_of("3.12") == "3.12.99"
    assert newest_of("3.12.4") == "3.12.4"
