"""The image, built once from the files as they are."""

import pytest

from tests.image.engine import IMAGE, build


@pytest.fixture(scope="session")
def image() -> str:
    """Its name."""
    return build(IMAGE)
