"""The services that need no chain, over a store in memory."""

from dataclasses import dataclass
from itertools import count
from typing import Any

from adapters.memory.signals import LocalWakeups
from adapters.memory.store import MemoryPayoutStore
from models.caller import Caller
from models.limits import AmountLimits
from models.money import BASE_UNITS, Currency
from models.payout import NewPayout
from models.permission import grants_of, parse_permission
from services.acts import Acts
from services.attempts import AttemptBuilder
from services.control import Control
from services.ids import payout_id
from services.intake import Created, Intake
from services.limits import LimitKeeper
from services.payout_router import PayoutRouter
from services.unexplained import Explaining
from tests.factories import OWNER, USDT_CONTRACT, an_order
from tests.harness import POLICIES, SERVICE, FakeClock, RecordedFigures

USER = Caller(subject="user-1", role="USER", grants=grants_of([parse_permission("payout:*:own")]))

DAILY = 1_000 * BASE_UNITS
AMOUNTS = {Currency.USDT: AmountLimits(minimum=10_000, maximum=500 * BASE_UNITS, daily=DAILY)}

_serials = count(1)


class NamedSigner:
    """A signer of which only the address is asked."""

    address = OWNER

    async def sign(self, digest: bytes) -> bytes:
        raise AssertionError(f"nobody asked for a signature of {digest.hex()}")


@dataclass
class Desk:
    """Router, control and intake over `memory`, which the services reach through `store`."""

    memory: MemoryPayoutStore
    store: Any
    clock: FakeClock
    wakeups: LocalWakeups
    figures: RecordedFigures
    limits: LimitKeeper
    router: PayoutRouter
    control: Control
    newest: list[int]

    async def create(
        self, caller: Caller = SERVICE, *, key: str | None = None, body: str = "", **order: Any
    ) -> Created:
        """Ask for 12.50 USDT unless told otherwise; `body` stands for the fingerprint."""
        return await self.router.create(caller, a_request(key=key, body=body, **order))

    async def used(self) -> int:
        """What the windows of today hold."""
        return await self.memory.used(self.window_id)

    @property
    def window_id(self) -> str:
        """The USDT window of today."""
        return f"day:USDT:{self.clock.at:%Y-%m-%d}"


def a_request(*, key: str | None = None, body: str = "", **order: Any) -> NewPayout:
    """A request; without a body named it is like no other."""
    return NewPayout(an_order(**order), body or f"body {next(_serials)}", key)


def a_desk(store: Any = None, memory: MemoryPayoutStore | None = None) -> Desk:
    """A desk over an empty store; `store` may wrap `memory`."""
    clock = FakeClock()
    memory = memory or MemoryPayoutStore(clock)
    store = store(memory) if store else memory
    wakeups, figures, newest = LocalWakeups(), RecordedFigures(), [0]
    limits = LimitKeeper(store)
    intake = Intake(
        store=store,
        limits=limits,
        wakeups=wakeups,
        observer=figures,
        amounts=AMOUNTS,
        forbidden={OWNER: "the wallet that pays", USDT_CONTRACT: "the token contract"},
        new_id=payout_id,
        saving=POLICIES.saving,
    )
    acts = Acts(store, lambda: str(next(_serials)))
    builder = AttemptBuilder(None, NamedSigner(), USDT_CONTRACT)  # type: ignore[arg-type]
    router = PayoutRouter(
        store=store,
        intake=intake,
        limits=limits,
        explaining=Explaining(store, builder, acts),
        wakeups=wakeups,
        newest_seen=lambda: newest[0],
    )
    control = Control(store=store, acts=acts, wakeups=wakeups, observer=figures, wallet=OWNER)
    return Desk(memory, store, clock, wakeups, figures, limits, router, control, newest)
