"""What was asked for, held against what the chain shows: each payout once, and nothing else."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.money import Currency, format_amount
from models.order import RouteChoice


@dataclass(frozen=True, slots=True)
class Order:
    """A payout to ask for; the amount is in base units, the priority 1 to 10."""

    recipient: str
    amount: int
    currency: Currency
    route: RouteChoice = RouteChoice.SMART
    priority: int = 5


@dataclass(frozen=True, slots=True)
class Paid:
    """An order, and what the API said about it in the end; `wallet` is the one that pays it."""

    order: Order
    payout_id: str
    status: str
    txid: str | None
    wallet: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """A successful transfer out of a hot wallet on the chain; the amount is in base units."""

    txid: str
    wallet: str
    recipient: str
    amount: int
    currency: Currency


Holding = tuple[str, Currency]
"""A recipient and what it holds."""


def differences(
    paid: Sequence[Paid], ledger: Sequence[Transfer], balances: Mapping[Holding, int]
) -> list[str]:
    """What does not fit between the payouts, the chain's transfers and the recipients' balances.

    One line each; an empty list says that each payout was paid exactly once, by the wallet that the
    API names, and nothing else.
    """
    found = [
        f"{one.payout_id} is {one.status}, not completed"
        for one in paid
        if one.status != "completed"
    ]
    uses = Counter(one.txid for one in paid if one.txid)
    found += [f"transaction {txid} stands for {n} payouts" for txid, n in uses.items() if n > 1]
    expected, shown = Counter(map(_transfer, paid)), Counter(ledger)
    found += [f"not on the chain: {describe(one)}" for one in (expected - shown).elements()]
    found += [
        f"on the chain, not asked for: {describe(one)}" for one in (shown - expected).elements()
    ]
    asked = asked_sums([one.order for one in paid])
    for recipient, currency in {**asked, **balances}:
        wanted, held = (sums.get((recipient, currency), 0) for sums in (asked, balances))
        if held != wanted:
            found.append(
                f"{recipient} holds {format_amount(held)} {currency},"
                f" asked were {format_amount(wanted)}"
            )
    return found


def _transfer(paid: Paid) -> Transfer:
    order = paid.order
    return Transfer(paid.txid or "none", paid.wallet, order.recipient, order.amount, order.currency)


def describe(transfer: Transfer) -> str:
    """A transfer in words."""
    amount = format_amount(transfer.amount)
    return (
        f"{amount} {transfer.currency} from {transfer.wallet} to {transfer.recipient} "
        f"(transaction {transfer.txid})"
    )


def asked_sums(orders: Sequence[Order]) -> dict[Holding, int]:
    """What each recipient should hold of each currency afterwards."""
    sums: Counter[Holding] = Counter()
    for order in orders:
        sums[order.recipient, order.currency] += order.amount
    return dict(sums)
