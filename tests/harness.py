"""The real services over a store and the devnet's nodes, in one process, one turn at a time.

No loop runs by itself and no clock ticks: a test says when a block is made, when a group is
dispatched and when solid blocks are read.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from adapters.memory.signals import LocalWakeups
from adapters.memory.store import MemoryPayoutStore
from adapters.memory.tokens import MemoryRevocations
from adapters.signer.local import LocalSigner
from adapters.tron.client import ChainSettings, TronChain
from adapters.tron.codec import ProtobufCodec
from adapters.tron.endpoint import Endpoint, EndpointSettings
from devnet.devnet import Devnet
from devnet.settings import DEVNET_KEYS, DevnetSettings
from models.caller import Caller
from models.decision import DecisionPolicy
from models.limits import AmountLimits
from models.money import BASE_UNITS, Currency
from models.order import NewPayout, Order, PayoutReason, PayoutType, RouteName
from models.payout import Payout
from models.permission import grants_of, parse_permission
from models.policy import AttemptPolicy, AuditPolicy, DispatchPolicy, FeePolicy, SettlePolicy
from models.routes import (
    FallbackPolicy,
    Merit,
    RouteBreakerPolicy,
    RouteLimits,
    RoutePolicy,
    RoutingPolicy,
    Strategy,
)
from models.schedule import SchedulePolicy
from models.spending import Ceiling, Period, SpendPolicy
from services.assembly import Policies, Ports, Services, assemble
from services.ids import payout_id
from utils.circuit_breaker import BreakerPolicy, CircuitBreaker
from utils.rate_limiter import RateLimiter
from utils.retry import RetryPolicy

SOLID_LAG = 3
EVERYTHING = grants_of([parse_permission("*:*:all")])
SERVICE = Caller(subject="platform", role="SERVICE", grants=EVERYTHING)

DECISIONS = DecisionPolicy(
    rules=(),
    routes=tuple(
        RoutePolicy(
            name=name,
            enabled=name is RouteName.V0,
            wallet=None,
            limits={currency: RouteLimits(10_000) for currency in Currency},
            fee_cap_sun=100 * BASE_UNITS,
            capacity=1_000_000,
            priority=5,
        )
        for name in RouteName
    ),
    routing=RoutingPolicy(
        strategy=Strategy.OPTIMAL,
        weights={strategy: {Merit.PRIORITY: 100} for strategy in Strategy},
        breaker=RouteBreakerPolicy(
            window_seconds=600,
            min_volume=1_000_000,
            failure_percent=50,
            recovery_seconds=60,
            trial_payouts=3,
        ),
        fallback=FallbackPolicy(after_seconds=60, times=2),
        sample_payouts=200,
        slow_seconds=300,
        dear_fee_sun=30 * BASE_UNITS,
        healthy_percent=95,
        busy_percent=80,
    ),
    approvals=(),
    schedule=SchedulePolicy(
        max_ahead_days=30,
        batch_interval_seconds=300,
        batch_size=50,
        ageing_seconds=1800,
        targets={PayoutType.IMMEDIATE: 60, PayoutType.EMERGENCY: 30},
        priority_targets=((10, 3600), (8, 7200), (5, 21600), (1, 86400)),
    ),
)
"""One route that takes everything, no rule and no approval: what is not about decisions."""

POLICIES = Policies(
    usdt_contract="TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t",
    amounts={
        Currency.USDT: AmountLimits(10_000, 10_000 * BASE_UNITS),
        Currency.TRX: AmountLimits(10_000, 30_000 * BASE_UNITS),
    },
    spending=SpendPolicy(
        all={
            Currency.USDT: {Period.DAY: Ceiling(100_000 * BASE_UNITS)},
            Currency.TRX: {Period.DAY: Ceiling(300_000 * BASE_UNITS)},
        }
    ),
    decisions=DECISIONS,
    kyc_validity={level: timedelta(days=365) for level in (1, 2, 3)},
    fees=FeePolicy(
        fee_limit_sun=20 * BASE_UNITS,
        max_fee_limit_sun=60 * BASE_UNITS,
        payout_cap_sun=100 * BASE_UNITS,
        daily_ceiling_sun=5_000 * BASE_UNITS,
        usual_sun={Currency.USDT: 14 * BASE_UNITS, Currency.TRX: BASE_UNITS // 3},
    ),
    attempts=AttemptPolicy(life_ms=60_000, max_beyond_cursor_ms=180_000),
    dispatch=DispatchPolicy(
        group_size=100,
        lease_seconds=60,
        skip_seconds=15,
        max_deaths=3,
        max_refusals=3,
        concurrency=20,
        preflight=False,
    ),
    settle=SettlePolicy(
        blocks_per_read=20, group_size=100, resend_after_seconds=75, unsent_after_seconds=20
    ),
    audit=AuditPolicy(group_size=200, retention_seconds=86_400),
    head_stale_seconds=30,
    saving=RetryPolicy(tries=3, base_seconds=0, max_seconds=0),
    quarantine=False,
    known_genesis=None,
)


@dataclass
class RecordedFigures:
    """An observer that keeps what was counted, by family name."""

    counts: dict[str, float] = field(default_factory=dict)

    def count(self, name: str, /, amount: float = 1, **labels: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    def gauge(self, name: str, /, value: float, **labels: str) -> None:
        self.counts[name] = value

    def observe(self, name: str, /, value: float, **labels: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1


class FakeClock:
    """The store's clock; `tick` moves it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def tick(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class House:
    """A replica of the router over a store and a devnet, with what a test needs to drive it."""

    net: Devnet
    store: Any
    clock: FakeClock
    chain: TronChain
    services: Services
    ports: Ports
    policies: Policies
    figures: RecordedFigures

    @property
    def wallet(self) -> str:
        """The wallet that pays what was given to none."""
        return self.ports.signers[0].address

    async def create(self, caller: Caller = SERVICE, **order: Any) -> Payout:
        """Accept a payout of 12.50 USDT unless told otherwise."""
        key = order.pop("idempotency_key", None)
        fields: dict[str, Any] = {
            "recipient_address": fresh_address(),
            "amount": 12_500_000,
            "currency": Currency.USDT,
            "reason": PayoutReason.CUSTOM,
        } | order
        fingerprint = order.pop("fingerprint", repr(sorted(fields.items())))
        fields.pop("fingerprint", None)
        request = NewPayout(Order(**fields), fingerprint, key)
        return (await self.services.router.create(caller, request)).payout

    async def get(self, payout: Payout | str) -> Payout:
        """A payout as it stands."""
        found: Payout | None = await self.store.get(
            payout if isinstance(payout, str) else payout.payout_id
        )
        assert found is not None
        return found

    async def used(self, payout: Payout) -> int:
        """Base units that the first limit window of a payout holds."""
        window_id = payout.window_ids[0]
        found = await self.store.used([window_id])
        return found[window_id].amount if window_id in found else 0

    async def start(self) -> None:
        """Bind to the chain, put the cursor on the solid head and let dispatch open."""
        await self.services.identity.ensure()
        await self.read()
        self.mine(1)
        await self.services.dispatcher.run_group()
        self.mine(SOLID_LAG + 1)
        await self.read()

    def mine(self, blocks: int = 1) -> None:
        """Make blocks; the store's clock follows the chain's."""
        for _ in range(blocks):
            self.net.mine(1)
            self.clock.tick(self.net.settings.block_interval_ms / 1000)

    async def read(self) -> None:
        """Read all solid blocks there are, and judge their hits."""
        while await self.services.settlement.advance():
            pass
        await self.services.settlement.settle_hits()

    async def dispatch(self) -> None:
        """Pay every due group."""
        while await self.services.dispatcher.run_group():
            pass

    async def settle(self, blocks: int = SOLID_LAG + 2) -> None:
        """Make so many blocks, reading after each; then review what lives too long."""
        for _ in range(blocks):
            self.mine(1)
            await self.read()
        await self.services.settlement.review()

    async def pay(self, payout: Payout) -> Payout:
        """Dispatch, settle, and the payout as it then stands."""
        await self.dispatch()
        await self.settle()
        return await self.get(payout)

    def paid(self, payout: Payout) -> int:
        """How many successful transfers the chain shows from our wallet to its recipient."""
        return sum(
            entry.recipient == payout.order.recipient_address
            for entry in self.net.ledger(owner=None)
        )


def fresh_address() -> str:
    """An address nobody has used."""
    return LocalSigner(uuid.uuid4().bytes + uuid.uuid4().bytes).address


def devnet_chain(
    net: Devnet,
    figures: RecordedFigures,
    *,
    usdt_contract: str = POLICIES.usdt_contract,
    transports: Sequence[httpx.AsyncBaseTransport] = (),
    stall_seconds: float = 30,
    silent_after_seconds: float = -1,
) -> TronChain:
    """The real adapter over a devnet's endpoints, without sockets and without waits.

    `transports` take the place of the devnet's own endpoints. One that is silent has no say at
    once, unless told otherwise.
    """
    once = RetryPolicy(tries=1, base_seconds=0, max_seconds=0)
    nodes = transports or [net.transport(number) for number in range(net.settings.nodes)]
    endpoints = [
        Endpoint(
            EndpointSettings(
                url=f"http://node{number}.devnet",
                solidity_url=f"http://node{number}.devnet",
                api_key=None,
                solidity_api_key=None,
                max_answer_bytes=1 << 22,
                timeout_seconds=0.5,
            ),
            client=httpx.AsyncClient(transport=transport),
            breaker=CircuitBreaker(
                f"node{number}", BreakerPolicy(failure_threshold=1000, recovery_seconds=0)
            ),
            limiter=RateLimiter(1e6, 1000),
            observer=figures,
        )
        for number, transport in enumerate(nodes)
    ]
    settings = ChainSettings(usdt_contract, stall_seconds, silent_after_seconds, 600, once, once)
    return TronChain(endpoints, settings)


async def open_house(
    *,
    net: Devnet | None = None,
    store: Any = None,
    clock: FakeClock | None = None,
    policies: Policies = POLICIES,
    nodes: int = 1,
    chain: Any = None,
    codec: Any = None,
    signer: Any = None,
    signers: Sequence[Any] = (),
    replica: str = "replica-1",
    new_id: Callable[[datetime], str] = payout_id,
) -> House:
    """A replica, not started: pass `net`, `store` and `clock` of another one to share them."""
    figures = RecordedFigures()
    clock = clock or FakeClock()
    net = net or Devnet(DevnetSettings(nodes=nodes, solid_lag=SOLID_LAG))
    store = store or MemoryPayoutStore(clock)
    chain = chain or devnet_chain(net, figures)
    ports = Ports(
        store=store,
        chain=chain,
        codec=codec or ProtobufCodec(),
        signers=signers or [signer or LocalSigner(bytes.fromhex(DEVNET_KEYS[0]))],
        wakeups=LocalWakeups(),
        observer=figures,
        revocations=MemoryRevocations(clock),
        replica=replica,
        new_id=new_id,
        new_token=lambda: uuid.uuid4().hex,
    )
    services = await assemble(ports, policies)
    return House(net, store, clock, chain, services, ports, policies, figures)
