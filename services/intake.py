"""Intake: a request becomes a payout that survives anything, or is refused with nothing done.

Order matters: the idempotency key is looked up first, and again before any refusal, so that a
replay answers as the first time did; limits are reserved before the payout is inserted, and what a
crash leaves between the two is undone by housekeeping.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from models.address import ZERO_ADDRESS
from models.caller import Caller
from models.errors import PayoutError
from models.limits import AmountLimits, check_amount, windows
from models.money import Currency
from models.pause import Activity
from models.payout import Event, NewPayout, Payout, PayoutStatus
from ports.observer import Observer
from ports.signals import Wakeups
from ports.store import KeyTakenError, PayoutGoneError, PayoutStore, StoreError
from services.limits import LimitKeeper
from services.pauses import described, pauses_in
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
        wakeups: Wakeups,
        observer: Observer,
        amounts: Mapping[Currency, AmountLimits],
        forbidden: Mapping[str, str],
        new_id: Callable[[datetime], str],
        saving: RetryPolicy,
    ) -> None:
        self._store = store
        self._limits = limits
        self._wakeups = wakeups
        self._observer = observer
        self._amounts = amounts
        self._forbidden = {ZERO_ADDRESS: "the zero address", **forbidden}
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
        caller.require_node(request.order.node_id, "payout:create")
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
            status=PayoutStatus.PENDING,
            currency=payout.order.currency,
        )
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
        await self._check_open(request.order.currency)
        now = await self._store.now()
        limits = self._check(request, now)
        order = request.order
        payout_id = self._new_id(now)
        counted = windows(limits, order.currency, now)
        created = Event(
            at=now,
            by=caller.name,
            from_status=None,
            to_status=PayoutStatus.PENDING,
            why=None,
            request_id=caller.request_id,
        )
        payout = Payout(
            payout_id=payout_id,
            client=caller.subject,
            tenant=caller.tenant,
            order=order,
            status=PayoutStatus.PENDING,
            created_at=now,
            updated_at=now,
            due_at=now,
            window_ids=tuple(window.window_id for window in counted),
            fingerprint=request.fingerprint,
            idempotency_key=request.idempotency_key,
            history=(created,),
            outbox=(0,),
        )
        await self._limits.reserve(counted, payout_id, order.amount)
        try:
            await self._insert(payout)
        except KeyTakenError:
            await self._limits.release(payout.window_ids, payout_id)
            raise
        return payout

    async def _check_open(self, currency: Currency) -> None:
        """Raise PayoutError P017 while a person has stopped the intake."""
        for pause, gate in pauses_in(await self._store.gates()).items():
            if pause.what is Activity.INTAKE and pause.currency in (None, currency):
                raise PayoutError(
                    "P017",
                    described(pause, gate),
                    paused=pause.target,
                    since=f"{gate.closed_at:%Y-%m-%dT%H:%M:%SZ}",
                    reason=gate.reason,
                )

    def _check(self, request: NewPayout, now: datetime) -> AmountLimits:
        order = request.order
        limits = self._amounts.get(order.currency)
        if limits is None:
            raise PayoutError("P106", f"{order.currency} is not paid here", field="currency")
        refused = self._forbidden.get(order.recipient_address)
        if refused is not None:
            raise PayoutError("P100", f"the recipient is {refused}", field="recipient_address")
        check_amount(limits, order.currency, order.amount)
        if order.expires_at is not None and order.expires_at <= now:
            raise PayoutError("P503", "expires_at is in the past", field="expires_at")
        return limits

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
