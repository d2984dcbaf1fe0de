"""One payout through any order of steps: decisions that come late, proofs that were wrong, and
people who click. What must hold is held after every step."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from adapters.signer.local import LocalSigner
from adapters.tron.codec import ProtobufCodec
from models.errors import PayoutError, Reason
from models.funds import Cost
from models.money import BASE_UNITS
from models.payout import (
    TERMINAL,
    Change,
    Payout,
    PayoutStatus,
    Resolution,
    all_attempts_unpaid,
    has_success,
    hits_of,
)
from models.policy import FeePolicy
from models.settlement import (
    FailureFacts,
    after_death,
    after_expiry,
    after_hit,
    after_wrong_death,
    hit_on_dead,
    live_hit,
    put_off,
    refuse,
)
from models.transaction import Attempt, AttemptState, Verdict, judge
from ports.store import PayoutQuery
from services.attempts import Anchor, AttemptBuilder, UnbuildableError
from services.dispatch import recording
from tests.factories import USDT_CONTRACT, a_block, a_cursor, a_hit
from tests.unit.services.desk import SERVICE, a_desk

FEES = FeePolicy(20 * BASE_UNITS, 60 * BASE_UNITS, 100 * BASE_UNITS, 5_000 * BASE_UNITS)
COST = Cost(FEES.fee_limit_sun, FEES.fee_limit_sun + 500_000)
RESULTS = ["SUCCESS", "SUCCESS", "MISMATCH", "REVERT", "OUT_OF_ENERGY"]
BUILDER = AttemptBuilder(ProtobufCodec(), LocalSigner(b"\x01" * 32), USDT_CONTRACT)


AFTER_THE_END = ["include", "write_late", "cancel", "resolve", "sweep"]
STEPS = {
    PayoutStatus.PENDING: [
        *["build", "write", "include"] * 3,
        *["write_late", "judge", "expire", "cancel"],
    ],
    PayoutStatus.PROCESSING: [*["die", "write"] * 3, "include", "judge", "write_late", "cancel"],
    PayoutStatus.NEEDS_REVIEW: [*["resolve", "include"] * 2, "write_late", "cancel"],
}
"""What can happen to a payout, by where it stands; what leads further is likelier."""


class Life:
    """A payout, and the decisions about it that were made but not written yet."""

    def __init__(self) -> None:
        self.desk = a_desk()
        self.decided: list[Change] = []

    async def payout(self) -> Payout:
        (found,) = await self.desk.memory.list(PayoutQuery(), 2)
        return found

    async def take(self, choice: int, number: int) -> None:
        """One step of those that can matter now; `number` chooses within it."""
        self.desk.clock.tick(100)
        payout = await self.payout()
        steps = STEPS.get(payout.status, AFTER_THE_END)
        await getattr(self, steps[choice % len(steps)])(payout, number)

    async def build(self, _: Payout, number: int) -> None:
        token = f"token {len(self.decided)}"
        for claimed in (await self.desk.memory.claim(1, "replica", token, 60)).payouts:
            anchor = Anchor(a_block(1_000 + number), 10**9 + number, self.desk.clock.at)
            try:
                attempt = await BUILDER.build(claimed, COST, anchor)
            except UnbuildableError:
                assert not all_attempts_unpaid(claimed)
                continue
            why = Reason("P200", "short")
            self.decided += [
                put_off(claimed, token, why, 0),
                refuse(claimed, token, why, 0, max_refusals=1 + number % 3),
                recording(claimed, attempt, token),
            ]

    async def include(self, payout: Payout, number: int) -> None:
        """Some attempt turns up in a solid block: the live one, or one that was proven dead."""
        attempts = [*payout.attempts, *([payout.live_attempt] if payout.live_attempt else [])]
        if not attempts:
            return
        attempt: Attempt = attempts[number % len(attempts)]
        result = RESULTS[number % len(RESULTS)]
        hit = a_hit(attempt, contract_ret=result, block=a_block(2_000 + number))
        if result == "MISMATCH":
            hit = replace(hit, contract_ret="SUCCESS", transfers=())
        cursor = await self.desk.memory.cursor()
        assert await self.desk.memory.move_cursor(cursor, cursor or a_cursor(), [hit])

    async def judge(self, payout: Payout, number: int) -> None:
        wrong, hit = hit_on_dead(payout), live_hit(payout)
        if wrong is not None and (change := after_wrong_death(payout, wrong)):
            self.decided.append(change)
        if payout.live_attempt and hit:
            facts = FailureFacts(100, short=number % 2 == 0)
            self.decided.append(after_hit(payout, payout.live_attempt, hit, facts, FEES))

    async def die(self, payout: Payout, number: int) -> None:
        if payout.live_attempt:
            cursor = a_cursor(10**7)
            now, most = self.desk.clock.at, 1 + number % 3
            self.decided.append(after_death(payout, payout.live_attempt, cursor, now, most))

    async def expire(self, payout: Payout, _: int) -> None:
        if payout.status is PayoutStatus.PENDING:
            self.decided.append(after_expiry(payout))

    async def write(self, payout: Payout, _: int) -> None:
        """The newest decision is written."""
        await self.write_late(payout, 0)

    async def write_late(self, _: Payout, number: int) -> None:
        """A decision is written, however old."""
        if self.decided:
            await self.desk.memory.apply([self.decided[-1 - number % len(self.decided)]])

    async def cancel(self, payout: Payout, _: int) -> None:
        try:
            await self.desk.router.cancel(SERVICE, payout.payout_id, "clicked")
        except PayoutError as refusal:
            assert refusal.code in ("P500", "P502")  # noqa: PT017

    async def resolve(self, payout: Payout, number: int) -> None:
        action = [*Resolution][number % len(Resolution)]
        try:
            await self.desk.router.resolve(SERVICE, payout.payout_id, action, "clicked")
        except PayoutError as refusal:
            assert refusal.code == "P500"  # noqa: PT017

    async def sweep(self, _: Payout, __: int) -> None:
        await self.desk.limits.sweep()


def hold(before: Payout, after: Payout) -> None:
    """What no step may break."""
    assert (after.live_attempt is not None) is (after.status is PayoutStatus.PROCESSING)
    assert after.txids[: len(before.txids)] == before.txids
    if len(after.txids) > len(before.txids):
        assert all_attempts_unpaid(before), "two attempts could be payable at once"
    ended = [attempt.txid for attempt in after.attempts]
    live = [after.live_attempt.txid] if after.live_attempt else []
    assert [*ended, *live] == [*after.txids]
    assert after.attempts[: len(before.attempts)] == before.attempts
    for closed in after.attempts[len(before.attempts) :]:
        assert (closed.state is AttemptState.DEAD) is (not hits_of(before, closed.txid))
    if after.status is PayoutStatus.CANCELLED is not before.status:
        assert not has_success(before)
    assert after.history[: len(before.history)] == before.history
    froms = [event.from_status for event in after.history]
    tos = [event.to_status for event in after.history]
    assert froms == [None, *tos[:-1]]
    assert tos[-1] is after.status
    if before.status in TERMINAL:
        assert after.status is before.status
    if after.status is PayoutStatus.COMPLETED and tos[-2:] == ["processing", "completed"]:
        settled = after.attempts[-1]
        assert settled.hit is not None
        assert judge(settled, settled.hit) is Verdict.PAID


lives = st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), min_size=10, max_size=50)


@given(lives)
async def test_no_order_of_steps_breaks_a_promise(taken: list[tuple[int, int]]) -> None:
    life = Life()
    await life.desk.create(expires_at=life.desk.clock.at + timedelta(days=1))
    for choice, number in taken:
        before = await life.payout()
        await life.take(choice, number)
        hold(before, await life.payout())


@given(lives)
async def test_what_is_reserved_comes_back_exactly_when_nothing_was_paid(
    taken: list[tuple[int, int]],
) -> None:
    life = Life()
    created = (await life.desk.create()).payout
    for choice, number in taken:
        await life.take(choice, number)
    ended = await life.payout()
    await life.desk.limits.sweep()
    held = await life.desk.memory.used(created.window_ids[0])
    if ended.status not in TERMINAL or ended.status is PayoutStatus.COMPLETED:
        assert held == created.order.amount
    elif not ended.hits:
        assert held == 0
