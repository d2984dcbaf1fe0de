"""Dispatches when woken, and every so often in case a wake-up was lost."""

from ports.signals import Wakeups
from services.chain_identity import ChainIdentity
from services.dispatch import Dispatcher
from workers.loop import Loop


def dispatch_loop(
    dispatcher: Dispatcher, identity: ChainIdentity, wakeups: Wakeups, poll_seconds: float
) -> Loop:
    """The loop that pays due payouts, on every replica."""

    async def turn() -> bool:
        await identity.ensure()
        return await dispatcher.run_group()

    async def pause() -> None:
        await wakeups.wait(poll_seconds)

    return Loop("dispatcher", turn, pause)
