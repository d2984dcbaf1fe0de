"""One small world, as a seed draws it: how many of everything, how fast, and who asks for what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random

from adapters.signer.local import LocalSigner
from devnet.settings import USDT_ADDRESS, DevnetSettings
from models.limits import AmountLimits
from models.money import BASE_UNITS, Currency
from models.payout import Order, PayoutReason
from models.policy import AttemptPolicy, AuditPolicy, DispatchPolicy, FeePolicy, SettlePolicy
from services.assembly import Policies
from tests.simulation.faults import Rates
from utils.retry import RetryPolicy

RECIPIENTS = tuple(
    LocalSigner(sha256(f"recipient {number}".encode()).digest()).address for number in range(6)
)
AMOUNTS = (1_000_000, 1_000_000, 2_500_000, 40_000_000)
"""Few, so that equal payouts are common."""

RandomOf = Callable[[str], Random]


def seeded(seed: int) -> RandomOf:
    """A source of its own for each purpose, so that one's draws do not move another's."""
    return lambda purpose: Random(f"{seed}/{purpose}")  # noqa: S311  a seed's, not a secret


@dataclass(frozen=True, slots=True)
class Wish:
    """What one client does: when it asks (seconds), for what, under which key, how often at once,
    with another body under the same key, whether it cancels (seconds after the first answer), and
    whether it hangs up instead of waiting for the answer."""

    at: float
    order: Order
    key: str | None
    at_once: int = 1
    other_body: bool = False
    cancels_after: float | None = None
    hangs_up: bool = False


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
    polls: tuple[float, float, float, float, float]
    planned: Sequence[tuple[float, str]] = ()
    """Events that happen besides those that the rates draw: when, and which."""


def draw_scenario(random_of: RandomOf, rates: Rates) -> Scenario:
    """The world of a seed."""
    draw = random_of("scenario")
    replicas, nodes = draw.choice((1, 2, 2, 3)), draw.choice((1, 2, 3))
    storm = draw.uniform(20, 70)
    genesis = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(hours=draw.choice((0, 11.99)))
    store_begins = genesis + timedelta(seconds=draw.uniform(-3600, 3600))
    wishes = _wishes(random_of, rates, store_begins, storm)
    situations = rates.situations
    return Scenario(
        replicas=replicas,
        storm=storm,
        devnet=DevnetSettings(
            nodes=nodes,
            solid_lag=draw.choice((1, 2, 3, 5)),
            genesis_ms=int(genesis.timestamp()) * 1000,
            wallet_token_units=_funds(wishes, Currency.USDT, "short_of_token" in situations),
            wallet_trx_sun=_funds(wishes, Currency.TRX, "short_of_trx" in situations),
        ),
        policies=replace(_policies(draw, rates, wishes), audit=_audit(random_of("audit groups"))),
        store_begins=store_begins,
        host_skews=[draw.uniform(-3600, 3600) for _ in range(replicas)],
        wishes=wishes,
        latency=draw.choice((0.002, 0.02, 0.1, 0.4)),
        immediate=draw.choice((0.3, 0.7, 0.95)),
        polls=(draw.choice((2.0, 6.0)), 3.0, 5.0, 8.0, random_of("audit").choice((1.0, 4.0))),
    )


def quiet_scenario() -> Scenario:
    """Two replicas, two nodes and three payouts, two of them equal; nothing is random in it."""
    order = Order(RECIPIENTS[0], AMOUNTS[0], Currency.USDT, PayoutReason.CUSTOM)
    genesis = datetime(2026, 3, 1, 12, tzinfo=UTC)
    wishes = (
        Wish(14.0, order, "first"),
        Wish(14.0, order, "second"),
        Wish(15.0, replace(order, currency=Currency.TRX), "third", cancels_after=2.0),
    )
    return Scenario(
        replicas=2,
        storm=30.0,
        devnet=DevnetSettings(nodes=2, solid_lag=2, genesis_ms=int(genesis.timestamp()) * 1000),
        policies=BASE_POLICIES,
        store_begins=genesis + timedelta(hours=1),
        host_skews=(-3600.0, 3600.0),
        wishes=wishes,
        latency=0.02,
        immediate=0.0,
        polls=(3.0, 3.0, 4.0, 10.0, 3.0),
        planned=((1.0, "knocks"), (15.0, "pauses"), (21.0, "resumes"), (22.0, "revokes")),
    )


BASE_POLICIES = Policies(
    usdt_contract=USDT_ADDRESS,
    amounts={
        currency: AmountLimits(10_000, 1_000 * BASE_UNITS, 100_000 * BASE_UNITS)
        for currency in Currency
    },
    fees=FeePolicy(
        fee_limit_sun=20 * BASE_UNITS,
        max_fee_limit_sun=60 * BASE_UNITS,
        payout_cap_sun=100 * BASE_UNITS,
        daily_ceiling_sun=5_000 * BASE_UNITS,
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
    fees, amounts = base.fees, base.amounts
    if "tight_fee_limit" in rates.situations:
        fees = replace(fees, fee_limit_sun=9 * BASE_UNITS)
    if "tight_limits" in rates.situations:
        amounts = {
            currency: replace(limits, daily=_sum(wishes, currency) * 6 // 10)
            for currency, limits in amounts.items()
        }
    return replace(
        base,
        fees=fees,
        amounts=amounts,
        dispatch=replace(base.dispatch, group_size=group, preflight=preflight < 0.3),
        settle=replace(base.settle, group_size=group, blocks_per_read=blocks),
    )


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
    return tuple(wishes)


def _sum(wishes: Sequence[Wish], currency: Currency) -> int:
    asked = sum(wish.order.amount for wish in wishes if wish.order.currency is currency)
    return max(asked, AMOUNTS[0])


def _funds(wishes: Sequence[Wish], currency: Currency, short: bool) -> int:
    """What the wallet holds at first: enough for all, or for half of it (and few fees)."""
    plenty = 1_000_000 * BASE_UNITS
    if not short:
        return plenty
    return _sum(wishes, currency) // 2 + (45 * BASE_UNITS if currency is Currency.TRX else 0)
