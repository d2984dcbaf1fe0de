"""The MongoDB store against servers that are unfit, gone or stuck, and what its calls cost."""

import asyncio
import os
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
from pymongo import ReadPreference, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from pymongo.read_concern import ReadConcern

from adapters.mongo.client import Collection, Database, majority_database, open_client
from adapters.mongo.store import MongoPayoutStore
from devnet.binaries import library_environment, mongod_binary
from devnet.embedded import Mongod
from devnet.process import Server, free_port
from models.money import Currency
from models.order import RouteName
from models.payout import Change, Guard, PayoutStatus
from models.transaction import BroadcastNote
from ports.audit import AuditQuery
from ports.store import PayoutQuery, Scope, StoreError, Unexplained, UnfitStoreError
from tests.audit import a_log, a_story, an_act, records_of
from tests.contract.steps import inserted, processing, recording, stored
from tests.databases import fresh_database, fresh_store
from tests.factories import (
    LONG_AGO,
    OWNER,
    RECIPIENT,
    a_cursor,
    a_hit,
    a_payout,
    a_window,
    an_attempt,
    an_order,
)

WINDOWS = [a_window(f"day:USDT:{number}", maximum=10**12) for number in range(3)]
CANCEL = Change("payout_1", Guard(PayoutStatus.PENDING), PayoutStatus.CANCELLED, "test")

OF_TENANT = Scope(tenant="north", any_tenant=False)

Call = Callable[[MongoPayoutStore], Awaitable[object]]

INDEXED_READS: dict[str, Call] = {
    "find_by_key": lambda store: store.find_by_key("client", "key"),
    "get": lambda store: store.get("payout_1"),
    "list": lambda store: store.list(PayoutQuery(), 10),
    "list by scope": lambda store: store.list(PayoutQuery(Scope("client", "node")), 10),
    "list of a tenant": lambda store: store.list(PayoutQuery(OF_TENANT), 10),
    "list by status": lambda store: store.list(PayoutQuery(status=PayoutStatus.FAILED), 10),
    "list by recipient": lambda store: store.list(PayoutQuery(recipient="r"), 10),
    "list by txid": lambda store: store.list(PayoutQuery(txid="0" * 64), 10),
    "list by session": lambda store: store.list(PayoutQuery(session_id="s"), 10),
    "list by node": lambda store: store.list(PayoutQuery(node_id="n"), 10),
    "list by reference": lambda store: store.list(PayoutQuery(reference="r"), 10),
    "list by batch": lambda store: store.list(PayoutQuery(batch_id="b"), 10),
    "list of a client's batch": lambda store: store.list(
        PayoutQuery(Scope("client", tenant="north", any_tenant=False), batch_id="b"), 10
    ),
    "list by time": lambda store: store.list(PayoutQuery(created_from=LONG_AGO), 10),
    "totals of a client": lambda store: store.totals(Scope("client")),
    "totals of a tenant": lambda store: store.totals(OF_TENANT),
    "claim": lambda store: store.claim(10, "owner", "token", 60),
    "claim of one currency": lambda store: store.claim(10, "o", "t", 60, [Currency.TRX]),
    "claim for some wallets": lambda store: store.claim(
        10, "o", "t", 60, wallets=[OWNER, RECIPIENT], without_routes=[RouteName.KYC]
    ),
    "backlog": lambda store: store.backlog(),
    "waiting_on": lambda store: store.waiting_on(RouteName.KYC, 60, None, 10),
    "waiting_on, a further page": lambda store: store.waiting_on(RouteName.KYC, 60, a_payout(), 10),
    "recorded": lambda store: store.recorded("token"),
    "exposures": lambda store: store.exposures("token"),
    "cursor": lambda store: store.cursor(),
    "to_settle": lambda store: store.to_settle(10),
    "live_to_review": lambda store: store.live_to_review(0, 0, 0, 10),
    "oldest_doubtful_block": lambda store: store.oldest_doubtful_block(),
    "unexplained": lambda store: store.unexplained(only_open=True, limit=10),
    "find_unexplained": lambda store: store.find_unexplained("0" * 64),
    "count_open_unexplained": lambda store: store.count_open_unexplained(),
    "used": lambda store: store.used(["window", "another"]),
    "to_release": lambda store: store.to_release(10),
    "expire_due": lambda store: store.expire_due(10),
    "release_due": lambda store: store.release_due(10),
    "full_batches": lambda store: store.full_batches(2),
    "ended": lambda store: store.ended(LONG_AGO, LONG_AGO, None, 10),
    "ended, a further page": lambda store: store.ended(LONG_AGO, LONG_AGO, a_payout(), 10),
    "unlogged": lambda store: store.unlogged(10),
    "audit_head": lambda store: store.audit_head(),
    "audit_entry": lambda store: store.audit_entry(1),
    "entries_after": lambda store: store.entries_after(0, 10),
    "logged": lambda store: store.logged(["payout_1"]),
    "stories": lambda store: store.stories(["payout_1"]),
    "list_entries": lambda store: store.list_entries(AuditQuery(), 10),
    "list_entries by subject": lambda store: store.list_entries(AuditQuery(subject="s"), 10),
    "list_entries by action": lambda store: store.list_entries(AuditQuery(action="a"), 10),
    "list_entries by who": lambda store: store.list_entries(AuditQuery(by="b"), 10),
    "list_entries by request": lambda store: store.list_entries(AuditQuery(request_id="r"), 10),
    "list_entries by time": lambda store: store.list_entries(AuditQuery(at_from=LONG_AGO), 10),
    "archive_entries": lambda store: store.archive_entries(60, 10),
}
OTHER_CALLS: dict[str, Call] = {
    "prepare": lambda store: store.prepare(),
    "ping": lambda store: store.ping(),
    "now": lambda store: store.now(),
    "insert": lambda store: store.insert(a_payout()),
    "list all unexplained": lambda store: store.unexplained(only_open=False, limit=10),
    "totals": lambda store: store.totals(Scope()),
    "apply": lambda store: store.apply([CANCEL]),
    "note_broadcasts": lambda store: store.note_broadcasts([BroadcastNote("p", "t", "SUCCESS")]),
    "move_cursor": lambda store: store.move_cursor(None, a_cursor(), [a_hit()]),
    "mark_settled": lambda store: store.mark_settled("payout_1", ["0" * 64]),
    "claim_unexplained": lambda store: store.claim_unexplained(
        Unexplained("0" * 64, a_hit(), None, None, None, None), None, "by", "note"
    ),
    "close_unexplained": lambda store: store.close_unexplained("0" * 64),
    "reserve": lambda store: store.reserve(WINDOWS, "payout_1", 1),
    "release": lambda store: store.release(["window"], "payout_1"),
    "settle_reservations": lambda store: store.settle_reservations({"window": ["payout_1"]}),
    "mark_reservations": lambda store: store.mark_reservations({"payout_1": "kept"}),
    "orphans": lambda store: store.orphans(0, 10),
    "bury": lambda store: store.bury(f"payout_{uuid.uuid4().hex}"),
    "gates": lambda store: store.gates(),
    "standing": lambda store: store.standing(),
    "close_gate": lambda store: store.close_gate("wallet", "reason"),
    "open_gate": lambda store: store.open_gate("wallet"),
    "remember_genesis": lambda store: store.remember_genesis("0" * 64),
    "remember_wallet": lambda store: store.remember_wallet(OWNER),
    "note_act": lambda store: store.note_act(an_act()),
    "count_unlogged": lambda store: store.count_unlogged(),
    "append_entries": lambda store: store.append_entries(a_log()),
    "forget_logged": lambda store: store.forget_logged([an_act(), *records_of(a_story())]),
}
CALLS = INDEXED_READS | OTHER_CALLS


class CommandCounter(CommandListener):
    """Counts commands by name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def started(self, event: CommandStartedEvent) -> None:
        self.counts[event.command_name] += 1

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@pytest.fixture(scope="module")
def own_mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """A server that a test may do bad things to."""
    with Mongod(tmp_path_factory.mktemp("own-mongod")) as server:
        yield server


@pytest.fixture
async def database(mongodb_url: str) -> AsyncIterator[Database]:
    async with fresh_database(mongodb_url) as database:
        yield database


@pytest.fixture
async def own_store(own_mongod: Mongod) -> AsyncIterator[MongoPayoutStore]:
    """A prepared store with two seconds of patience on the test's own server."""
    client = open_client(own_mongod.url, timeout_seconds=2)
    store = MongoPayoutStore(majority_database(client, "own"))
    await store.prepare()
    yield store
    client.close()


class Standalone(Server):
    """A mongod that is no replica set; it is ready when it listens."""

    def is_ready(self) -> bool:
        return True


async def test_a_server_that_is_no_replica_set_is_refused(tmp_path: Path) -> None:
    binary, port = mongod_binary(), free_port()
    command = [binary, "--dbpath", tmp_path, "--port", port, "--bind_ip", "127.0.0.1"]
    environment = {**os.environ, **library_environment(binary, tmp_path / "lib")}
    with Standalone("MongoDB", [*map(str, command)], tmp_path / "log", port, environment):
        client = open_client(f"mongodb://127.0.0.1:{port}/", timeout_seconds=20)
        with pytest.raises(UnfitStoreError, match=r"MONGODB_URL.*not a replica set.*--replSet"):
            await MongoPayoutStore(majority_database(client)).prepare()
        client.close()


async def test_the_database_of_the_url_is_used() -> None:
    for path, name in (("of_the_url", "of_the_url"), ("", "payout_router")):
        client = open_client(f"mongodb://127.0.0.1:1/{path}", timeout_seconds=1)
        assert majority_database(client).name == name
        client.close()


async def test_preparing_makes_the_indexes_and_makes_them_again(database: Database) -> None:
    store = MongoPayoutStore(database)
    await store.prepare()
    await database["payouts"].drop_index("txids_unique")
    await store.prepare()
    assert "txids_unique" in await database["payouts"].index_information()


async def test_an_index_of_before_is_dropped(database: Database) -> None:
    """It would refuse a key that a client of another tenant has used."""
    keys = [("client", 1), ("idempotency_key", 1)]
    await database["payouts"].create_index(keys, name="client_key_unique", unique=True)
    store = MongoPayoutStore(database)
    await store.prepare()
    assert "client_key_unique" not in await database["payouts"].index_information()
    for tenant in (None, "north", "south"):
        await inserted(store, tenant=tenant, idempotency_key="key")


@pytest.mark.parametrize(
    ("keys", "options"),
    [
        ("txids", {"name": "txids_unique"}),
        ("txids", {"name": "txids_unique", "unique": True, "sparse": True}),
        ("client", {"name": "owner_key_unique"}),
        (
            "txids",
            {
                "name": "somebody_elses",
                "unique": True,
                "partialFilterExpression": {"txids": {"$gt": ""}},
            },
        ),
    ],
    ids=["not unique", "not partial", "other keys", "other name"],
)
async def test_an_index_in_the_way_is_refused(
    database: Database, keys: str, options: dict[str, object]
) -> None:
    await database["payouts"].create_index(keys, **options)
    with pytest.raises(UnfitStoreError, match="indexes of the payouts collection are unfit"):
        await MongoPayoutStore(database).prepare()


async def test_data_that_breaks_a_unique_index_is_refused(database: Database) -> None:
    await database["payouts"].insert_many([{"txids": ["same"]}, {"txids": ["other", "same"]}])
    with pytest.raises(UnfitStoreError, match="txids_unique"):
        await MongoPayoutStore(database).prepare()


async def test_a_write_that_no_majority_confirms_is_unknown(database: Database) -> None:
    store = MongoPayoutStore(database)
    await store.prepare()
    payout = await inserted(store)
    unconfirmed = MongoPayoutStore(
        database.with_options(write_concern=WriteConcern(w=2, wtimeout=100))
    )
    attempt = an_attempt(payout)
    calls: list[Call] = [
        lambda store: store.claim(1, "owner", "token", 60),
        lambda store: store.apply([recording(payout, attempt)]),
        lambda store: store.insert(a_payout()),
        lambda store: store.move_cursor(None, a_cursor(), [a_hit()]),
        lambda store: store.reserve(WINDOWS, "payout_1", 1),
        lambda store: store.bury("payout_1"),
    ]
    for call in calls:
        with pytest.raises(StoreError):
            await call(unconfirmed)
    # It may have happened all the same: the caller must read to know.
    await store.ping()
    assert (await stored(store, payout)).live_attempt == attempt


class Beaten:
    """A collection in which another replica is quicker, so many times."""

    def __init__(self, collection: Collection, times: int) -> None:
        self._collection = collection
        self._times = times

    def __getattr__(self, name: str) -> object:
        return getattr(self._collection, name)

    async def bulk_write(self, group: list[UpdateOne], *, ordered: bool) -> object:
        if self._times:
            self._times -= 1
            await self._collection.bulk_write(group[:1], ordered=ordered)
            raise BulkWriteError({"writeErrors": [{"code": 11000, "errmsg": "duplicate key"}]})
        return await self._collection.bulk_write(group, ordered=ordered)


@pytest.mark.parametrize("hits", [0, 2])
async def test_a_replica_that_was_beaten_to_a_document_goes_on(
    database: Database, hits: int
) -> None:
    store = MongoPayoutStore(database)
    await store.prepare()
    store._payouts = Beaten(database["payouts"], hits + 1)  # type: ignore[assignment]
    assert await store.move_cursor(None, a_cursor(), [a_hit() for _ in range(hits)])
    assert await store.cursor() == a_cursor()
    assert await store.count_open_unexplained() == hits


async def test_a_duplicate_that_stays_is_a_store_error(database: Database) -> None:
    store = MongoPayoutStore(database)
    await store.prepare()
    hit = a_hit()
    await database["payouts"].insert_one({"_id": f"unexplained_{hit.txid}"})
    with pytest.raises(StoreError, match="duplicate key"):
        await store.move_cursor(None, a_cursor(), [hit])
    assert await store.cursor() is None


async def test_an_error_does_not_print_documents(database: Database) -> None:
    store = MongoPayoutStore(database)
    await store.prepare()
    _, attempt = await processing(store)
    other = await inserted(store, order=an_order(description="private"))
    with pytest.raises(StoreError) as caught:
        await store.apply([recording(other, attempt)])
    assert "private" not in str(caught.value)
    assert "signature" not in str(caught.value)


async def commands_of(counter: CommandCounter, call: Awaitable[object]) -> Counter[str]:
    """How many commands of each kind a call sends."""
    before = counter.counts.copy()
    await call
    return counter.counts - before


async def test_round_trips_are_per_group(mongodb_url: str) -> None:
    counter = CommandCounter()
    async with fresh_store(mongodb_url, [counter]) as store:
        payouts = [a_payout() for _ in range(150)]
        attempts = {payout.payout_id: an_attempt(payout) for payout in payouts}
        idle = store.claim(150, "owner", "token", 60)
        assert await commands_of(counter, idle) == {"find": 1}
        assert await commands_of(counter, store.insert(payouts[0])) == {"insert": 1}
        await asyncio.gather(*map(store.insert, payouts))
        claim = store.claim(150, "owner", "token", 60)
        assert await commands_of(counter, claim) == {"find": 2, "update": 1}
        changes = [recording(payout, attempts[payout.payout_id]) for payout in payouts]
        assert await commands_of(counter, store.apply(changes)) == {"update": 1}
        notes = [BroadcastNote(key, attempt.txid, "SUCCESS") for key, attempt in attempts.items()]
        assert await commands_of(counter, store.note_broadcasts(notes)) == {"update": 1}
        hits = [*map(a_hit, attempts.values()), a_hit()]
        move = store.move_cursor(None, a_cursor(1), hits)
        assert await commands_of(counter, move) == {"update": 1}
        move = store.move_cursor(a_cursor(1), a_cursor(2), [])
        assert await commands_of(counter, move) == {"update": 1}
        assert await commands_of(counter, store.exposures("t")) == {"aggregate": 1}
        assert await commands_of(counter, store.to_settle(100)) == {"find": 1}
        assert await commands_of(counter, store.live_to_review(0, 0, 0, 100)) == {"find": 1}
        reserving = store.reserve(WINDOWS, "payout_1", 1)
        assert await commands_of(counter, reserving) == {"update": 1, "find": 1}
        releasing = store.release([window.window_id for window in WINDOWS], "payout_1")
        assert await commands_of(counter, releasing) == {"update": 1}
        keeping = store.settle_reservations({window.window_id: ["payout_1"] for window in WINDOWS})
        assert await commands_of(counter, keeping) == {"update": 1}
        assert await commands_of(counter, store.expire_due(100)) == {"aggregate": 1}
        assert await commands_of(counter, store.release_due(100)) == {"aggregate": 1}
        assert await commands_of(counter, store.full_batches(2)) == {"aggregate": 1}


async def test_no_read_of_payouts_scans_the_collection(own_store: MongoPayoutStore) -> None:
    for _ in range(3):
        await inserted(own_store)
    admin = own_store._database.client.admin
    await admin.command("setParameter", notablescan=True)
    try:
        for name, call in INDEXED_READS.items():
            try:
                await call(own_store)
            except StoreError as error:
                pytest.fail(f"{name}: {error}")
        with pytest.raises(StoreError):  # that one has to
            await own_store.totals(Scope())
    finally:
        await admin.command("setParameter", notablescan=False)


CLAIMS: list[tuple[list[Currency], list[str]]] = [
    ([Currency.TRX], [OWNER, RECIPIENT]),
    ([Currency.TRX, Currency.USDT], [OWNER, RECIPIENT]),
    ([Currency.TRX, Currency.USDT], [RECIPIENT]),
]


async def test_a_claim_looks_at_no_payout_that_it_may_not_take(database: Database) -> None:
    """A currency that is paused, a wallet that is closed, and what is taken together with others
    cost nothing by their number."""
    store = MongoPayoutStore(database)
    await store.prepare()
    kinds = product((Currency.USDT, Currency.TRX), (OWNER, RECIPIENT, None))
    payouts = [
        a_payout(order=an_order(currency=currency), wallet=wallet, rank_at=LONG_AGO)
        for currency, wallet in kinds
        for _ in range(40)
    ]
    await asyncio.gather(*map(store.insert, payouts))
    await database.command("profile", 2)
    for currencies, wallets in CLAIMS:
        await store.claim(5, "owner", "token", 0, currencies, wallets)
    await database.command("profile", 0)
    finds = database["system.profile"].find(
        {"command.find": "payouts", "command.sort": {"$ne": None}}, sort=[("ts", 1)]
    )
    looked_at = [(each["docsExamined"], each.get("hasSortStage", False)) async for each in finds]
    # One document of each currency and wallet stands ready to be the next one.
    kinds_of = [len(currencies) * (len(wallets) + 1) for currencies, wallets in CLAIMS]
    for (documents, sorted_in_memory), ready in zip(looked_at, kinds_of, strict=True):
        assert documents <= 5 + ready
        assert not sorted_in_memory


async def all_fail(store: MongoPayoutStore) -> None:
    """Every call raises StoreError, long before anybody would call it stuck."""

    async with asyncio.timeout(60):
        results = await asyncio.gather(
            *(call(store) for call in CALLS.values()), return_exceptions=True
        )
    outcomes = dict(zip(CALLS, map(type, results), strict=True))
    assert outcomes == dict.fromkeys(CALLS, StoreError)


async def all_succeed(store: MongoPayoutStore) -> None:
    for call in CALLS.values():
        await call(store)


async def test_a_dead_server_is_a_store_error_and_comes_back(
    own_mongod: Mongod, own_store: MongoPayoutStore
) -> None:
    payout, _ = await processing(own_store)
    own_mongod.kill()
    await all_fail(own_store)
    own_mongod.start()
    await own_store.ping()
    assert await stored(own_store, payout) == payout
    await all_succeed(own_store)


async def test_a_stuck_server_is_a_store_error_and_comes_back(
    own_mongod: Mongod, own_store: MongoPayoutStore
) -> None:
    payout, _ = await processing(own_store)
    os.kill(own_mongod.pid, signal.SIGSTOP)
    try:
        await all_fail(own_store)
    finally:
        os.kill(own_mongod.pid, signal.SIGCONT)
    await own_store.ping()
    assert await stored(own_store, payout) == payout
    await all_succeed(own_store)


async def test_what_decides_is_read_from_the_primary_and_written_to_a_majority(
    database: Database,
) -> None:
    assert database.read_preference == ReadPreference.PRIMARY
    assert database.read_concern == ReadConcern("majority")
    assert database.write_concern == WriteConcern(w="majority", j=True)


async def test_a_list_of_a_tenant_looks_at_no_other_tenants(database: Database) -> None:
    store = MongoPayoutStore(database)
    await store.prepare()
    for tenant, count in ((None, 30), ("north", 5), ("south", 30)):
        for _ in range(count):
            await inserted(store, tenant=tenant)
    await database.command("profile", 2)
    assert len(await store.list(PayoutQuery(OF_TENANT), 10)) == 5
    await database.command("profile", 0)
    found = database["system.profile"].find({"command.find": "payouts"})
    assert [each["docsExamined"] async for each in found] == [5]
