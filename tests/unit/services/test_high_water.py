"""A database is held against what the deployment knew outside of it."""

import fcntl
from pathlib import Path

import pytest

from adapters.files.high_water import JsonHighWaterFile
from models.chain import Cursor
from ports.folders import HighWaterMark
from ports.store import StoreError, UnfitStoreError
from services.gate import RESTORED
from services.high_water import HighWater, recognise
from tests.factories import OWNER, RECIPIENT, a_block, a_cursor
from tests.unit.services.desk import a_desk
from tests.unit.services.faulty_store import FaultyStore

OURS, OTHER = "00" * 8 + "aa" * 24, "00" * 8 + "bb" * 24


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(a_desk().memory)


@pytest.fixture
def file(tmp_path: Path) -> JsonHighWaterFile:
    return JsonHighWaterFile(tmp_path)


async def marked(file: JsonHighWaterFile, number: int = 1_000, **other: str) -> None:
    whose = {"genesis_id": OURS, "wallet": OWNER} | other
    await file.raise_to(HighWaterMark(block=a_block(number), **whose))


async def at(store: FaultyStore, cursor: Cursor) -> None:
    assert await store.move_cursor(await store.cursor(), cursor, ())


async def closed(store: FaultyStore) -> list[str]:
    return [gate.name for gate in await store.gates()]


async def test_the_first_start_has_nothing_to_hold_the_database_against(
    store: FaultyStore, file: JsonHighWaterFile
) -> None:
    await recognise(store, file, OWNER, OURS)
    assert await closed(store) == []


@pytest.mark.parametrize("known_genesis", [OURS, None])
@pytest.mark.parametrize("number", [1_000, 1_001])
async def test_the_real_database_is_not_behind(
    store: FaultyStore, file: JsonHighWaterFile, number: int, known_genesis: str | None
) -> None:
    await marked(file)
    await at(store, a_cursor(number))
    await recognise(store, file, OWNER, known_genesis)
    assert await closed(store) == []


@pytest.mark.parametrize("known_genesis", [OURS, None])
@pytest.mark.parametrize("number", [999, 1, None])
async def test_a_copy_is_behind_and_says_so(
    store: FaultyStore, file: JsonHighWaterFile, number: int | None, known_genesis: str | None
) -> None:
    await marked(file)
    if number is not None:
        await at(store, a_cursor(number))
    await recognise(store, file, OWNER, known_genesis)
    (gate,) = await store.gates()
    assert gate.name == RESTORED
    stands = "is empty" if number is None else f"has read blocks up to {number}"
    assert gate.reason.startswith(f"the database {stands}, but this deployment had read up to 1000")


async def test_the_mark_of_another_chain_stops_the_start(
    store: FaultyStore, file: JsonHighWaterFile
) -> None:
    await marked(file, genesis_id=OTHER)
    with pytest.raises(UnfitStoreError, match=f"PAYMENT_SYSTEMS_DIR.*{OTHER}.*{OURS}"):
        await recognise(store, file, OWNER, OURS)


async def test_on_a_devnet_the_database_knows_its_chain(
    store: FaultyStore, file: JsonHighWaterFile
) -> None:
    await store.remember_genesis(OURS)
    await marked(file, genesis_id=OTHER)
    with pytest.raises(UnfitStoreError, match=OTHER):
        await recognise(store, file, OWNER, None)


async def test_the_mark_of_another_wallet_stops_the_start(
    store: FaultyStore, file: JsonHighWaterFile
) -> None:
    await marked(file, wallet=RECIPIENT)
    with pytest.raises(UnfitStoreError, match=f"PAYMENT_SYSTEMS_DIR.*{RECIPIENT}.*{OWNER}"):
        await recognise(store, file, OWNER, OURS)


async def test_a_deployment_that_moved_to_another_wallet_is_still_itself(
    store: FaultyStore, file: JsonHighWaterFile
) -> None:
    await marked(file, wallet=RECIPIENT)
    await store.remember_wallet(RECIPIENT)
    await at(store, a_cursor(1_000))
    await recognise(store, file, OWNER, OURS)
    assert await closed(store) == []


async def test_the_mark_follows_the_cursor_and_stays_when_that_goes_back(
    store: FaultyStore, file: JsonHighWaterFile
) -> None:
    high_water = HighWater(store, file, OWNER)  # type: ignore[arg-type]
    await high_water.run(OURS)
    assert await file.read() is None
    for number, expected in [(5, 5), (9, 9), (7, 9), (10, 10)]:
        await at(store, a_cursor(number))
        await high_water.run(OURS)
        assert await file.read() == HighWaterMark(OURS, OWNER, a_block(expected))


async def test_a_cursor_that_stands_still_costs_no_write(
    store: FaultyStore, file: JsonHighWaterFile, tmp_path: Path
) -> None:
    await at(store, a_cursor(5))
    high_water = HighWater(store, file, OWNER)  # type: ignore[arg-type]
    await high_water.run(OURS)
    (tmp_path / "tron-payout-router.json").unlink()
    await high_water.run(OURS)
    assert await file.read() is None


async def test_a_write_that_another_replica_kept_us_from_is_tried_again(
    store: FaultyStore, file: JsonHighWaterFile, tmp_path: Path
) -> None:
    await at(store, a_cursor(5))
    high_water = HighWater(store, file, OWNER)  # type: ignore[arg-type]
    with (tmp_path / "tron-payout-router.lock").open("ab") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        await high_water.run(OURS)
        assert await file.read() is None
    await high_water.run(OURS)
    assert await file.read() == HighWaterMark(OURS, OWNER, a_block(5))


async def test_a_mark_is_read_before_the_cursor_so_that_no_running_replica_looks_restored(
    store: FaultyStore, file: JsonHighWaterFile
) -> None:
    """Between the two reads another replica may move both."""
    await marked(file, 5)
    await at(store, a_cursor(5))

    async def another_replica_goes_on() -> None:
        await at(store, a_cursor(6))
        await marked(file, 6)

    store.meanwhile("remember_genesis", "before", another_replica_goes_on)
    await recognise(store, file, OWNER, OURS)
    assert await closed(store) == []


async def test_an_unclear_answer_stops_the_start(
    store: FaultyStore, file: JsonHighWaterFile
) -> None:
    await marked(file)
    store.fail("close_gate", "before")
    with pytest.raises(StoreError):
        await recognise(store, file, OWNER, OURS)
