"""What all tests share: the database servers, and how hard Hypothesis tries."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from devnet.embedded import embedded_mongod, embedded_valkey

settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("full", max_examples=1_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


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
