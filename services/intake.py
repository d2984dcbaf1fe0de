"""Intake: a request becomes a payout that survives anything, or is refused with nothing done.

Order matters: the idempotency key is looked up first, and again before any refusal, so that a
replay answers as the first time did; limits are reserved before the payout is inserted, and what a
crash leaves between the two is undone by housekeeping.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from models.approval import opened
from models.caller import Caller
from models.decision import Decision
from models.errors import PayoutError
from models.order import NewPayout, Order, RouteName
from models.payout import Event, Payout, PayoutStatus, next_status, waits_for
from models.spending import (
    SpendScope,
    SpendWindow,
)
from ports.observer import Observer
from ports.signals import Wakeups
from ports.store import KeyTakenError, PayoutGoneError, PayoutStore, StoreError
from services.admission import Admission
from services.limits import LimitKeeper, LimitReachedError
from utils.retry import RetryPolicy, retry


@dataclass(frozen=True, slots=True)
class Created:
    """The payout of a request, and whether it was there before."""

    payout: Payout
    replayed: bool


class Intake:
    """Accepts payouts."""

    def __init__(
        self,
        *,
        store: PayoutStore,
        limits: LimitKeeper,
        admission: Admission,
        wakeups: Wakeups,
        observer: Observer,
        new_id: Callable[[datetime], str],
        saving: RetryPolicy,
    ) -> None:
        self._store = store
        self._limits = limits
        self._admission = admission
        self._wakeups = wakeups
        self._observer = observer
        self._new_id = new_id
        self._saving = saving

    async def create(self, caller: Caller, request: NewPayout) -> Created:
        """Keep a payout, or find the one that this idempotency key made before.

        Raises PayoutError: P002 (another node's), P017 (paused), P100, P101, P102, P103, P106,
        P503, P005 (same key, other body), P006 (same key, still arriving), P700 (not known to be
        kept; ask again with the same key).
        """
        before = await self._replay(caller, request)
        if before is not None:
            return before
        try:
            payout = await self._accept(caller, request)
        except PayoutError:
            before = await self._replay(caller, request)
            if before is None:
                raise
            return before
        except KeyTakenError:
            return await self._taken(caller, request)
        self._observer.count(
            "payout_transitions_total",
            status=payout.status,
            currency=payout.order.currency,
        )
        for finding in payout.findings:
            self._observer.count("payout_findings_total", rule=finding.rule, effect=finding.effect)
        await self._wakeups.signal()
        return Created(payout, replayed=False)

    async def _replay(self, caller: Caller, request: NewPayout) -> Created | None:
        key = request.idempotency_key
        if key is None:
            return None
        payout = await self._store.find_by_key(caller.subject, key, caller.tenant)
        if payout is None:
            return None
        if payout.fingerprint != request.fingerprint:
            raise PayoutError(
                "P005",
                "this idempotency key was used for a request with another body",
                field="Idempotency-Key",
            )
        return Created(payout, replayed=True)

    async def _taken(self, caller: Caller, request: NewPayout) -> Created:
        before = await self._replay(caller, request)
        if before is None:
            raise PayoutError("P006", "a request with this idempotency key is still arriving")
        return before

    async def _accept(self, caller: Caller, request: NewPayout) -> Payout:
        order, batch = request.order, request.batch
        items = 1 if batch is None else batch.items
        judged = await self._admission.judge(caller, order, items)
        decision, now = judged.decision, judged.now
        if decision.refusal is not None:
            raise decision.refusal
        payout_id = self._new_id(now)
        route, counted = await self._reserve(caller, order, decision, payout_id, now)
        payout = self._new_payout(caller, request, decision, route, payout_id, now)
        payout = replace(payout, window_ids=tuple(window.window_id for window in counted))
        try:
            await self._insert(payout)
        except KeyTakenError:
            await self._limits.release(payout.window_ids, payout_id)
            raise
        return payout

    async def _reserve(
        self, caller: Caller, order: Order, decision: Decision, payout_id: str, now: datetime
    ) -> tuple[RouteName, Sequence[SpendWindow]]:
        """The best route whose limits the payout fits into, and the windows that it now counts in.

        Raises PayoutError P103, P104, P105.
        """
        full: LimitReachedError | None = None
        for ranked in decision.choice.ranked:
            windows = self._admission.windows(caller, order, ranked.name, now)
            try:
                await self._limits.reserve(windows, payout_id, order.amount)
            except LimitReachedError as error:
                if error.window.scope is not SpendScope.ROUTE:
                    raise error.refusal from None
                full = full or error
            else:
                return ranked.name, windows
        if full is None:
            raise decision.choice.refusal()
        raise full.refusal

    def _new_payout(
        self,
        caller: Caller,
        request: NewPayout,
        decision: Decision,
        route: RouteName,
        payout_id: str,
        now: datetime,
    ) -> Payout:
        """The payout as it begins: what it waits for decides its status."""
        payout = Payout(
            payout_id=payout_id,
            client=caller.subject,
            tenant=caller.tenant,
            order=request.order,
            status=PayoutStatus.PENDING,
            created_at=now,
            updated_at=now,
            due_at=now,
            window_ids=(),
            fingerprint=request.fingerprint,
            idempotency_key=request.idempotency_key,
            batch_id=None if request.batch is None else request.batch.batch_id,
            route=route,
            wallet=self._admission.wallet_of(route),
            findings=decision.findings_on(route),
            hold=decision.screening.hold,
            approval=None if decision.workflow is None else opened(decision.workflow, now),
            release_at=decision.times[route].release_at,
            rank_at=decision.times[route].rank_at,
            outbox=(0,),
        )
        status, why = next_status(payout, now), waits_for(payout, now)
        created = Event(
            at=now,
            by=caller.name,
            from_status=None,
            to_status=status,
            why=why,
            request_id=caller.request_id,
        )
        return replace(payout, status=status, status_reason=why, history=(created,))

    async def _insert(self, payout: Payout) -> None:
        """Insert; again when the answer is unclear, which is harmless for the same payout id."""
        try:
            await retry(
                lambda: self._store.insert(payout),
                self._saving,
                retry_on=(StoreError,),
                name="mongodb",
                on_retry=lambda name, _: self._observer.count("payout_retries_total", name=name),
            )
        except PayoutGoneError:
            raise PayoutError("P700", "the payout took too long to arrive") from None
        except StoreError:
            raise PayoutError(
                "P700",
                "the payout is not known to be kept; send it again with the same Idempotency-Key",
            ) from None
