"""The memory store does with any change exactly what MongoDB does with it."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.memory.store import MemoryPayoutStore
from adapters.mongo.store import MongoPayoutStore
from models.approval import Approval
from models.errors import Reason
from models.findings import Effect, Finding, Hold
from models.order import RouteName
from models.payout import Change, Guard, Lease, Payout, PayoutStatus
from models.transaction import AttemptState
from tests.contract.conftest import TickingClock
from tests.factories import LONG_AGO, a_hit, a_payout, an_attempt

TOKENS = ["token", "$token"]
FIELDS = {
    "counted_deaths": 2,
    "min_fee_limit_sun": 2**40,
    "route": RouteName.KYC,
    "window_ids": ("$day",),
    "findings": (Finding("$rule", Effect.HOLD, "$text", "P600"),),
    "hold": Hold(("$rule",), "$text", "P600", ("ADMIN",)),
    "approval": Approval("$two", 2, ("ADMIN",), 60, LONG_AGO, ()),
}
SOON = LONG_AGO + timedelta(days=365)


@st.composite
def payouts_and_changes(draw: st.DrawFn) -> tuple[Payout, Change]:
    """A payout in some state, and a change whose guard often holds."""
    attempts = [an_attempt(), an_attempt(number=2)]
    txids = [attempt.txid for attempt in attempts]
    maybe_attempt = st.sampled_from([None, *attempts])
    maybe_txid = st.sampled_from([None, *txids])
    live = draw(maybe_attempt)
    status = draw(st.sampled_from(PayoutStatus))
    payout = a_payout(
        status=status,
        live_attempt=live,
        lease=draw(st.sampled_from([None, *(Lease("o", token, LONG_AGO) for token in TOKENS)])),
        txids=tuple(draw(st.lists(st.sampled_from(txids), unique=True))),
        hits=tuple(map(a_hit, draw(st.lists(st.sampled_from(attempts), unique_by=id)))),
        version=draw(st.integers(0, 1)),
    )
    maybe_live = st.just(live.txid if live else None) | maybe_txid
    change = Change(
        payout_id=payout.payout_id,
        guard=Guard(
            status=draw(st.just(status) | st.sampled_from(PayoutStatus)),
            live_txid=draw(maybe_live),
            version=draw(st.sampled_from([None, payout.version, 0])),
            unhit=draw(st.booleans()),
            lease_token=draw(st.sampled_from([None, *TOKENS])),
            fresh_txid=draw(maybe_txid),
        ),
        to_status=draw(st.sampled_from(PayoutStatus)),
        by=draw(st.sampled_from(["by", "$$NOW"])),
        why=draw(st.sampled_from([None, Reason("P200", "$status")])),
        act=draw(st.sampled_from([None, "$approved"])),
        fields=draw(st.sampled_from([{}, FIELDS])),
        record=draw(maybe_attempt),
        close_as=draw(st.sampled_from([None, AttemptState.DEAD])) if live else None,
        hit=draw(st.sampled_from([None, a_hit(attempts[0])])),
        due_in_seconds=draw(st.sampled_from([None, 0.0, 15.5])),
    )
    return payout, change


def without_times(value: Any) -> Any:
    """A value in which every time that a store's clock gave is "now"."""
    if isinstance(value, datetime):
        return "now" if value > SOON else value
    if isinstance(value, tuple):
        return tuple(map(without_times, value))
    if is_dataclass(value):
        return {part.name: without_times(getattr(value, part.name)) for part in fields(value)}
    return dict(value) if isinstance(value, Mapping) else value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payouts_and_changes())
async def test_the_twins_agree_on_every_change(
    mongo_store: MongoPayoutStore, case: tuple[Payout, Change]
) -> None:
    payout, change = case
    outcomes = []
    for store in (mongo_store, MemoryPayoutStore(TickingClock())):
        await store.insert(payout)
        matched = await store.apply([change])
        outcomes.append((matched, without_times(await store.get(payout.payout_id))))
    assert outcomes[0] == outcomes[1]
