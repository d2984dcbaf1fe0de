"""Batches: several payouts of one request, taken or decided about one after the other.

Each payout stands by itself: it is judged, reserved and kept as one that comes alone, and counts
those before it. What is refused or not reached stays so until the same batch is sent again, which
finds what was taken and pays nothing twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import structlog

from models.batch import MAX_BATCH_ITEMS, NewBatch, item_number
from models.caller import Caller
from models.errors import PayoutError
from models.order import NewPayout
from models.payout import Payout, PayoutStatus
from ports.chain import ChainUnavailableError
from ports.store import PayoutQuery, PayoutStore, Scope, StatusTotal, StoreError
from services.approving import Approving
from services.intake import Created, Intake

_ANOTHER_BODY: Final = "P005"

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Item:
    """One payout of a batch, by its `number` from 0: as it is now, and why what was asked did not
    happen to it. `payout` is None where there is none; `replayed` where it was there before."""

    number: int
    payout: Payout | None
    problem: PayoutError | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class BatchReport:
    """A batch, as far as the caller sees it; `items` are in the order of the request."""

    batch_id: str
    items: Sequence[Item]

    @property
    def payouts(self) -> Sequence[Payout]:
        """The payouts that there are."""
        return [item.payout for item in self.items if item.payout is not None]

    @property
    def refused(self) -> int:
        """To how many payouts what was asked did not happen."""
        return sum(item.problem is not None for item in self.items)

    @property
    def replayed(self) -> bool:
        """Whether every payout was there before."""
        return all(item.replayed for item in self.items)

    @property
    def totals(self) -> Sequence[StatusTotal]:
        """Counts and sums of the payouts by status and currency."""
        return StatusTotal.of(self.payouts)


class Batches:
    """Takes batches, shows them, and lets people decide about all payouts of one."""

    def __init__(self, *, store: PayoutStore, intake: Intake, approving: Approving) -> None:
        self._store = store
        self._intake = intake
        self._approving = approving

    async def create(self, caller: Caller, request: NewBatch, seconds: float) -> BatchReport:
        """Take the payouts of a batch, or find those that this idempotency key made before.

        After `seconds` what was not reached is put off (P302); where the store does not answer, all
        that follows (P007). Other refusals stay with their payouts. Raises PayoutError P005 (same
        key, other body) with nothing done; StoreError before anything is.
        """
        batch_id = request.batch_of(caller).batch_id
        own = Scope(client=caller.subject, tenant=caller.tenant, any_tenant=False)
        before = {each.idempotency_key: each for each in await self._payouts(own, batch_id)}
        if any(each.fingerprint != request.fingerprint for each in before.values()):
            raise PayoutError(
                _ANOTHER_BODY,
                "this idempotency key was used for a batch with another body",
                field="Idempotency-Key",
            )

        async def take(one: NewPayout) -> Created:
            there = before.get(one.idempotency_key)
            if there is not None:
                return Created(there, replayed=True)
            return await self._intake.create(caller, one)

        outcomes = await in_turn(request.payouts_of(caller), take, seconds)
        first = outcomes[0]
        if isinstance(first, PayoutError) and first.code == _ANOTHER_BODY:
            raise first
        return BatchReport(
            batch_id, [_taken(number, outcome) for number, outcome in enumerate(outcomes)]
        )

    async def get(self, scope: Scope, batch_id: str) -> BatchReport:
        """A batch, with the payouts of it that are in scope. Raises PayoutError P010 for none."""
        payouts = await self._payouts(scope, batch_id)
        if not payouts:
            raise PayoutError("P010", "there is no such batch", field="batch_id")
        return BatchReport(batch_id, [Item(item_number(each), each) for each in payouts])

    async def approve(
        self, caller: Caller, scope: Scope, batch_id: str, comment: str, seconds: float
    ) -> BatchReport:
        """Give consent to every payout in scope that awaits it and has not got this person's.

        Refusals stay with their payouts, as in `create`. Raises PayoutError P010; StoreError.
        """

        def asks(payout: Payout) -> bool:
            given = () if payout.approval is None else payout.approval.given
            return _awaits(payout) and all(consent.by != caller.subject for consent in given)

        async def approve(payout: Payout) -> Payout:
            return await self._approving.approve(caller, payout.payout_id, comment)

        return await self._decided(await self.get(scope, batch_id), asks, approve, seconds)

    async def reject(
        self, caller: Caller, scope: Scope, batch_id: str, comment: str, seconds: float
    ) -> BatchReport:
        """End every payout in scope that awaits approval; otherwise as `approve`."""

        async def reject(payout: Payout) -> Payout:
            return await self._approving.reject(caller, payout.payout_id, comment)

        return await self._decided(await self.get(scope, batch_id), _awaits, reject, seconds)

    async def _decided(
        self,
        batch: BatchReport,
        asks: Callable[[Payout], bool],
        decide: Callable[[Payout], Awaitable[Payout]],
        seconds: float,
    ) -> BatchReport:
        asked = [payout for payout in batch.payouts if asks(payout)]
        outcomes = await in_turn(asked, decide, seconds)
        found = {each.payout_id: said for each, said in zip(asked, outcomes, strict=True)}
        return replace(batch, items=[_decided(item, found) for item in batch.items])

    async def _payouts(self, scope: Scope, batch_id: str) -> Sequence[Payout]:
        """Those that there are, in the order of the request."""
        query = PayoutQuery(scope=scope, batch_id=batch_id)
        return sorted(await self._store.list(query, MAX_BATCH_ITEMS), key=item_number)


async def in_turn(
    things: Sequence[T], act: Callable[[T], Awaitable[R]], seconds: float
) -> Sequence[R | PayoutError]:
    """What became of each thing, one after the other: a result, or the refusal that stays with it.

    What ends them all is said of each one from there on: the time is over (P302; what is under way
    is cancelled, as if the process had died there), the store or chain does not answer (P007), or
    somebody uses the idempotency key for another body at the same moment (P005).
    """
    found: list[R | PayoutError] = []
    end: PayoutError | None = None
    try:
        async with asyncio.timeout(seconds) as deadline:
            for thing in things:
                try:
                    found.append(await act(thing))
                except PayoutError as error:
                    found.append(error)
                    if error.code == _ANOTHER_BODY:
                        end = error
                        break
    except TimeoutError:
        if not deadline.expired():
            raise
        end = PayoutError(
            "P302",
            f"the batch took more than {seconds:g} s; this payout was not reached, or what was "
            "asked may or may not have happened to it. Send the same again",
        )
    except (StoreError, ChainUnavailableError) as error:
        log.warning("batch_stopped", error=f"{type(error).__name__}: {error}")
        end = PayoutError(
            "P007",
            "a service that is needed did not answer; this payout was not reached, or what was "
            "asked may or may not have happened to it. Send the same again",
        )
    return found if end is None else found + [end] * (len(things) - len(found))


def _awaits(payout: Payout) -> bool:
    return payout.status is PayoutStatus.AWAITING_APPROVAL


def _taken(number: int, outcome: Created | PayoutError) -> Item:
    if isinstance(outcome, PayoutError):
        return Item(number, None, outcome)
    return Item(number, outcome.payout, replayed=outcome.replayed)


def _decided(item: Item, outcomes: dict[str, Payout | PayoutError]) -> Item:
    outcome = None if item.payout is None else outcomes.get(item.payout.payout_id)
    match outcome:
        case None:
            return item
        case PayoutError():
            return replace(item, problem=outcome)
        case _:
            return replace(item, payout=outcome)
