"""Keep the deployment's files: the high-water mark, and the daily statements.

Loops of their own: a disk that is full is shown as their problem, and stops nothing else.
"""

from services.chain_identity import ChainIdentity
from services.high_water import HighWater
from services.statements import Statements
from workers.loop import Loop, every


def high_water_loop(high_water: HighWater, identity: ChainIdentity, poll_seconds: float) -> Loop:
    """The loop that raises the high-water mark."""

    async def turn() -> bool:
        await high_water.run(await identity.ensure())
        return False

    return Loop("high_water", turn, every(poll_seconds))


def statements_loop(statements: Statements, poll_seconds: float) -> Loop:
    """The loop that writes the statement of a day that is over."""
    return Loop("statements", statements.run, every(poll_seconds))
