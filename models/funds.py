"""Which claimed payouts the wallet can pay for, after all that is still in flight."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.chain import Balances, FeeRates
from models.errors import Reason
from models.money import Currency, format_amount
from models.payout import Payout
from models.policy import FeePolicy

TRX_BANDWIDTH_BYTES = 400
TOKEN_BANDWIDTH_BYTES = 500
"""Above what our transactions weigh (about 270 and 350 bytes with signature and the 64 bytes
that a node adds), so that a cost is never underestimated."""

PREFLIGHT_HEADROOM = (5, 4)
"""A simulated energy figure is raised by a quarter: the dynamic part can grow before inclusion."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The most that one attempt can burn: its fee limit, and in all (both sun)."""

    fee_limit_sun: int
    max_cost_sun: int


@dataclass(frozen=True, slots=True)
class Purse:
    """What may still be promised: base units, and sun of fees left under the daily ceiling."""

    trx_sun: int
    usdt: int
    fees_sun: int


@dataclass(frozen=True, slots=True)
class Allotment:
    """Payouts that are paid now with their cost, and those that wait with the reason."""

    paid: tuple[tuple[Payout, Cost], ...]
    waiting: tuple[tuple[Payout, Reason], ...]


def attempt_cost(
    payout: Payout, policy: FeePolicy, rates: FeeRates, *, new_account: bool, energy: int | None
) -> Cost:
    """The most that the next attempt of a payout can burn.

    `energy` is a preflight's figure, if there is one: it sizes the fee limit. A fee limit that
    was binding before (`min_fee_limit_sun`) is never gone below; the policy and the chain cap it.
    """
    if payout.order.currency is Currency.TRX:
        creation = rates.account_sun if new_account else 0
        return Cost(0, TRX_BANDWIDTH_BYTES * rates.byte_sun + creation)
    up, down = PREFLIGHT_HEADROOM
    wanted = policy.fee_limit_sun if energy is None else energy * rates.energy_sun * up // down
    limit = min(
        max(wanted, payout.min_fee_limit_sun), policy.max_fee_limit_sun, rates.max_fee_limit_sun
    )
    return Cost(limit, limit + TOKEN_BANDWIDTH_BYTES * rates.byte_sun)


def purse(balances: Balances, taken: Balances, promised_fees_sun: int, fees_left_sun: int) -> Purse:
    """What is left of solid balances after `taken` (amounts in flight) and the fees in flight;
    `fees_left_sun` is what all wallets may still promise to burn."""
    return Purse(
        trx_sun=balances.trx_sun - taken.trx_sun - promised_fees_sun,
        usdt=balances.usdt - taken.usdt,
        fees_sun=fees_left_sun,
    )


def allot(priced: Sequence[tuple[Payout, Cost]], left: Purse, policy: FeePolicy) -> Allotment:
    """Take payouts in the given order while the purse lasts; one that does not fit is passed over
    and those behind it are still looked at."""
    paid: list[tuple[Payout, Cost]] = []
    waiting: list[tuple[Payout, Reason]] = []
    for payout, cost in priced:
        reason = _obstacle(payout, cost, left, policy)
        if reason is not None:
            waiting.append((payout, reason))
            continue
        left = _minus(left, payout, cost)
        paid.append((payout, cost))
    return Allotment(tuple(paid), tuple(waiting))


def _obstacle(payout: Payout, cost: Cost, left: Purse, policy: FeePolicy) -> Reason | None:
    after = _minus(left, payout, cost)
    cap = policy.cap_sun(payout.route)
    if payout.burned_sun + cost.max_cost_sun > cap:
        return Reason("P403", f"the fees of this payout could exceed {format_amount(cap)} TRX")
    if after.fees_sun < 0:
        return Reason("P201", "the daily ceiling on burned fees is reached")
    if after.usdt < 0:
        return Reason("P200", "the wallet's USDT balance is too low")
    if after.trx_sun < 0:
        return Reason("P200", "the wallet's TRX balance is too low for amount and fees")
    return None


def _minus(left: Purse, payout: Payout, cost: Cost) -> Purse:
    taken = Balances.taken_by(payout.order.amount, payout.order.currency, cost.max_cost_sun)
    return Purse(
        trx_sun=left.trx_sun - taken.trx_sun,
        usdt=left.usdt - taken.usdt,
        fees_sun=left.fees_sun - cost.max_cost_sun,
    )
