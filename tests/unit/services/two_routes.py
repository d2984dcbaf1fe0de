"""What the windows of v0 and kyc hold, for tests in which payouts go from one to the other."""

from models.limits import Used
from models.order import RouteName
from services.limits import ORPHAN_AGE_SECONDS
from tests.unit.services.desk import Desk

USDT_12_50 = 12_500_000
SOMEBODY = "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"


async def held(desk: Desk, route: RouteName) -> list[Used]:
    """What the windows of a route hold: of the hour, and of the day."""
    names = [f"hour:USDT:2026-03-01T12:route:{route}", f"day:USDT:2026-03-01:route:{route}"]
    found = await desk.memory.used(names)
    return [found[name] for name in names]


def of(count: int) -> list[Used]:
    """Windows that hold so many payouts."""
    return [Used(count * USDT_12_50, count)] * 2


async def swept(desk: Desk) -> None:
    """What is left over of crashes is put right."""
    desk.clock.tick(ORPHAN_AGE_SECONDS)
    await desk.limits.sweep()
