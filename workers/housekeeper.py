"""Lets time pass: expiry, and reservations that end."""

from services.housekeeping import Housekeeping
from services.limits import SWEEP_GROUP
from workers.loop import Loop, every


def housekeeping_loop(housekeeping: Housekeeping, poll_seconds: float) -> Loop:
    """The loop that ends what time ends."""

    async def turn() -> bool:
        return await housekeeping.run() >= SWEEP_GROUP

    return Loop("housekeeper", turn, every(poll_seconds))
