from collections.abc import AsyncIterator

import pytest

from tests.unit.api.edge import World, world


@pytest.fixture
async def edge() -> AsyncIterator[World]:
    async with world() as made:
        yield made
