"""Revoking, and whose tokens then count."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.memory.store import MemoryPayoutStore
from adapters.memory.tokens import MemoryRevocations
from models.caller import Caller
from models.errors import PayoutError
from models.token import Target
from ports.store import StoreError
from services.acts import Acts
from services.tokens import MAX_AHEAD_SECONDS, Tokens
from tests.harness import EVERYTHING, FakeClock

ADMIN = Caller("ada", "ADMIN", EVERYTHING, request_id="request-1")


class Desk:
    """The service over memory; `acts` are what the audit log is told."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryPayoutStore(self.clock)
        self.revocations = MemoryRevocations(self.clock)
        acts = Acts(self.store, lambda: str(len(self.store._acts)))
        self.tokens = Tokens(self.revocations, acts, self.store.now)

    @property
    def acts(self) -> list[tuple[Any, ...]]:
        return [
            (act.by, act.action, act.subject, act.why and act.why.message, act.before, act.after)
            for act in self.store._acts.values()
        ]

    def holder(self, ago_seconds: float = 0, **claims: Any) -> Caller:
        """Who holds a token that was issued so long ago."""
        issued = self.clock.at.timestamp() - ago_seconds
        fields = {"subject": "shop", "role": "USER", "grants": {}, "issued_at": issued} | claims
        return Caller(**fields)

    async def counts(self, holder: Caller) -> bool:
        try:
            await self.tokens.check(holder)
        except PayoutError as error:
            return error.message != "the token has been revoked"
        return True


async def test_by_its_id_one_token_is_revoked() -> None:
    desk = Desk()
    mine, other, bare = desk.holder(token_id="1"), desk.holder(token_id="2"), desk.holder()
    assert await desk.counts(mine)
    await desk.tokens.revoke(ADMIN, Target("1"), "in a screenshot")
    assert not await desk.counts(mine)
    assert not await desk.counts(desk.holder(-3600, token_id="1"))
    assert await desk.counts(other)
    assert await desk.counts(bare)


async def test_by_its_subject_what_was_issued_until_now_is_revoked() -> None:
    desk = Desk()
    await desk.tokens.revoke(ADMIN, Target(subject="shop"), "host broken into")
    assert not await desk.counts(desk.holder(0.001))
    assert not await desk.counts(desk.holder(3600, token_id="1"))
    assert await desk.counts(desk.holder(0))
    assert await desk.counts(desk.holder(3600, subject="other"))
    desk.clock.tick(60)
    assert await desk.counts(desk.holder(60)), "issued at that moment"
    assert not await desk.counts(desk.holder(60.001))


async def test_the_subject_of_a_tenant_is_another_one() -> None:
    desk = Desk()
    await desk.tokens.revoke(ADMIN, Target(subject="shop", tenant="north"), "left")
    assert not await desk.counts(desk.holder(1, tenant="north"))
    assert await desk.counts(desk.holder(1, tenant="south"))
    assert await desk.counts(desk.holder(1))


async def test_a_time_in_the_past_spares_what_came_after() -> None:
    desk = Desk()
    before = desk.clock.at - timedelta(hours=1)
    revocation = await desk.tokens.revoke(ADMIN, Target(subject="shop", before=before), "r")
    assert revocation.target.before == before
    assert not await desk.counts(desk.holder(3601))
    assert await desk.counts(desk.holder(3600))


async def test_what_was_revoked_stays_so() -> None:
    desk = Desk()
    far = await desk.tokens.revoke(ADMIN, Target(subject="shop"), "first")
    before = desk.clock.at - timedelta(hours=1)
    assert await desk.tokens.revoke(ADMIN, Target(subject="shop", before=before), "x") == far
    assert not await desk.counts(desk.holder(1))


async def test_a_time_is_at_most_as_far_ahead_as_clocks_may_be() -> None:
    desk = Desk()
    limit = desk.clock.at + timedelta(seconds=MAX_AHEAD_SECONDS)
    far = Target(subject="shop", before=limit + timedelta(milliseconds=1))
    with pytest.raises(PayoutError) as refusal:
        await desk.tokens.revoke(ADMIN, far, "a slip of the year")
    assert (refusal.value.code, refusal.value.field) == ("P003", "before")
    assert await desk.tokens.revocations(ADMIN, None, 10) == []
    assert desk.acts == []
    await desk.tokens.revoke(ADMIN, Target(subject="shop", before=limit), "its clock is ahead")
    assert not await desk.counts(desk.holder(-MAX_AHEAD_SECONDS + 1))


async def test_each_act_is_kept_before_it_is_done() -> None:
    desk = Desk()
    await desk.tokens.revoke(ADMIN, Target("1"), "first")
    await desk.tokens.revoke(ADMIN, Target("1"), "second")
    await desk.tokens.revoke(ADMIN, Target(subject="shop", tenant="north"), "third")
    moment = f"revoked if issued before {desk.clock.at.isoformat()}"
    key = "subject:north:shop"
    assert desk.acts == [
        ("ADMIN:ada", "token:revoke", "token:1", "first", "valid", "revoked"),
        ("ADMIN:ada", "token:revoke", "token:1", "second", "revoked", "revoked"),
        ("ADMIN:ada", "token:revoke", key, "third", "valid", moment),
    ]


async def test_what_can_not_be_kept_is_not_done() -> None:
    desk = Desk()

    async def broken(_: object) -> None:
        raise StoreError("away")

    desk.store.note_act = broken  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        await desk.tokens.revoke(ADMIN, Target("1"), "r")
    assert await desk.tokens.revocations(ADMIN, None, 10) == []


async def test_nobody_is_let_in_while_nobody_can_tell() -> None:
    desk = Desk()

    async def broken(_: object) -> dict[str, int]:
        raise StoreError("away")

    desk.revocations.cutoffs = broken  # type: ignore[method-assign,assignment]
    with pytest.raises(StoreError):
        await desk.tokens.check(desk.holder())


@pytest.mark.parametrize(
    "who", [Caller("u", "USER", {}), Caller("a", "ADMIN", EVERYTHING, tenant="north")]
)
async def test_only_who_may_revokes_and_looks(who: Caller) -> None:
    desk = Desk()
    for call in (
        desk.tokens.revoke(who, Target("1"), "r"),
        desk.tokens.revocations(who, None, 10),
    ):
        with pytest.raises(PayoutError) as refusal:
            await call
        assert refusal.value.code == "P002"
    assert desk.acts == []


MOMENTS = st.integers(0, 2_000_000_000_000)


@given(st.lists(MOMENTS, min_size=1, max_size=6), MOMENTS)
async def test_a_token_counts_iff_it_was_issued_at_or_after_every_time(
    moments: list[int], issued_ms: int
) -> None:
    desk = Desk()
    desk.clock.at = datetime(2040, 1, 1, tzinfo=UTC)
    for moment in moments:
        before = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)
        await desk.tokens.revoke(ADMIN, Target(subject="shop", before=before), "r")
    holder = Caller("shop", "USER", {}, issued_at=issued_ms / 1000)
    assert await desk.counts(holder) == (issued_ms >= max(moments))
