"""The services that need no node, over a store in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from adapters.memory.signals import LocalWakeups
from adapters.memory.store import MemoryPayoutStore
from models.caller import Caller
from models.chain import Balances, FeeRates, Simulation, Transfer
from models.decision import DecisionPolicy
from models.limits import AmountLimits
from models.money import BASE_UNITS, Currency
from models.order import NewPayout
from models.permission import grants_of, parse_permission
from models.spending import Ceiling, Period, SpendPolicy
from ports.chain import ChainUnavailableError
from services.acts import Acts
from services.admission import Admission
from services.approving import Approving
from services.attempts import AttemptBuilder
from services.batches import Batches
from services.changing import Changing
from services.control import Control
from services.deciding import Deciding
from services.fallback import Fallback
from services.ids import payout_id
from services.intake import Created, Intake
from services.limits import LimitKeeper
from services.moving import Moving
from services.payout_router import PayoutRouter
from services.quoting import Quoting
from services.rerouting import Rerouting
from services.scheduling import Scheduling
from services.transitions import Transitions
from services.unexplained import Explaining
from tests.factories import OWNER, USDT_CONTRACT, an_order
from tests.harness import DECISIONS, POLICIES, SERVICE, FakeClock, RecordedFigures

USER = Caller(subject="user-1", role="USER", grants=grants_of([parse_permission("payout:*:own")]))

DAILY = 1_000 * BASE_UNITS
AMOUNTS = {Currency.USDT: AmountLimits(minimum=10_000, maximum=500 * BASE_UNITS)}
SPENDING = SpendPolicy(all={Currency.USDT: {Period.DAY: Ceiling(DAILY)}})

_serials = count(1)


@dataclass(frozen=True)
class NamedSigner:
    """A signer of which only the address is asked."""

    address: str = OWNER

    async def sign(self, digest: bytes) -> bytes:
        raise AssertionError(f"nobody asked for a signature of {digest.hex()}")


class Purses:
    """A chain of which only figures are asked; `balances` can be set by wallet."""

    def __init__(self) -> None:
        self.balances_of: dict[str, Balances] = {}
        self.rates = FeeRates(
            energy_sun=100, byte_sun=1_000, account_sun=BASE_UNITS, max_fee_limit_sun=10**10
        )
        self.simulation = Simulation(energy=64_285, reverted=False, message="")
        self.activated = True
        self.silent = False

    async def balances(self, owner: str) -> Balances:
        self._answer()
        return self.balances_of.get(owner, Balances(10**15, 10**15))

    async def fee_rates(self) -> FeeRates:
        self._answer()
        return self.rates

    async def simulate(self, transfer: Transfer) -> Simulation:
        self._answer()
        return self.simulation

    async def is_activated(self, address: str) -> bool:
        self._answer()
        return self.activated

    def _answer(self) -> None:
        if self.silent:
            raise ChainUnavailableError("no node answers")


@dataclass
class Desk:
    """Router, control and loops over `memory`, which the services reach through `store`."""

    memory: MemoryPayoutStore
    store: Any
    clock: FakeClock
    wakeups: LocalWakeups
    figures: RecordedFigures
    chain: Purses
    limits: LimitKeeper
    router: PayoutRouter
    control: Control
    scheduling: Scheduling
    fallback: Fallback
    newest: list[int]

    async def create(
        self, caller: Caller = SERVICE, *, key: str | None = None, body: str = "", **order: Any
    ) -> Created:
        """Ask for 12.50 USDT unless told otherwise; `body` stands for the fingerprint."""
        return await self.router.create(caller, a_request(key=key, body=body, **order))

    async def used(self, window_id: str | None = None) -> int:
        """What a window holds, that of all payouts of today if none is named."""
        asked = window_id or self.window_id
        return (await self.memory.used([asked]))[asked].amount

    @property
    def window_id(self) -> str:
        """The USDT window of today."""
        return f"day:USDT:{self.clock.at:%Y-%m-%d}"


def a_request(*, key: str | None = None, body: str = "", **order: Any) -> NewPayout:
    """A request; without a body named it is like no other."""
    return NewPayout(an_order(**order), body or f"body {next(_serials)}", key)


def a_desk(
    store: Any = None,
    memory: MemoryPayoutStore | None = None,
    decisions: DecisionPolicy = DECISIONS,
    spending: SpendPolicy = SPENDING,
    wallets: Sequence[str] = (OWNER,),
) -> Desk:
    """A desk over an empty store, which `store` may wrap; the first wallet is the default one."""
    clock = FakeClock()
    memory = memory or MemoryPayoutStore(clock)
    store = store(memory) if store else memory
    wakeups, figures, newest, chain = LocalWakeups(), RecordedFigures(), [0], Purses()
    limits = LimitKeeper(store)
    acts = Acts(store, lambda: str(next(_serials)))
    signers = [NamedSigner(wallet) for wallet in wallets]
    builder = AttemptBuilder(None, signers, USDT_CONTRACT)  # type: ignore[arg-type]
    deciding = Deciding(
        store=store,
        chain=chain,  # type: ignore[arg-type]
        builder=builder,
        policy=decisions,
        usual_fee_sun=POLICIES.fees.usual_sun,
        seconds=lambda: clock.at.timestamp(),
    )
    admission = Admission(
        store=store,
        deciding=deciding,
        amounts=AMOUNTS,
        spending=spending,
        forbidden={
            **dict.fromkeys(wallets, "a wallet that pays"),
            USDT_CONTRACT: "the token contract",
        },
    )
    intake = Intake(
        store=store,
        limits=limits,
        admission=admission,
        wakeups=wakeups,
        observer=figures,
        new_id=payout_id,
        saving=POLICIES.saving,
    )
    changing = Changing(store, limits)
    moving = Moving(store=store, deciding=deciding, spending=spending, limits=limits)
    approving = Approving(store, changing, wakeups)
    router = PayoutRouter(
        store=store,
        intake=intake,
        changing=changing,
        approving=approving,
        batches=Batches(store=store, intake=intake, approving=approving),
        rerouting=Rerouting(
            store=store,
            changing=changing,
            deciding=deciding,
            moving=moving,
            wakeups=wakeups,
        ),
        quoting=Quoting(
            store=store,
            chain=chain,  # type: ignore[arg-type]
            builder=builder,
            admission=admission,
            deciding=deciding,
            spending=spending,
            limits=limits,
        ),
        explaining=Explaining(store, builder, acts),
        wakeups=wakeups,
        newest_seen=lambda: newest[0],
    )
    transitions = Transitions(store, figures)
    return Desk(
        memory=memory,
        store=store,
        clock=clock,
        wakeups=wakeups,
        figures=figures,
        chain=chain,
        limits=limits,
        router=router,
        control=Control(
            store=store, acts=acts, wakeups=wakeups, observer=figures, wallet=wallets[0]
        ),
        scheduling=Scheduling(store, transitions, wakeups, decisions.schedule.batch_size),
        fallback=Fallback(
            store=store,
            deciding=deciding,
            moving=moving,
            wakeups=wakeups,
            observer=figures,
            largest={currency: limits.maximum for currency, limits in AMOUNTS.items()},
        ),
        newest=newest,
    )
