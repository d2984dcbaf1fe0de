"""A database is held against what the deployment knew outside of it."""

import fcntl
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapters.files.high_water import JsonHighWaterFile
from models.audit import GENESIS, Head, linked
from models.chain import Cursor
from ports.audit import UnreadableEntryError
from ports.folders import HighWaterMark
from ports.store import StoreError, UnfitStoreError
from services.gate import RESTORED
from services.high_water import HighWater, recognise, recognise_log
from tests.audit import an_act
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
    high_water = HighWater(store, store, file, OWNER)  # type: ignore[arg-type]
    await high_water.run(OURS)
    assert await file.read() is None
    for number, expected in [(5, 5), (9, 9), (7, 9), (10, 10)]:
        await at(store, a_cursor(number))
        await high_water.run(OURS)
        assert await file.read() == HighWaterMark(OURS, OWNER, a_block(expected), GENESIS)


async def test_a_cursor_that_stands_still_costs_no_write(
    store: FaultyStore, file: JsonHighWaterFile, tmp_path: Path
) -> None:
    await at(store, a_cursor(5))
    high_water = HighWater(store, store, file, OWNER)  # type: ignore[arg-type]
    await high_water.run(OURS)
    (tmp_path / "tron-payout-router.json").unlink()
    await high_water.run(OURS)
    assert await file.read() is None


async def test_a_write_that_another_replica_kept_us_from_is_tried_again(
    store: FaultyStore, file: JsonHighWaterFile, tmp_path: Path
) -> None:
    await at(store, a_cursor(5))
    high_water = HighWater(store, store, file, OWNER)  # type: ignore[arg-type]
    with (tmp_path / "tron-payout-router.lock").open("ab") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        await high_water.run(OURS)
        assert await file.read() is None
    await high_water.run(OURS)
    assert await file.read() == HighWaterMark(OURS, OWNER, a_block(5), GENESIS)


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


# ---- the audit log's head ----


async def logged(store: FaultyStore, entries: int) -> Head:
    """A log of so many entries."""
    await store.append_entries(linked(GENESIS, [an_act() for _ in range(entries)]))
    head: Head = await store.audit_head()
    return head


async def complaints(store: FaultyStore, file: JsonHighWaterFile) -> list[str]:
    """What a start says of the audit log."""
    with capture_logs() as lines:
        await recognise_log(store, file)  # type: ignore[arg-type]
    return [line["event"] for line in lines if line["log_level"] == "error"]


async def test_the_mark_notes_the_head_and_a_log_that_grew_has_it(
    store: FaultyStore, file: JsonHighWaterFile
) -> None:
    assert await complaints(store, file) == []
    head = await logged(store, 3)
    await at(store, a_cursor(5))
    high_water = HighWater(store, store, file, OWNER)  # type: ignore[arg-type]
    await high_water.run(OURS)
    assert await file.read() == HighWaterMark(OURS, OWNER, a_block(5), head)
    assert await complaints(store, file) == []
    await store.append_entries(linked(head, [an_act()]))
    assert await complaints(store, file) == []


@pytest.mark.parametrize("entries", [0, 2, 3, 4])
async def test_a_log_that_lacks_the_noted_head_is_told(
    store: FaultyStore, file: JsonHighWaterFile, entries: int
) -> None:
    """Cut off, or of other content."""
    await file.raise_to(HighWaterMark(OURS, OWNER, a_block(), Head(3, "ab" * 32)))
    await logged(store, entries)
    (complaint,) = await complaints(store, file)
    assert complaint.startswith("audit log contradicts its noted head")


async def test_an_entry_that_cannot_be_read_contradicts_too(
    store: FaultyStore, file: JsonHighWaterFile
) -> None:
    head = await logged(store, 3)
    await file.raise_to(HighWaterMark(OURS, OWNER, a_block(), head))

    async def unreadable() -> None:
        raise UnreadableEntryError(3)

    store.meanwhile("audit_entry", "before", unreadable)
    assert len(await complaints(store, file)) == 1


@pytest.mark.parametrize("head", [None, GENESIS])
async def test_a_mark_from_before_the_first_entry_says_nothing(
    store: FaultyStore, file: JsonHighWaterFile, head: Head | None
) -> None:
    await file.raise_to(HighWaterMark(OURS, OWNER, a_block(), head))
    assert await complaints(store, file) == []


async def test_a_mark_without_a_head_is_read(file: JsonHighWaterFile, tmp_path: Path) -> None:
    """As versions before the audit log wrote it."""
    block = a_block()
    (tmp_path / "tron-payout-router.json").write_text(
        f'{{"genesis_id": "{OURS}", "wallet": "{OWNER}", "block": {{"number": {block.number}, '
        f'"block_id": "{block.block_id}", "time_ms": {block.time_ms}}}}}',
        encoding="utf-8",
    )
    assert await file.read() == HighWaterMark(OURS, OWNER, block, None)
