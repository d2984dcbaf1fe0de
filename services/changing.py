"""A caller changes one payout: read, judge, write guarded, and anew when it changed in between."""

from collections.abc import Callable

import structlog

from models.caller import Caller
from models.errors import PayoutError
from models.payout import TERMINAL, Change, Payout
from ports.store import PayoutStore, StoreError
from services.limits import LimitKeeper

log = structlog.get_logger(__name__)

CHANGE_TRIES = 5
"""A payout that changes under a call is read and judged anew this often."""

Decision = Callable[[Payout], Change | None]
"""What to do with a payout as it is now; None if nothing is left to do."""


class Changing:
    """Finds and changes payouts within a caller's reach."""

    def __init__(self, store: PayoutStore, limits: LimitKeeper) -> None:
        self._store = store
        self._limits = limits

    async def find(self, caller: Caller, payout_id: str, action: str) -> Payout:
        """The payout, if the caller may do this to it. Raises PayoutError P002, P501."""
        caller.require(action)
        payout = await self._store.get(payout_id)
        if payout is None or not any(
            caller.reaches(payout, each) for each in (action, "payout:view")
        ):
            raise PayoutError("P501", "there is no such payout", field="payout_id")
        if not caller.reaches(payout, action):
            raise PayoutError("P002", f"{action} of the role {caller.role} does not reach it")
        return payout

    async def change(self, caller: Caller, payout_id: str, action: str, decide: Decision) -> Payout:
        """Write what `decide` makes of the payout. Raises PayoutError P002, P501, P701, and
        whatever `decide` raises."""
        for _ in range(CHANGE_TRIES):
            payout = await self.find(caller, payout_id, action)
            change = decide(payout)
            if change is None or await self._store.apply([change]):
                return await self._ended(await self.find(caller, payout_id, action))
        raise PayoutError("P701", "the payout keeps changing; try again")

    async def _ended(self, payout: Payout) -> Payout:
        """Give back at once what an ended payout reserved; housekeeping does it otherwise."""
        if payout.status in TERMINAL:
            try:
                await self._limits.finish([payout])
            except StoreError as error:
                log.warning("reservation not finished", error=str(error))
        return payout
