"""The world that tests share where isolation is not needed."""

from collections.abc import Iterator

import pytest

from tests.e2e.kit import Service, World, until


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, mongodb_url: str) -> Iterator[World]:
    """A world for one module, without a service."""
    with World(tmp_path_factory.mktemp("world"), mongodb_url) as world:
        yield world


@pytest.fixture(scope="module")
def service(world: World) -> Service:
    """A healthy service in that world."""
    service = world.service()
    service.start()
    until(service.is_healthy, lambda: service.health().text)
    return service
