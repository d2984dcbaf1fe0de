"""Dispatch against what can come between its steps: a cancel, a lost answer, another replica."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.memory.store import MemoryPayoutStore
from devnet.devnet import Devnet
from devnet.settings import DevnetSettings
from models.chain import BLOCK_INTERVAL_MS
from models.compliance import Rule, RuleKind
from models.errors import Reason
from models.findings import Effect
from models.money import Currency
from models.pause import Activity, Pause
from models.payout import Guard, Payout, PayoutStatus, move
from models.policy import AttemptPolicy
from models.settlement import after_death
from models.transaction import Attempt
from ports.chain import ChainUnavailableError
from ports.signer import SignerUnavailableError
from ports.store import StoreError
from services.attempts import AttemptBuilder, UnbuildableError
from services.dispatch import LOOK_SECONDS, LOOK_TRIES, recording
from services.gate import Closed
from tests.factories import a_cursor, a_hit, a_payout, an_attempt
from tests.harness import DECISIONS, POLICIES, SERVICE, SOLID_LAG, FakeClock, House, open_house
from tests.unit.services.faulty_store import FaultyStore

S = PayoutStatus
DENY_LIST = Rule("deny_list", RuleKind.DENY_LIST, Effect.REFUSE, at_dispatch=True)
ASKING_AGAIN = replace(POLICIES, decisions=replace(DECISIONS, rules=(DENY_LIST,)))


async def a_house(**options: object) -> House:
    """A started house whose store fails on demand."""
    clock = FakeClock()
    house = await open_house(store=FaultyStore(MemoryPayoutStore(clock)), clock=clock, **options)  # type: ignore[arg-type]
    await house.start()
    return house


def broadcasts(house: House) -> int:
    """How often the devnet's node was sent a transaction."""
    (paths,) = house.net.calls()["nodes"]
    return int(paths.get("/wallet/broadcasthex", 0))


async def test_a_cancel_between_claim_and_record_wins_and_nothing_is_sent() -> None:
    house = await a_house()
    payout, other = await house.create(), await house.create()

    async def cancel() -> None:
        await house.services.router.cancel(SERVICE, payout.payout_id, "changed my mind")

    house.store.meanwhile("claim", "after", cancel)
    await house.dispatch()
    await house.settle()
    after = await house.get(payout)
    assert (after.status, after.txids, house.paid(payout)) == (S.CANCELLED, (), 0)
    assert ((await house.get(other)).status, house.paid(other)) == (S.COMPLETED, 1)


@pytest.mark.parametrize("step", ["listed", "exposures", "apply"])
async def test_a_cancel_wins_at_every_step_up_to_the_record(step: str) -> None:
    house = await a_house(policies=ASKING_AGAIN)
    payout = await house.create()

    async def claimed() -> None:
        house.store.meanwhile(step, "before", cancel)

    async def cancel() -> None:
        await house.services.router.cancel(SERVICE, payout.payout_id, None)

    house.store.meanwhile("claim", "after", claimed)
    await house.dispatch()
    await house.settle()
    after = await house.get(payout)
    assert (after.status, after.txids, house.paid(payout)) == (S.CANCELLED, (), 0)


async def test_a_cancel_after_the_record_is_refused_and_the_payout_is_paid() -> None:
    house = await a_house()
    payout = await house.create()
    refusals: list[str] = []

    async def cancel() -> None:
        with pytest.raises(Exception, match="P500") as refusal:
            await house.services.router.cancel(SERVICE, payout.payout_id, None)
        refusals.append(str(refusal.value))

    house.store.meanwhile("apply", "after", cancel)
    done = await house.pay(payout)
    assert len(refusals) == 1
    assert (done.status, house.paid(payout)) == (S.COMPLETED, 1)


async def test_an_expiry_between_claim_and_record_wins() -> None:
    house = await a_house()
    payout = await house.create(expires_at=house.clock.at + timedelta(seconds=30))

    async def expire() -> None:
        house.clock.tick(31)
        await house.services.housekeeping.run()

    house.store.meanwhile("claim", "after", expire)
    await house.dispatch()
    await house.settle()
    after = await house.get(payout)
    assert (after.status, house.paid(payout)) == (S.EXPIRED, 0)


async def test_nothing_is_sent_before_it_is_recorded() -> None:
    house = await a_house()
    payout = await house.create()
    sent: list[int] = []

    async def look() -> None:
        sent.append(broadcasts(house))

    house.store.meanwhile("apply", "before", look)
    house.store.meanwhile("note_broadcasts", "before", look)
    await house.dispatch()
    assert sent == [0, 1]
    assert (await house.get(payout)).status is S.PROCESSING


async def test_a_record_without_an_answer_is_read_back_and_sent() -> None:
    house = await a_house()
    payout = await house.create()
    house.store.fail("apply", "after")
    done = await house.pay(payout)
    assert (done.status, house.paid(payout), len(done.txids)) == (S.COMPLETED, 1, 1)
    assert "recorded" in house.store.calls


async def test_a_record_that_did_not_happen_is_not_sent() -> None:
    house = await a_house()
    payout = await house.create()
    house.store.fail("apply", "before")
    await house.dispatch()
    after = await house.get(payout)
    assert (after.status, after.txids) == (S.PENDING, ())
    await house.settle()
    assert house.paid(payout) == 0
    house.clock.tick(POLICIES.dispatch.lease_seconds)
    done = await house.pay(payout)
    assert (done.status, house.paid(payout), len(done.txids)) == (S.COMPLETED, 1, 1)


async def test_what_was_recorded_unseen_is_sent_by_the_review() -> None:
    """Neither the record nor the read after it was answered: the bytes are stored, and found."""
    house = await a_house()
    payout = await house.create()
    house.store.fail("apply", "after")
    house.store.fail("recorded", "before")
    with pytest.raises(StoreError):
        await house.services.dispatcher.run_group()
    recorded = await house.get(payout)
    assert (recorded.status, broadcasts(house)) == (S.PROCESSING, 0)
    house.clock.tick(POLICIES.settle.unsent_after_seconds)
    await house.services.settlement.review()
    await house.settle()
    done = await house.get(payout)
    assert (done.status, done.txids, house.paid(payout)) == (S.COMPLETED, recorded.txids, 1)


async def test_a_lease_that_ran_out_records_nothing() -> None:
    """Another replica claimed meanwhile: only the one whose lease it is may record."""
    house = await a_house()
    payout = await house.create()

    async def another() -> None:
        house.clock.tick(POLICIES.dispatch.lease_seconds + 1)
        await house.store.claim(1, "replica-2", "another token", 60)

    house.store.meanwhile("exposures", "before", another)
    await house.dispatch()
    after = await house.get(payout)
    assert (after.status, after.txids) == (S.PENDING, ())
    assert after.lease is not None
    assert after.lease.owner == "replica-2"


@pytest.mark.parametrize("step", ["listed", "exposures"])
async def test_what_was_claimed_in_vain_is_handed_back(step: str) -> None:
    house = await a_house(policies=ASKING_AGAIN)
    payout = await house.create()

    async def claimed() -> None:
        house.store.fail(step, "before")

    house.store.meanwhile("claim", "after", claimed)
    with pytest.raises(StoreError):
        await house.services.dispatcher.run_group()
    after = await house.get(payout)
    assert (after.status, after.lease, after.status_reason) == (S.PENDING, None, None)
    assert (await house.pay(payout)).status is S.COMPLETED


@pytest.mark.parametrize(("short_by", "closed"), [(0, []), (1, ["cursor_lag"])])
async def test_an_attempt_lives_as_far_past_the_cursor_as_the_bound_and_no_further(
    short_by: int, closed: list[str]
) -> None:
    lag_ms = SOLID_LAG * BLOCK_INTERVAL_MS
    life_ms = POLICIES.attempts.life_ms
    house = await a_house(
        policies=replace(POLICIES, attempts=AttemptPolicy(life_ms, life_ms + lag_ms - short_by))
    )
    assert house.net.head.timestamp - (await house.store.cursor()).block.time_ms == lag_ms
    payout = await house.create()
    await house.dispatch()
    after = await house.get(payout)
    reasons = house.services.dispatcher.closed
    assert [each.name for each in reasons] == closed
    if closed:
        assert after.status_reason == Reason("P401", reasons[0].reason)
        assert after.due_at == house.clock.at + timedelta(seconds=POLICIES.dispatch.skip_seconds)
    else:
        assert after.live_attempt is not None
        assert after.live_attempt.expiration_ms == house.net.head.timestamp + life_ms


async def test_nothing_is_built_on_a_head_that_stands_still() -> None:
    house = await a_house(policies=replace(POLICIES, head_stale_seconds=-1))
    first = await house.create()
    await house.dispatch()
    assert (await house.get(first)).status is S.PROCESSING
    payout = await house.create()
    await house.dispatch()
    (closed,) = house.services.dispatcher.closed
    assert closed == Closed("head_stale", "the newest block is not getting newer")
    after = await house.get(payout)
    assert (after.status, after.status_reason) == (S.PENDING, Reason("P401", closed.reason))
    house.mine(1)
    house.clock.tick(POLICIES.dispatch.skip_seconds)
    await house.dispatch()
    assert (await house.get(payout)).status is S.PROCESSING


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (UnbuildableError("these bytes pay somebody else"), "these bytes pay somebody else"),
        (SignerUnavailableError("no answer"), "no answer"),
        (RuntimeError("secret"), "the attempt could not be built"),
    ],
    ids=["unbuildable", "no signer", "bug"],
)
async def test_what_cannot_be_built_waits_and_says_why(
    monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
) -> None:
    house = await a_house()
    payout, build = await house.create(), AttemptBuilder.build

    async def fails(builder: AttemptBuilder, each: Payout, *terms: Any) -> Attempt:
        if each.payout_id == payout.payout_id:
            raise error
        return await build(builder, each, *terms)

    monkeypatch.setattr(AttemptBuilder, "build", fails)
    other = await house.create()
    await house.dispatch()
    after = await house.get(payout)
    assert (after.status, after.status_reason) == (S.PENDING, Reason("P206", why))
    assert after.due_at == house.clock.at + timedelta(seconds=POLICIES.dispatch.skip_seconds)
    assert (await house.get(other)).status is S.PROCESSING


async def test_what_is_handed_back_still_says_why_it_waited() -> None:
    empty = Devnet(DevnetSettings(nodes=1, solid_lag=SOLID_LAG, wallet_token_units=0))
    house = await a_house(net=empty)
    payout = await house.create()
    await house.dispatch()
    waiting = await house.get(payout)
    assert waiting.status_reason is not None
    assert waiting.status_reason.code == "P200"
    house.clock.tick(POLICIES.dispatch.skip_seconds)

    async def claimed() -> None:
        house.store.fail("exposures", "before")

    house.store.meanwhile("claim", "after", claimed)
    with pytest.raises(StoreError):
        await house.services.dispatcher.run_group()
    after = await house.get(payout)
    assert (after.lease, after.status_reason) == (None, waiting.status_reason)


async def test_fees_beyond_the_cap_of_a_payout_need_a_person_at_once() -> None:
    fees = replace(POLICIES.fees, payout_cap_sun=POLICIES.fees.fee_limit_sun)
    house = await a_house(policies=replace(POLICIES, fees=fees))
    payout = await house.create()
    await house.dispatch()
    after = await house.get(payout)
    assert (after.status, after.refusals, after.txids) == (S.NEEDS_REVIEW, 1, ())
    assert after.status_reason is not None
    assert after.status_reason.code == "P403"
    assert after.history[-1].by == "dispatcher"


async def test_a_hit_on_a_dead_attempt_keeps_a_claimed_payout_from_being_recorded() -> None:
    """A proof of death was wrong, and the chain says so between claim and record."""
    house = await a_house()
    payout = await dead_once(house)
    dead = payout.attempts[0]

    async def included() -> None:
        await settle_on(house, a_hit(dead, owner=house.wallet))

    house.store.meanwhile("exposures", "before", included)
    await house.dispatch()
    after = await house.get(payout)
    assert after.live_attempt is None
    assert after.txids == (dead.txid,)


async def test_a_payout_that_was_paid_by_a_dead_attempt_waits_for_a_person() -> None:
    """Even when somebody opens the gate that the wrong proof closed."""
    house = await a_house()
    payout = await dead_once(house)
    await settle_on(house, a_hit(payout.attempts[0], owner=house.wallet))
    await house.services.settlement.settle_hits()
    assert [gate.name for gate in await house.store.gates()] == ["frozen"]
    await house.store.open_gate("frozen")
    await house.dispatch()
    after = await house.get(payout)
    assert (after.status, len(after.txids)) == (S.NEEDS_REVIEW, 1)


async def dead_once(house: House) -> Payout:
    """A pending payout whose one attempt, never sent, was declared dead."""
    payout = await house.create()
    attempt = an_attempt(payout, owner=house.wallet)
    await house.store.apply([move(payout, S.PROCESSING, by="dispatcher", record=attempt)])
    live = await house.get(payout)
    death = after_death(live, attempt, a_cursor(10**6), house.clock.at, max_deaths=3)
    assert await house.store.apply([death]) == 1
    return await house.get(payout)


async def settle_on(house: House, hit: object) -> None:
    """Write a hit as the settler does, without a block."""
    cursor = await house.store.cursor()
    assert await house.store.move_cursor(cursor, cursor, [hit])


async def test_a_full_group_says_that_more_may_wait() -> None:
    policies = replace(POLICIES, dispatch=replace(POLICIES.dispatch, group_size=2))
    house = await a_house(policies=policies)
    for _ in range(3):
        await house.create()
    assert await house.services.dispatcher.run_group()
    assert not await house.services.dispatcher.run_group()


async def test_without_an_endpoint_the_claim_is_handed_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = await a_house()
    payout = await house.create()

    async def down() -> None:
        raise ChainUnavailableError("no endpoint answers")

    monkeypatch.setattr(house.chain, "head", down)
    with pytest.raises(ChainUnavailableError):
        await house.services.dispatcher.run_group()
    after = await house.get(payout)
    assert (after.lease, after.due_at) == (None, house.clock.at)


async def test_every_reason_that_ever_closed_dispatch_is_shown_and_at_zero_once_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = await a_house()
    shown: dict[str, float] = {}

    def gauge(name: str, /, value: float, **labels: str) -> None:
        if name == "payout_dispatch_closed":
            shown[labels["reason"]] = value

    monkeypatch.setattr(house.figures, "gauge", gauge)
    for gate in ("frozen", "maintenance"):
        await house.store.close_gate(gate, "because")
    await house.dispatch()
    assert [each.name for each in house.services.dispatcher.closed] == ["frozen", "maintenance"]
    assert (shown["frozen"], shown["maintenance"]) == (1, 1)
    await house.store.open_gate("frozen")
    await house.dispatch()
    assert (shown["frozen"], shown["maintenance"]) == (0, 1)
    await house.store.open_gate("maintenance")
    await house.dispatch()
    assert house.services.dispatcher.closed == ()
    assert set(shown.values()) == {0}


# pauses

STOP_ALL = Pause(Activity.DISPATCH)
STOP_USDT = Pause(Activity.DISPATCH, Currency.USDT)
STOP_TRX = Pause(Activity.DISPATCH, Currency.TRX)


class Stopwatch:
    """The dispatcher's clock: stands still but for what a step is said to take."""

    def __init__(self, house: House) -> None:
        self.seconds = 0.0
        self._house = house
        house.services.dispatcher.seconds = lambda: self.seconds

    def takes(self, step: str, seconds: float, pause: Pause | None = None) -> None:
        """Let the next such call to the store take so long; meanwhile somebody pauses."""

        async def slow() -> None:
            self.seconds += seconds
            if pause is not None:
                await self._house.services.control.pause(SERVICE, pause, "stop")

        self._house.store.meanwhile(step, "before", slow)


async def a_slow_house(seconds: float, pause: Pause | None) -> House:
    """A house in which pricing the next group takes so long, while somebody pauses."""
    house = await a_house()
    Stopwatch(house).takes("exposures", seconds, pause)
    return house


async def test_a_pause_is_seen_at_the_next_look() -> None:
    house = await a_house()
    payout = await house.create()
    await house.services.control.pause(SERVICE, STOP_ALL, "stop")
    house.store.calls.clear()
    assert not await house.services.dispatcher.run_group()
    assert house.services.dispatcher.closed == (
        Closed("pause:dispatch", "dispatch is paused: stop"),
    )
    assert house.store.calls == ["standing"]
    await house.services.control.resume(SERVICE, STOP_ALL, "go on")
    assert (await house.pay(payout)).status is S.COMPLETED


async def test_a_group_that_took_long_is_not_recorded_after_a_pause() -> None:
    house = await a_slow_house(LOOK_SECONDS + 0.1, STOP_ALL)
    payout = await house.create()
    assert not await house.services.dispatcher.run_group()
    after = await house.get(payout)
    assert (after.status, after.txids, after.lease) == (S.PENDING, (), None)
    assert [each.name for each in house.services.dispatcher.closed] == ["pause:dispatch"]
    await house.services.control.resume(SERVICE, STOP_ALL, "go on")
    done = await house.pay(payout)
    assert (done.status, house.paid(payout), len(done.txids)) == (S.COMPLETED, 1, 1)


async def test_a_group_of_a_currency_that_was_paused_is_claimed_anew_without_it() -> None:
    house = await a_slow_house(LOOK_SECONDS + 0.1, STOP_USDT)
    usdt, trx = await house.create(), await house.create(currency=Currency.TRX)
    assert await house.services.dispatcher.run_group()
    assert {(await house.get(each)).status for each in (usdt, trx)} == {S.PENDING}
    assert not await house.services.dispatcher.run_group()
    assert (await house.get(usdt)).lease is None
    assert (await house.get(trx)).status is S.PROCESSING


@pytest.mark.parametrize("pause", [None, Pause(Activity.INTAKE), STOP_TRX])
async def test_a_group_that_took_long_is_paid_all_the_same(pause: Pause | None) -> None:
    house = await a_slow_house(LOOK_SECONDS + 0.1, pause)
    payout = await house.create()
    await house.dispatch()
    assert (await house.get(payout)).status is S.PROCESSING


async def test_a_look_counts_for_a_second_and_no_command_is_spent_on_another() -> None:
    house = await a_slow_house(LOOK_SECONDS, STOP_ALL)
    payout = await house.create()
    house.store.calls.clear()
    await house.services.dispatcher.run_group()
    assert house.store.calls.count("standing") == 1
    assert (await house.get(payout)).status is S.PROCESSING


@pytest.mark.parametrize("slow_looks", [1, 2, LOOK_TRIES])
async def test_a_look_that_is_answered_late_does_not_count(slow_looks: int) -> None:
    """Whatever stands still between the look and the record: it may be paused meanwhile."""
    house = await a_house()
    watch = Stopwatch(house)
    payout = await house.create()
    house.store.calls.clear()

    async def claimed() -> None:
        watch.takes("exposures", LOOK_SECONDS + 0.1)
        for _ in range(slow_looks):
            watch.takes("standing", LOOK_SECONDS + 0.1)

    house.store.meanwhile("claim", "before", claimed)
    await house.services.dispatcher.run_group()
    looks = house.store.calls.count("standing")
    after = await house.get(payout)
    if slow_looks == LOOK_TRIES:
        assert (after.status, after.txids, after.lease) == (S.PENDING, (), None)
        assert looks == 1 + LOOK_TRIES
    else:
        assert after.status is S.PROCESSING
        assert looks == 1 + slow_looks + 1
    assert (await house.pay(payout)).status is S.COMPLETED


async def test_a_group_with_nothing_to_record_is_not_looked_at_again() -> None:
    empty = Devnet(DevnetSettings(nodes=1, solid_lag=SOLID_LAG, wallet_token_units=0))
    house = await a_house(net=empty)
    await house.create()
    Stopwatch(house).takes("exposures", 60)
    house.store.calls.clear()
    await house.services.dispatcher.run_group()
    assert house.store.calls.count("standing") == 1


async def test_what_was_claimed_is_handed_back_when_nobody_can_tell_whether_it_is_paused() -> None:
    house = await a_slow_house(60, None)
    payout = await house.create()
    house.store.fail("standing", "before", skip=1)
    with pytest.raises(StoreError):
        await house.services.dispatcher.run_group()
    after = await house.get(payout)
    assert (after.status, after.txids, after.lease) == (S.PENDING, (), None)


def test_a_record_is_guarded_by_all_that_was_read() -> None:
    payout = a_payout(version=7)
    attempt = an_attempt(payout)
    change = recording(payout, attempt, "token")
    assert change.guard == Guard(S.PENDING, version=7, lease_token="token", fresh_txid=attempt.txid)
    assert (change.to_status, change.by, change.record) == (S.PROCESSING, "dispatcher", attempt)
