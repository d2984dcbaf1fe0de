"""What all tests share: the database servers, how hard Hypothesis tries, and the order of files."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from devnet.embedded import embedded_mongod, embedded_valkey

settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("full", max_examples=1_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

SLOWEST_FIRST = ("simulation", "chaos", "e2e", "stateful", "fuzz", "integration", "contract")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files are handed to the workers in this order: a long one that began last would keep
    one of them busy alone."""
    turns = {name: turn for turn, name in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: turns.get(item.path.parent.name, len(turns)))


@pytest.fixture(scope="session")
def mongodb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MongoDB replica set: that of MONGODB_URL, or an embedded one."""
    if url := os.environ.get("MONGODB_URL"):
        yield url
        return
    with embedded_mongod(tmp_path_factory.mktemp("mongod")) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Valkey or Redis server: that of REDIS_URL, or an embedded one."""
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    with embedded_valkey() as url:
        yield url
