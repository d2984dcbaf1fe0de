"""Address lists, the KYC registry and velocity."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.memory.compliance import MemoryCompliance
from adapters.memory.store import MemoryPayoutStore
from adapters.mongo.compliance import Compliance
from adapters.mongo.store import MongoPayoutStore
from models.payout import Payout, PayoutStatus
from models.registry import AddressList, KycRecord, ListEntry, Velocity
from ports.compliance import ComplianceStore
from ports.store import PayoutStore
from tests.contract.conftest import TickingClock
from tests.contract.steps import inserted
from tests.factories import LONG_AGO, OWNER, RECIPIENT, a_payout, a_payout_id, an_order

DENY, ALLOW = AddressList.DENY, AddressList.ALLOW
KYC = KycRecord(RECIPIENT, 2, LONG_AGO, LONG_AGO + timedelta(days=365))
ADDRESSES = ["TA", "TB", "TC"]


@pytest.fixture
def compliance(store: PayoutStore) -> ComplianceStore:
    """The port's implementation that is beside a store."""
    if isinstance(store, MemoryPayoutStore):
        return MemoryCompliance(store._payouts, store._now)
    assert isinstance(store, MongoPayoutStore)
    return Compliance(store._database)


# lists


async def test_nothing_is_listed_at_first(compliance: ComplianceStore) -> None:
    assert not await compliance.listed([RECIPIENT])
    assert not await compliance.list_page(DENY, None, 10)
    assert await compliance.remove_listed(DENY, [RECIPIENT]) == 0


async def test_an_entry_says_why_by_whom_and_when(
    store: PayoutStore, compliance: ComplianceStore
) -> None:
    before = await store.now()
    reasons = {RECIPIENT: "$reason", OWNER: None}
    assert await compliance.put_listed(DENY, reasons, "$ADMIN:$ann") == 2
    after = await store.now()
    first, second = await compliance.listed([OWNER, RECIPIENT])
    assert first == ListEntry(DENY, RECIPIENT, "$reason", "$ADMIN:$ann", first.at)
    assert second == ListEntry(DENY, OWNER, None, "$ADMIN:$ann", second.at)
    assert before <= first.at <= after
    assert before <= second.at <= after


@pytest.mark.parametrize("reason", ["fraud", "", None])
async def test_putting_again_changes_nothing(
    compliance: ComplianceStore, reason: str | None
) -> None:
    await compliance.put_listed(DENY, {RECIPIENT: reason}, "ADMIN:ann")
    first = await compliance.listed([RECIPIENT])
    assert await compliance.put_listed(DENY, {RECIPIENT: reason}, "ADMIN:bob") == 0
    assert await compliance.listed([RECIPIENT]) == first


@pytest.mark.parametrize(("old", "new"), [("fraud", "court order"), (None, "fraud"), ("", None)])
async def test_another_reason_replaces_the_entry(
    store: PayoutStore, compliance: ComplianceStore, old: str | None, new: str | None
) -> None:
    await compliance.put_listed(DENY, {RECIPIENT: old}, "ADMIN:ann")
    now = await store.now()
    assert await compliance.put_listed(DENY, {RECIPIENT: new, OWNER: None}, "ADMIN:bob") == 1
    (entry,) = await compliance.listed([RECIPIENT])
    assert entry == ListEntry(DENY, RECIPIENT, new, "ADMIN:bob", entry.at)
    assert entry.at >= now


async def test_the_lists_do_not_mix(compliance: ComplianceStore) -> None:
    for list_name in (DENY, ALLOW):
        await compliance.put_listed(list_name, {RECIPIENT: str(list_name)}, "ADMIN:ann")
    both = await compliance.listed([RECIPIENT])
    assert [(entry.list_name, entry.reason) for entry in both] == [
        (ALLOW, "allow"),
        (DENY, "deny"),
    ]
    assert await compliance.list_page(DENY, None, 10) == both[1:]
    assert await compliance.remove_listed(DENY, [RECIPIENT]) == 1
    assert await compliance.listed([RECIPIENT]) == both[:1]


async def test_many_are_put_looked_up_and_removed(compliance: ComplianceStore) -> None:
    addresses = [f"T{number:04}" for number in range(300)]
    assert await compliance.put_listed(DENY, dict.fromkeys(addresses), "ADMIN:ann") == 300
    found = await compliance.listed([*addresses[::2], "unknown"])
    assert [entry.address for entry in found] == addresses[::2]
    assert await compliance.remove_listed(DENY, [*addresses[1:], "unknown"]) == 299
    assert await compliance.remove_listed(DENY, addresses[1:]) == 0
    assert [entry.address for entry in await compliance.listed(addresses)] == addresses[:1]


async def test_nothing_of_nothing(compliance: ComplianceStore) -> None:
    await compliance.put_listed(DENY, {RECIPIENT: None}, "ADMIN:ann")
    assert await compliance.put_listed(DENY, {}, "ADMIN:ann") == 0
    assert await compliance.remove_listed(DENY, []) == 0
    assert not await compliance.listed([])
    assert not await compliance.kyc_of([])


async def test_a_list_is_paged_by_address(compliance: ComplianceStore) -> None:
    await compliance.put_listed(DENY, dict.fromkeys(["TB", "TC", "TA", "TD"]), "ADMIN:ann")
    await compliance.put_listed(ALLOW, dict.fromkeys(["TA", "TE"]), "ADMIN:ann")
    pages = [await compliance.list_page(DENY, after, 2) for after in (None, "TB", "TD")]
    assert [[entry.address for entry in page] for page in pages] == [["TA", "TB"], ["TC", "TD"], []]
    assert [entry.address for entry in await compliance.list_page(ALLOW, "TB", 9)] == ["TE"]


async def test_racing_puts_add_once(compliance: ComplianceStore) -> None:
    reasons = dict.fromkeys(ADDRESSES, "fraud")
    added = await asyncio.gather(
        *(compliance.put_listed(DENY, reasons, f"ADMIN:{each}") for each in range(20))
    )
    assert sum(added) == 3
    assert len(await compliance.list_page(DENY, None, 10)) == 3


# KYC registry


async def test_nobody_is_known_at_first(compliance: ComplianceStore) -> None:
    assert not await compliance.kyc_of([RECIPIENT])
    assert not await compliance.kyc_page(None, 10)
    assert not await compliance.remove_kyc(RECIPIENT)


async def test_a_record_is_kept_replaced_and_removed(compliance: ComplianceStore) -> None:
    await compliance.put_kyc(KYC)
    await compliance.put_kyc(KYC)
    assert await compliance.kyc_of([RECIPIENT, OWNER]) == {RECIPIENT: KYC}
    renewed = replace(KYC, level=3, expires_at=LONG_AGO + timedelta(days=730))
    await compliance.put_kyc(renewed)
    assert await compliance.kyc_of([RECIPIENT]) == {RECIPIENT: renewed}
    assert await compliance.remove_kyc(RECIPIENT)
    assert not await compliance.kyc_of([RECIPIENT])
    assert not await compliance.remove_kyc(RECIPIENT)


async def test_the_registry_is_paged_by_address(compliance: ComplianceStore) -> None:
    records = [replace(KYC, address=address) for address in ADDRESSES]
    for record in reversed(records):
        await compliance.put_kyc(record)
    assert await compliance.kyc_page(None, 2) == records[:2]
    assert await compliance.kyc_page("TB", 2) == records[2:]
    assert not await compliance.kyc_page("TC", 2)


# velocity


def created(now: datetime, *ages: float, recipient: str = RECIPIENT, **of: object) -> list[Payout]:
    """Payouts of that age in seconds to a recipient."""
    order = an_order(recipient_address=recipient)
    moments = [now - timedelta(seconds=age) for age in ages]
    return [a_payout(order=order, created_at=moment, **of) for moment in moments]


async def insert_all(store: PayoutStore, payouts: Sequence[Payout]) -> None:
    for payout in payouts:
        await store.insert(payout)


async def test_a_first_payout_is_the_first(store: PayoutStore, compliance: ComplianceStore) -> None:
    nothing = Velocity({600: 0, 3600: 0}, {600: 0, 3600: 0}, recipient_known=False)
    assert await compliance.velocity(RECIPIENT, "c", None, [600, 3600], 10) == nothing
    await inserted(store, client="c", order=an_order(recipient_address=OWNER))
    assert await compliance.velocity(RECIPIENT, "c", None, [600, 3600], 10) == nothing


async def test_windows_roll_and_end_now(store: PayoutStore, compliance: ComplianceStore) -> None:
    now = await store.now()
    await insert_all(store, created(now, 30, 500, 700, 3500, 3700, client="c"))
    assert await compliance.velocity(RECIPIENT, "c", None, [600, 3600], 10) == Velocity(
        {600: 2, 3600: 4}, {600: 2, 3600: 4}, recipient_known=True
    )


async def test_an_old_payout_makes_a_recipient_known(
    store: PayoutStore, compliance: ComplianceStore
) -> None:
    await insert_all(store, created(await store.now(), 10**7, client="c"))
    assert await compliance.velocity(RECIPIENT, "c", None, [600], 10) == Velocity(
        {600: 0}, {600: 0}, recipient_known=True
    )


async def test_a_recipient_counts_for_all_and_a_client_for_itself(
    store: PayoutStore, compliance: ComplianceStore
) -> None:
    now = await store.now()
    await insert_all(store, created(now, 1, 2, client="c", tenant="t"))
    await insert_all(store, created(now, 1, client="c", tenant="other"))
    await insert_all(store, created(now, 1, client="c"))
    await insert_all(store, created(now, 1, client="d", tenant="t"))
    await insert_all(store, created(now, 1, 2, 3, client="c", tenant="t", recipient=OWNER))
    counts = {
        owner: await compliance.velocity(RECIPIENT, *owner, [60], 100)
        for owner in [("c", "t"), ("c", None), ("d", None)]
    }
    assert [each.to_recipient for each in counts.values()] == [{60: 5}] * 3
    assert [each.by_client for each in counts.values()] == [{60: 5}, {60: 1}, {60: 0}]


@pytest.mark.parametrize("status", list(PayoutStatus))
async def test_a_payout_counts_whatever_became_of_it(
    store: PayoutStore, compliance: ComplianceStore, status: PayoutStatus
) -> None:
    await insert_all(store, created(await store.now(), 1, client="c", status=status))
    assert await compliance.velocity(RECIPIENT, "c", None, [60], 9) == Velocity(
        {60: 1}, {60: 1}, recipient_known=True
    )


async def test_counting_stops_where_it_was_told_to(
    store: PayoutStore, compliance: ComplianceStore
) -> None:
    await insert_all(store, created(await store.now(), 700, 20, 710, 10, 720, client="c"))
    for up_to, expected in [(1, {600: 1, 3600: 1}), (3, {600: 2, 3600: 3})]:
        assert await compliance.velocity(RECIPIENT, "c", None, [600, 3600], up_to) == Velocity(
            expected, expected, recipient_known=True
        )


async def test_what_is_no_payout_counts_nowhere(
    store: PayoutStore, compliance: ComplianceStore
) -> None:
    await store.bury(a_payout_id())
    assert not (await compliance.velocity("", "", None, [60], 9)).recipient_known


# twins

WHO = st.sampled_from([("c", None), ("c", "t"), ("$c", None)])
RECIPIENTS = st.sampled_from(ADDRESSES)
AGES = st.sampled_from([0, 100, 700, 4_000])
"""Far from the edges of the windows, so that the time that a test takes moves nothing across."""

PUTS = st.tuples(
    st.just("put_listed"),
    st.sampled_from(AddressList),
    st.dictionaries(RECIPIENTS, st.sampled_from([None, "", "$reason", "fraud"])),
    st.sampled_from(["ADMIN:ann", "$by"]),
)
REMOVALS = st.tuples(
    st.just("remove_listed"), st.sampled_from(AddressList), st.lists(RECIPIENTS, max_size=2)
)


def undated(entries: Sequence[ListEntry]) -> list[ListEntry]:
    """Entries without the time of either clock."""
    return [replace(entry, at=LONG_AGO) for entry in entries]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PUTS | REMOVALS, max_size=8), RECIPIENTS, st.integers(1, 3))
async def test_the_twins_agree_on_lists(
    mongo_store: MongoPayoutStore, steps: list[tuple[object, ...]], after: str, limit: int
) -> None:
    mongo = Compliance(mongo_store._database)
    for list_name in AddressList:
        await mongo.remove_listed(list_name, ADDRESSES)
    outcomes = []
    for twin in (mongo, MemoryCompliance({}, TickingClock())):
        answers = [await getattr(twin, str(name))(*arguments) for name, *arguments in steps]
        pages = [await twin.list_page(name, after, limit) for name in AddressList]
        found = [undated(each) for each in (await twin.listed(ADDRESSES), *pages)]
        outcomes.append((answers, found))
    assert outcomes[0] == outcomes[1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(WHO, RECIPIENTS, AGES), max_size=8), WHO, RECIPIENTS, st.integers(1, 4))
async def test_the_twins_agree_on_velocity(
    mongo_store: MongoPayoutStore,
    payouts: list[tuple[tuple[str, str | None], str, int]],
    who: tuple[str, str | None],
    recipient: str,
    up_to: int,
) -> None:
    await mongo_store._payouts.delete_many({})
    now = await mongo_store.now()
    memory_store = MemoryPayoutStore(lambda: now)
    for (client, tenant), to, age in payouts:
        of = {"client": client, "tenant": tenant, "recipient": to}
        for store in (mongo_store, memory_store):
            await insert_all(store, created(now, age, **of))
    twins = (
        Compliance(mongo_store._database),
        MemoryCompliance(memory_store._payouts, memory_store._now),
    )
    counts = [await twin.velocity(recipient, *who, [60, 600, 3600], up_to) for twin in twins]
    assert counts[0] == counts[1]
