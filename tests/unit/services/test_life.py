"""One payout through any order of steps: decisions that come late, proofs that were wrong, and
people who click. What must hold is held after every step."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapters.signer.local import LocalSigner
from adapters.tron.codec import ProtobufCodec
from models.approval import ApprovalRule, Workflow, complete
from models.compliance import Facts, Rule, RuleKind, screen
from models.errors import PayoutError, Reason
from models.findings import Effect
from models.funds import Cost
from models.money import BASE_UNITS, Currency
from models.order import PayoutType
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
from models.registry import AddressList
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
    stop,
)
from models.transaction import Attempt, AttemptState, Verdict, judge
from ports.store import PayoutQuery
from services.attempts import Anchor, AttemptBuilder, UnbuildableError
from services.dispatch import recording
from tests.factories import USDT_CONTRACT, a_block, a_cursor, a_hit
from tests.harness import DECISIONS
from tests.unit.services.desk import SERVICE, a_desk

FEES = FeePolicy(20 * BASE_UNITS, 60 * BASE_UNITS, 100 * BASE_UNITS, 5_000 * BASE_UNITS)
COST = Cost(FEES.fee_limit_sun, FEES.fee_limit_sun + 500_000)
RESULTS = ["SUCCESS", "SUCCESS", "MISMATCH", "REVERT", "OUT_OF_ENERGY"]
SIGNER = LocalSigner(b"\x01" * 32)
BUILDER = AttemptBuilder(ProtobufCodec(), [SIGNER], USDT_CONTRACT)
CHECKERS = [replace(SERVICE, subject=name, role="CHECKER") for name in ("ada", "bob", "platform")]
"""People who decide; the last one is the maker of every payout here."""

LARGE = 100 * BASE_UNITS
REVIEW = Rule(
    name="large",
    kind=RuleKind.AMOUNT_REVIEW,
    effect=Effect.HOLD,
    roles=("CHECKER",),
    from_amount={Currency.USDT: LARGE},
)
TWO_CONSENTS = ApprovalRule(
    Workflow("two", needed=2, roles=("CHECKER",), timeout_seconds=2_000),
    payout_types=frozenset({PayoutType.SCHEDULED}),
)
POLICY = replace(DECISIONS, rules=(REVIEW,), approvals=(TWO_CONSENTS,))

WAITING = {PayoutStatus.PENDING, PayoutStatus.SCHEDULED, PayoutStatus.AWAITING_APPROVAL}
AFTER_THE_END = ["include", "write_late", "cancel", "resolve", "sweep", "release", "reject"]
STEPS = {
    PayoutStatus.SCHEDULED: [*["schedule"] * 8, "expire", "cancel", "write_late", "release"],
    PayoutStatus.AWAITING_APPROVAL: [
        *["approve"] * 12,
        *["schedule", "expire", "reject", "cancel", "write", "write_late", "resolve"],
    ],
    PayoutStatus.PENDING: [
        *["build", "write", "include"] * 4,
        *["write_late", "judge", "expire", "cancel", "stop", "stop", "release"],
    ],
    PayoutStatus.PROCESSING: [*["die", "write"] * 3, "include", "judge", "write_late", "cancel"],
    PayoutStatus.NEEDS_REVIEW: [
        *["release"] * 5,
        *["resolve", "include"] * 2,
        *["write_late", "cancel", "reject", "approve"],
    ],
}
"""What can happen to a payout, by where it stands; what leads further is likelier."""


class Life:
    """A payout, and the decisions about it that were made but not written yet."""

    def __init__(self) -> None:
        self.desk = a_desk(decisions=POLICY, wallets=[SIGNER.address])
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

    async def stop(self, _: Payout, number: int) -> None:
        """A rule that is asked again before dispatch refuses the payout, or holds it."""
        token = f"token {len(self.decided)}"
        for claimed in (await self.desk.memory.claim(1, "replica", token, 60)).payouts:
            effect = (Effect.REFUSE, Effect.HOLD)[number % 2]
            rule = Rule("deny", RuleKind.DENY_LIST, effect, ("CHECKER",), at_dispatch=True)
            facts = Facts(lists=[AddressList.DENY])
            now = self.desk.clock.at
            said = screen(
                claimed.order, facts, [rule], now, at_dispatch=True, released=claimed.released
            )
            if said.refusal or said.hold:
                self.decided.append(stop(claimed, token, said))

    async def schedule(self, _: Payout, __: int) -> None:
        await self.desk.scheduling.run()

    async def approve(self, payout: Payout, number: int) -> None:
        await self._decide(self.desk.router.approve, payout, number)

    async def reject(self, payout: Payout, number: int) -> None:
        await self._decide(self.desk.router.reject, payout, number)

    async def release(self, payout: Payout, number: int) -> None:
        await self._decide(self.desk.router.release, payout, number)

    async def _decide(self, act: Any, payout: Payout, number: int) -> None:
        who = CHECKERS[number % len(CHECKERS)]
        try:
            await act(who, payout.payout_id, "clicked")
        except PayoutError as refusal:
            assert refusal.code in ("P002", "P500", "P603")  # noqa: PT017

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
        if payout.status in WAITING:
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
        assert before.hold is None, "a rule holds it"
        assert before.approval is None or complete(before.approval), "nobody has approved it"
        assert before.release_at is None or before.release_at <= after.updated_at, "too early"
    given = [] if after.approval is None else [consent.by for consent in after.approval.given]
    assert len(given) == len({*given} - {after.client}), "somebody counts twice, or is the maker"
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


orders = st.sampled_from(
    [
        {"amount": amount, "payout_type": payout_type}
        for amount in (LARGE - 1, LARGE)
        for payout_type in (PayoutType.IMMEDIATE, PayoutType.SCHEDULED)
    ]
)


async def begun(life: Life, order: dict[str, Any], **more: Any) -> Payout:
    """A payout of such an order; a scheduled one is for a few steps later."""
    if order["payout_type"] is PayoutType.SCHEDULED:
        more["scheduled_at"] = life.desk.clock.at + timedelta(seconds=300)
    return (await life.desk.create(**order, **more)).payout


lives = st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), min_size=10, max_size=50)


@given(lives, orders)
async def test_no_order_of_steps_breaks_a_promise(
    taken: list[tuple[int, int]], order: dict[str, Any]
) -> None:
    life = Life()
    await begun(life, order, expires_at=life.desk.clock.at + timedelta(days=1))
    for choice, number in taken:
        before = await life.payout()
        await life.take(choice, number)
        hold(before, await life.payout())


@given(lives, orders)
async def test_what_is_reserved_comes_back_exactly_when_nothing_was_paid(
    taken: list[tuple[int, int]], order: dict[str, Any]
) -> None:
    life = Life()
    created = await begun(life, order)
    for choice, number in taken:
        await life.take(choice, number)
    ended = await life.payout()
    await life.desk.limits.sweep()
    held = await life.desk.used(created.window_ids[0])
    if ended.status not in TERMINAL or ended.status is PayoutStatus.COMPLETED:
        assert held == created.order.amount
    elif not ended.hits:
        assert held == 0
