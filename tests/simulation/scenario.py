"""One small world, as a seed draws it: how many of everything, how fast, and who asks for what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from devnet.settings import USDT_ADDRESS, DevnetSettings
from models.caller import Caller
from models.limits import AmountLimits
from models.money import BASE_UNITS, Currency
from models.order import BatchWindow, Order, PayoutReason, PayoutType, RouteChoice
from models.policy import AttemptPolicy, AuditPolicy, DispatchPolicy, FeePolicy, SettlePolicy
from models.routes import FallbackPolicy
from models.spending import Ceiling, Period, SpendPolicy
from services.assembly import Policies
from tests.harness import DECISIONS, SERVICE
from tests.simulation.faults import Rates
from tests.simulation.policies import (
    AMOUNTS,
    KYC_VALIDITY,
    MAKERS,
    RECIPIENTS,
    SIGNERS,
    TENANTS,
    draw_decisions,
    draw_spending,
    several_routes,
)
from utils.retry import RetryPolicy

RandomOf = Callable[[str], Random]


def seeded(seed: int) -> RandomOf:
    """A source of its own for each purpose, so that one's draws do not move another's."""
    return lambda purpose: Random(f"{seed}/{purpose}")  # noqa: S311  a seed's, not a secret


@dataclass(frozen=True, slots=True)
class Wish:
    """What one client does: when it asks (seconds), for what, under which key, how often at once,
    with another body under the same key, whether it cancels (seconds after the first answer),
    whether it hangs up instead of waiting for the answer, and who it is."""

    at: float
    order: Order
    key: str | None
    at_once: int = 1
    other_body: bool = False
    cancels_after: float | None = None
    hangs_up: bool = False
    maker: Caller = SERVICE


@dataclass(frozen=True, slots=True)
class BatchWish:
    """What one client does that asks for several payouts at once: as a `Wish`, but it always has a
    key, and sends the same once more in the end. `seconds` is how long the router may take."""

    at: float
    orders: tuple[Order, ...]
    key: str
    at_once: int
    other_body: bool
    hangs_up: bool
    seconds: float
    maker: Caller = SERVICE


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything about a world but its faults. Times in seconds.

    `store_begins` is the store's clock at second 0; the chain's begins with its genesis block, up
    to an hour away from it, and each replica's host has another one.
    """

    replicas: int
    storm: float
    devnet: DevnetSettings
    policies: Policies
    store_begins: datetime
    host_skews: Sequence[float]
    wishes: Sequence[Wish]
    latency: float
    immediate: float
    polls: tuple[float, float, float, float, float, float]
    planned: Sequence[tuple[float, str]] = ()
    """Events that happen besides those that the rates draw: when, and which."""
    batches: Sequence[BatchWish] = ()
    batch_items: int = 1
    """How many payouts each batch brings."""
    rich: int | None = None
    """The wallet that has plenty, though the others may be short; None: they are alike."""


def draw_scenario(random_of: RandomOf, rates: Rates) -> Scenario:
    """The world of a seed."""
    draw = random_of("scenario")
    replicas, nodes = draw.choice((1, 2, 2, 3)), draw.choice((1, 2, 3))
    storm = draw.uniform(20, 70)
    genesis = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(hours=draw.choice((0, 11.99)))
    if "long_windows" in rates.situations:
        genesis += timedelta(days=random_of("day of the week").randrange(7))
    store_begins = genesis + timedelta(seconds=draw.uniform(-3600, 3600))
    wishes = _wishes(random_of, rates, store_begins, storm)
    situations = rates.situations
    batches = _batches(random_of("batches of payouts"), rates, wishes)
    one_poor = "one_wallet_poor" in situations
    return Scenario(
        replicas=replicas,
        storm=storm,
        devnet=DevnetSettings(
            nodes=nodes,
            solid_lag=draw.choice((1, 2, 3, 5)),
            genesis_ms=int(genesis.timestamp()) * 1000,
            wallet_token_units=AMOUNTS[-1]
            if one_poor
            else _funds(wishes, Currency.USDT, "short_of_token" in situations),
            wallet_trx_sun=_funds(wishes, Currency.TRX, "short_of_trx" in situations),
        ),
        policies=replace(
            _policies(draw, rates, wishes),
            audit=_audit(random_of("audit groups")),
            spending=_spending(random_of("limits"), rates, wishes),
            decisions=draw_decisions(random_of, situations),
        ),
        store_begins=store_begins,
        host_skews=[draw.uniform(-3600, 3600) for _ in range(replicas)],
        wishes=wishes,
        batches=batches,
        batch_items=len(batches[0].orders) if batches else 1,
        rich=random_of("the rich wallet").randrange(len(SIGNERS)) if one_poor else None,
        latency=draw.choice((0.002, 0.02, 0.1, 0.4)),
        immediate=draw.choice((0.3, 0.7, 0.95)),
        polls=(
            draw.choice((2.0, 6.0)),
            3.0,
            5.0,
            8.0,
            random_of("audit").choice((1.0, 4.0)),
            random_of("schedule").choice((1.0, 4.0)),
        ),
    )


def quiet_scenario() -> Scenario:
    """Two replicas, two nodes and eight payouts, two of them equal and two in one request; nothing
    is random in it.

    The fourth waits for a time and an approval, and is given another route; a fifth is above a
    limit; the sixth falls back on another route when its wallet is stopped.
    """
    order = Order(RECIPIENTS[0], AMOUNTS[0], Currency.USDT, PayoutReason.CUSTOM)
    genesis = datetime(2026, 3, 1, 12, tzinfo=UTC)
    begins = genesis + timedelta(hours=1)
    wishes = (
        Wish(14.0, order, "first"),
        Wish(14.0, order, "second"),
        Wish(15.0, replace(order, currency=Currency.TRX), "third", cancels_after=2.0),
        Wish(
            13.0,
            replace(
                order,
                amount=AMOUNTS[2],
                payout_type=PayoutType.SCHEDULED,
                scheduled_at=begins + timedelta(seconds=24),
                route=RouteChoice.DIRECT,
                priority=9,
            ),
            "fourth",
            maker=MAKERS[1],
        ),
        Wish(15.0, order, "one too many"),
        Wish(15.5, replace(order, currency=Currency.TRX), "sixth"),
    )
    together = replace(order, recipient_address=RECIPIENTS[3])
    daily = {Period.DAY: Ceiling(count=3)}
    situations = {"several_routes", "two_wallets", "asks_approval", "denies"}
    decisions = draw_decisions(seeded(0), situations)
    plain, verified, urgent = decisions.routes
    plain = replace(plain, wallet=SIGNERS[1].address, priority=10)
    other = replace(verified, limits=plain.limits, wallet=None, priority=1)
    return Scenario(
        replicas=2,
        storm=30.0,
        devnet=DevnetSettings(nodes=2, solid_lag=2, genesis_ms=int(genesis.timestamp()) * 1000),
        policies=replace(
            BASE_POLICIES,
            decisions=replace(
                decisions,
                routes=(plain, other, urgent),
                routing=replace(decisions.routing, fallback=FallbackPolicy(2, 1)),
            ),
            spending=replace(BASE_POLICIES.spending, recipients={Currency.USDT: daily}),
        ),
        store_begins=begins,
        host_skews=(-3600.0, 3600.0),
        wishes=wishes,
        batches=(BatchWish(14.5, (together, together), "batch-0", 1, False, False, 20.0),),
        batch_items=2,
        latency=0.02,
        immediate=0.0,
        polls=(3.0, 3.0, 4.0, 10.0, 3.0, 5.0),
        planned=(
            (1.0, "knocks"),
            *((5.0, "lists"), (12.0, "lists"), (5.0, "verifies"), (8.0, "verifies")),
            *((14.8, "pauses"), (16.0, "approves"), (16.5, "pauses_wallet"), (19.4, "reroutes")),
            *((21.0, "resumes"), (22.0, "revokes")),
        ),
    )


BASE_POLICIES = Policies(
    usdt_contract=USDT_ADDRESS,
    amounts={currency: AmountLimits(10_000, 1_000 * BASE_UNITS) for currency in Currency},
    spending=SpendPolicy(
        all={currency: {Period.DAY: Ceiling(100_000 * BASE_UNITS)} for currency in Currency}
    ),
    decisions=DECISIONS,
    kyc_validity=KYC_VALIDITY,
    fees=FeePolicy(
        fee_limit_sun=20 * BASE_UNITS,
        max_fee_limit_sun=60 * BASE_UNITS,
        payout_cap_sun=100 * BASE_UNITS,
        daily_ceiling_sun=5_000 * BASE_UNITS,
        usual_sun={Currency.USDT: 14 * BASE_UNITS, Currency.TRX: BASE_UNITS // 3},
    ),
    attempts=AttemptPolicy(life_ms=18_000, max_beyond_cursor_ms=48_000),
    dispatch=DispatchPolicy(
        group_size=100,
        lease_seconds=8,
        skip_seconds=4,
        max_deaths=3,
        max_refusals=3,
        concurrency=20,
        preflight=False,
    ),
    settle=SettlePolicy(
        blocks_per_read=20, group_size=100, resend_after_seconds=7, unsent_after_seconds=3
    ),
    audit=AuditPolicy(group_size=20, retention_seconds=86_400),
    head_stale_seconds=15,
    saving=RetryPolicy(tries=2, base_seconds=0.1, max_seconds=1, jitter=0),
    quarantine=False,
    known_genesis=None,
)
"""Like the service's own, with lives and leases short enough to run out often."""


def _policies(draw: Random, rates: Rates, wishes: Sequence[Wish]) -> Policies:
    base = BASE_POLICIES
    group, blocks, preflight = draw.choice((1, 2, 100)), draw.choice((1, 3, 20)), draw.random()
    fees = base.fees
    if "tight_fee_limit" in rates.situations:
        fees = replace(fees, fee_limit_sun=9 * BASE_UNITS)
    return replace(
        base,
        fees=fees,
        dispatch=replace(base.dispatch, group_size=group, preflight=preflight < 0.3),
        settle=replace(base.settle, group_size=group, blocks_per_read=blocks),
    )


def _spending(draw: Random, rates: Rates, wishes: Sequence[Wish]) -> SpendPolicy:
    if "tight_limits" not in rates.situations:
        return BASE_POLICIES.spending
    return draw_spending(draw, {currency: _sum(wishes, currency) for currency in Currency})


def _audit(draw: Random) -> AuditPolicy:
    return AuditPolicy(
        group_size=draw.choice((1, 3, 20)), retention_seconds=draw.choice((10, 86_400))
    )


def _wishes(random_of: RandomOf, rates: Rates, begins: datetime, storm: float) -> tuple[Wish, ...]:
    draw, on = random_of("wishes"), rates.situations
    wishes = []
    for number in range(draw.randint(1, 6)):
        expires, fate = draw.uniform(5, 60), [draw.random() < 0.5 for _ in range(6)]
        order = Order(
            recipient_address=draw.choice(RECIPIENTS),
            amount=draw.choice(AMOUNTS),
            currency=draw.choice((Currency.USDT, Currency.USDT, Currency.TRX)),
            reason=PayoutReason.CUSTOM,
            priority=draw.randint(1, 10),
        )
        at, later = draw.uniform(0, storm * 0.8), draw.uniform(0, 40)
        if "expiring" in on and fate[0]:
            order = replace(order, expires_at=begins + timedelta(seconds=at + expires))
        keyed = "key_reused" in on or fate[1]
        wishes.append(
            Wish(
                at=at,
                order=order,
                key=f"key {number}" if keyed else None,
                at_once=3 if "sent_at_once" in on and fate[2] else 1,
                other_body=keyed and "body_changed" in on and fate[3],
                cancels_after=later if "cancel" in on and fate[4] else None,
                hangs_up="client_gone" in on and fate[5],
            )
        )
    asked = random_of("what is asked")
    decided = [_decided(wish, asked, rates, begins) for wish in wishes]
    if "long_windows" in on:
        decided = [_gathered(wish, random_of(f"window {n}")) for n, wish in enumerate(decided)]
    if "tenants" in on:
        decided = [_housed(wish, random_of(f"tenant {n}")) for n, wish in enumerate(decided)]
    return tuple(decided)


def _decided(wish: Wish, draw: Random, rates: Rates, begins: datetime) -> Wish:
    """The same wish, by one of the clients, of a type and for a route."""
    on, order = rates.situations, wish.order
    kind, route = draw.choice([*PayoutType]), draw.choice([*RouteChoice])
    maker = draw.choice(MAKERS)
    due = begins + timedelta(seconds=wish.at + draw.uniform(3, 60))
    if "typed" in on:
        scheduled_at = due if kind is PayoutType.SCHEDULED else None
        order = replace(order, payout_type=kind, scheduled_at=scheduled_at)
    if several_routes(on):
        left_to_us = "falls_back" in on and draw.random() < 0.5
        order = replace(order, route=RouteChoice.SMART if left_to_us else route)
    return replace(wish, order=order, maker=maker)


def _gathered(wish: Wish, draw: Random) -> Wish:
    """The same wish, mostly as one that may wait for long."""
    window, gathers = draw.choice([*BatchWindow]), draw.random() < 0.7
    if wish.order.payout_type is PayoutType.BATCH or gathers:
        batch = PayoutType.BATCH
        order = replace(
            wish.order,
            payout_type=batch,
            batch_window=window,
            scheduled_at=None,
            expires_at=None,
        )
        return replace(wish, order=order)
    return wish


def _housed(wish: Wish, draw: Random) -> Wish:
    """The same wish, of one of several tenants, whose clients have keys in common."""
    maker = replace(wish.maker, tenant=draw.choice(TENANTS))
    return replace(wish, maker=maker, key=wish.key and "everybody's key")


def _batches(draw: Random, rates: Rates, wishes: Sequence[Wish]) -> tuple[BatchWish, ...]:
    """What some of the clients ask for again, several times over, in one request."""
    items, on = draw.choice((2, 3, 5)), rates.situations
    if "batches" not in on:
        return ()
    shared = "tenants" in on
    return tuple(
        BatchWish(
            at=wish.at,
            orders=tuple(draw.choice(wishes).order for _ in range(items)),
            key="batch-of-everybody" if shared else f"batch-{number}",
            at_once=draw.choice((1, 2)),
            other_body=draw.random() < 0.3,
            hangs_up=wish.hangs_up,
            seconds=draw.choice((0.1, 1.0, 20.0)),
            maker=wish.maker,
        )
        for number, wish in enumerate(wishes[:2])
    )


def _sum(wishes: Sequence[Wish], currency: Currency) -> int:
    asked = sum(wish.order.amount for wish in wishes if wish.order.currency is currency)
    return max(asked, AMOUNTS[0])


def _funds(wishes: Sequence[Wish], currency: Currency, short: bool) -> int:
    """What the wallet holds at first: enough for all, or for half of it (and few fees)."""
    plenty = 1_000_000 * BASE_UNITS
    if not short:
        return plenty
    return _sum(wishes, currency) // 2 + (45 * BASE_UNITS if currency is Currency.TRX else 0)
