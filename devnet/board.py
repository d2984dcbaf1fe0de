"""What the demo shows a person: payouts as they move, and tables at the end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from devnet.reckoning import Holding
from models.money import format_amount

Payouts = Sequence[Mapping[str, Any]]
"""Payouts as the API shows them."""


class Board:
    """Lines that change: redrawn in place on a terminal, else printed when they change."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: list[str] = []

    def show(self, lines: Sequence[str]) -> None:
        """Show the current lines; their number never shrinks."""
        if self._out.isatty():
            up = f"\x1b[{len(self._lines)}F" if self._lines else ""
            self._out.write(up + "".join(f"\x1b[2K{line}\n" for line in lines))
        else:
            self._out.writelines(f"{line}\n" for line in lines if line not in self._lines)
        self._out.flush()
        self._lines = list(lines)


def live_line(number: int, payout: Mapping[str, Any]) -> str:
    """One payout on the board."""
    state = str(payout["status"])
    if payout["status"] == "processing" and payout["confirmations"]:
        state += f", {payout['confirmations']} confirmations"
    if payout["status_reason"]:
        state += f": {payout['status_reason']['message']}"
    route = payout["route"]
    return f"  {number:2}  {asked(payout):>16} → {payout['recipient_address']}  {route:6}  {state}"


def asked(payout: Mapping[str, Any]) -> str:
    """The amount and its currency."""
    return f"{payout['amount']} {payout['currency']}"


def paid_table(payouts: Payouts) -> Iterator[str]:
    """What was paid, by which route, and what it cost."""
    yield (
        f"\n{'payout':39}  {'amount':>16}  {'route':6}  {'transaction':64}"
        f"  {'block':>6}  {'fee TRX':>10}"
    )
    for one in payouts:
        yield (
            f"{one['payout_id']:39}  {asked(one):>16}  {one['route']:6}  {one['txid'] or '–':64}"
            f"  {one['block_number'] or '–':>6}  {one['fee_trx'] or '–':>10}"
        )


def holdings_table(
    holdings: Mapping[Holding, int], balances: Mapping[Holding, int]
) -> Iterator[str]:
    """What the recipients were to get, and what they hold."""
    yield f"\n{'recipient':34}  {'asked':>16}  {'on the chain':>16}"
    for (recipient, currency), asked_units in holdings.items():
        held = format_amount(balances[recipient, currency])
        yield f"{recipient:34}  {format_amount(asked_units):>16}  {held:>16}  {currency}"


def reasons(payouts: Payouts) -> Iterator[str]:
    """Why the first payout of each route, and each that people approved, is as it is."""
    yield "\nWhy, by the name of each rule:"
    seen: set[str] = set()
    for number, one in enumerate(payouts, 1):
        approval = one["approval"]
        if one["route"] in seen and approval is None:
            continue
        seen.add(one["route"])
        yield f"  {number:2}  {asked(one):>16} by {one['route']} from {one['wallet']}"
        yield from (f"      {each['rule']}: {each['text']}" for each in one["findings"])
        yield from (
            f"      approved by {each['by']} ({each['role']}): {each['comment']}"
            for each in (approval["given"] if approval else ())
        )
