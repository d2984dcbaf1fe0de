"""Which chain a database belongs to."""

import pytest

from adapters.memory.store import MemoryPayoutStore
from ports.chain import ChainUnavailableError
from ports.store import UnfitStoreError
from services.chain_identity import ChainIdentity, bind_database
from tests.harness import FakeClock
from tests.unit.services.faulty_store import FaultyStore

OURS, OTHER = "00" * 8 + "aa" * 24, "00" * 8 + "bb" * 24


class Genesis:
    """A chain of which only block 0 is asked; None while no endpoint answers."""

    def __init__(self, genesis_id: str | None) -> None:
        self.id = genesis_id
        self.asked = 0
        self.expected: list[str] = []

    async def genesis_id(self) -> str:
        self.asked += 1
        if self.id is None:
            raise ChainUnavailableError("no endpoint answers")
        return self.id

    def expect_genesis(self, genesis_id: str) -> None:
        self.expected.append(genesis_id)


def identity(store: object, chain: Genesis, known: str | None) -> ChainIdentity:
    return ChainIdentity(store, chain, known)  # type: ignore[arg-type]


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(MemoryPayoutStore(FakeClock()))


async def test_a_known_network_is_expected_without_asking(store: FaultyStore) -> None:
    chain = Genesis(OTHER)
    await identity(store, chain, OURS).ensure()
    assert (chain.expected, chain.asked) == ([OURS], 0)
    assert await store.remember_genesis(OTHER) == OURS


async def test_the_first_start_on_a_devnet_asks_the_endpoints(store: FaultyStore) -> None:
    chain = Genesis(OURS)
    await identity(store, chain, None).ensure()
    assert chain.expected == [OURS]
    assert await store.remember_genesis(OTHER) == OURS


async def test_of_several_devnets_the_remembered_one_is_ours(store: FaultyStore) -> None:
    await store.remember_genesis(OURS)
    chain = Genesis(OTHER)
    await identity(store, chain, None).ensure()
    assert chain.expected == [OURS]


async def test_a_database_of_another_chain_is_refused(store: FaultyStore) -> None:
    await store.remember_genesis(OTHER)
    chain = Genesis(OURS)
    with pytest.raises(UnfitStoreError, match=f"{OTHER}.*{OURS}.*TRON_NETWORK"):
        await identity(store, chain, OURS).ensure()
    assert chain.expected == []
    with pytest.raises(UnfitStoreError):
        await bind_database(store, OURS)  # type: ignore[arg-type]


async def test_it_is_asked_once(store: FaultyStore) -> None:
    chain = Genesis(OURS)
    one = identity(store, chain, None)
    for _ in range(3):
        await one.ensure()
    assert (chain.asked, chain.expected, store.calls) == (1, [OURS], ["remember_genesis"])


async def test_it_is_asked_again_after_a_failure(store: FaultyStore) -> None:
    chain = Genesis(None)
    one = identity(store, chain, None)
    with pytest.raises(ChainUnavailableError):
        await one.ensure()
    assert chain.expected == []
    chain.id = OURS
    store.fail("remember_genesis", "after")
    with pytest.raises(Exception, match="not confirmed"):
        await one.ensure()
    assert chain.expected == []
    await one.ensure()
    assert chain.expected == [OURS]
