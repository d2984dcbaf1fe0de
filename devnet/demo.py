"""Ten sample payouts on a throw-away stack, checked against the chain (`make demo`).

The stack has its own fresh data and free ports and none of the caller's settings, so that a demo
never pays real money. Only MONGODB_URL and REDIS_URL are taken over, for machines that can't run
the embedded ones; the demo then works in a database of its own and drops it.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pymongo

from adapters.tron.protocol import address_to_hex
from devnet.network import DEVNET_WALLETS
from devnet.process import HttpServer, StartError, free_port
from devnet.settings import USDT_ADDRESS
from devnet.stack import (
    Stack,
    StackSettings,
    is_set,
    main,
    read_variable,
    running_stack,
    sample_address,
)
from models.money import Currency, format_amount, parse_amount
from settings.environment import Environment
from settings.security import Role

TICK_MS: Final = 250
SOLID_LAG: Final = 19
TIME_LIMIT_SECONDS: Final = 120
POLL_SECONDS: Final = 0.3
ENDED: Final = frozenset(
    {"completed", "failed", "cancelled", "rejected", "expired", "needs_review"}
)


@dataclass(frozen=True, slots=True)
class Order:
    """A payout to ask for; the amount is in base units."""

    recipient: str
    amount: int
    currency: Currency


@dataclass(frozen=True, slots=True)
class Paid:
    """An order, and what the API said about it in the end."""

    order: Order
    payout_id: str
    status: str
    txid: str | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A successful transfer out of the hot wallet on the chain; the amount is in base units."""

    txid: str
    recipient: str
    amount: int
    currency: Currency


Holding = tuple[str, Currency]
"""A recipient and what it holds."""

SAMPLES: Final = (
    (1, "25", Currency.USDT),
    (1, "25", Currency.USDT),  # the same recipient and amount at the same moment: two payouts
    (2, "12.50", Currency.USDT),
    (3, "0.01", Currency.USDT),
    (4, "999.999999", Currency.USDT),
    (5, "100", Currency.USDT),
    (6, "1.50", Currency.TRX),
    (7, "42", Currency.TRX),
    (8, "0.123456", Currency.TRX),
    (2, "3", Currency.TRX),
)
ORDERS: Final = tuple(
    Order(sample_address(number), parse_amount(amount), currency)
    for number, amount, currency in SAMPLES
)


def differences(
    paid: Sequence[Paid], ledger: Sequence[Transfer], balances: Mapping[Holding, int]
) -> list[str]:
    """What does not fit between the payouts, the chain's transfers and the recipients' balances.

    One line each; an empty list says that each payout was paid exactly once, and nothing else.
    """
    found = [
        f"{one.payout_id} is {one.status}, not completed"
        for one in paid
        if one.status != "completed"
    ]
    uses = Counter(one.txid for one in paid if one.txid)
    found += [f"transaction {txid} stands for {n} payouts" for txid, n in uses.items() if n > 1]
    expected = Counter(
        Transfer(one.txid or "none", one.order.recipient, one.order.amount, one.order.currency)
        for one in paid
    )
    shown = Counter(ledger)
    found += [f"not on the chain: {describe(one)}" for one in (expected - shown).elements()]
    found += [
        f"on the chain, not asked for: {describe(one)}" for one in (shown - expected).elements()
    ]
    for (recipient, currency), asked in asked_sums([one.order for one in paid]).items():
        held = balances.get((recipient, currency), 0)
        if held != asked:
            found.append(
                f"{recipient} holds {format_amount(held)} {currency},"
                f" asked were {format_amount(asked)}"
            )
    return found


def describe(transfer: Transfer) -> str:
    """A transfer in words."""
    amount = format_amount(transfer.amount)
    return f"{amount} {transfer.currency} to {transfer.recipient} (transaction {transfer.txid})"


def asked_sums(orders: Sequence[Order]) -> dict[Holding, int]:
    """What each recipient should hold of each currency afterwards."""
    sums: Counter[Holding] = Counter()
    for order in orders:
        sums[order.recipient, order.currency] += order.amount
    return dict(sums)


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


async def create(api: httpx.AsyncClient, number: int, order: Order) -> dict[str, Any]:
    """Ask for one payout.

    Raises:
        StartError: the answer is not 201.
    """
    answer = await api.post(
        "/payouts",
        headers={"Idempotency-Key": f"demo-{number}"},
        json={
            "recipient_address": order.recipient,
            "amount": format_amount(order.amount),
            "currency": order.currency,
            "reason": "uptime_reward",
            "reference": f"demo-{number}",
        },
    )
    if answer.status_code != httpx.codes.CREATED:
        raise StartError(f"payout {number} was refused: {answer.status_code} {answer.text}")
    created: dict[str, Any] = answer.json()
    return created


async def follow(
    api: httpx.AsyncClient, created: Sequence[dict[str, Any]], board: Board
) -> list[dict[str, Any]]:
    """Show the payouts until each of them has ended; their last state."""
    payouts = list(created)
    while True:
        board.show([live_line(number, payout) for number, payout in enumerate(payouts, 1)])
        if all(payout["status"] in ENDED for payout in payouts):
            return payouts
        await asyncio.sleep(POLL_SECONDS)
        answers = await asyncio.gather(*(api.get(f"/payouts/{p['payout_id']}") for p in payouts))
        payouts = [answer.raise_for_status().json() for answer in answers]


def live_line(number: int, payout: Mapping[str, Any]) -> str:
    """One payout on the board."""
    asked = f"{payout['amount']} {payout['currency']}"
    state = str(payout["status"])
    if payout["status"] == "processing" and payout["confirmations"]:
        state += f", {payout['confirmations']} confirmations"
    if payout["status_reason"]:
        state += f": {payout['status_reason']['message']}"
    return f"  {number:2}  {asked:>16} → {payout['recipient_address']}  {state}"


async def transfers(node: httpx.AsyncClient) -> list[Transfer]:
    """Every transfer out of the hot wallet, from the devnet's ledger."""
    answer = await node.get("/devnet/ledger", params={"from": DEVNET_WALLETS[0].address})
    return [
        Transfer(entry["txid"], entry["to"], int(entry["amount"]), Currency(entry["currency"]))
        for entry in answer.raise_for_status().json()["transfers"]
    ]


async def balance(node: httpx.AsyncClient, recipient: str, currency: Currency) -> int:
    """What the solid chain says that the recipient holds, in base units, as any wallet reads it."""
    if currency is Currency.TRX:
        query = {"address": recipient, "visible": True}
        account = await node.post("/walletsolidity/getaccount", json=query)
        return int(account.raise_for_status().json().get("balance", 0))
    call = {
        "owner_address": recipient,
        "contract_address": USDT_ADDRESS,
        "function_selector": "balanceOf(address)",
        "parameter": address_to_hex(recipient)[2:].rjust(64, "0"),
        "visible": True,
    }
    result = await node.post("/walletsolidity/triggerconstantcontract", json=call)
    return int(result.raise_for_status().json()["constant_result"][0], 16)


async def pay(stack: Stack, devnet: HttpServer, out: TextIO) -> list[str]:
    """Pay ORDERS, show what happens, and say what does not fit."""
    headers = {"Authorization": f"Bearer {stack.token(Role.SERVICE, 'demo')}"}
    async with (
        httpx.AsyncClient(base_url=stack.service.url, headers=headers, timeout=30) as api,
        httpx.AsyncClient(base_url=devnet.url, timeout=30) as node,
    ):
        creations = (create(api, number, order) for number, order in enumerate(ORDERS, 1))
        created = await asyncio.gather(*creations)
        payouts = await follow(api, created, Board(out))
        paid = [
            Paid(order, payout["payout_id"], payout["status"], payout["txid"])
            for order, payout in zip(ORDERS, payouts, strict=True)
        ]
        holdings = asked_sums(ORDERS)
        balances = {holding: await balance(node, *holding) for holding in holdings}
        out.writelines(f"{line}\n" for line in report(payouts, holdings, balances))
        return differences(paid, await transfers(node), balances)


def report(
    payouts: Sequence[Mapping[str, Any]],
    holdings: Mapping[Holding, int],
    balances: Mapping[Holding, int],
) -> Iterator[str]:
    """The two tables at the end: what was paid, and what the recipients hold."""
    yield f"\n{'payout':39}  {'amount':>16}  {'transaction':64}  {'block':>6}  {'fee TRX':>10}"
    for one in payouts:
        asked = f"{one['amount']} {one['currency']}"
        fee = one["fee_trx"] or "–"
        yield (
            f"{one['payout_id']:39}  {asked:>16}  {one['txid'] or '–':64}"
            f"  {one['block_number'] or '–':>6}  {fee:>10}"
        )
    yield f"\n{'recipient':34}  {'asked':>16}  {'on the chain':>16}"
    for (recipient, currency), asked_units in holdings.items():
        held = format_amount(balances[recipient, currency])
        yield f"{recipient:34}  {format_amount(asked_units):>16}  {held:>16}  {currency}"


@contextmanager
def demo_environment(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The caller's environment without the service's settings, but with the databases given.

    A given MongoDB lends a new database, which is dropped in the end.
    """
    own = {name.upper() for name in Environment.model_fields} | {"PAYOUT_ROUTER_PORT"}
    clean = {k: v for k, v in environ.items() if k.removesuffix("_FILE") not in own}
    clean["ACCESS_LOG"] = "false"  # it polls
    if is_set(environ, "REDIS_URL"):
        clean["REDIS_URL"] = read_variable(environ, "REDIS_URL")
    if not is_set(environ, "MONGODB_URL"):
        yield clean
        return
    database = f"payout_router_demo_{uuid4().hex[:8]}"
    given = read_variable(environ, "MONGODB_URL")
    yield {**clean, "MONGODB_URL": urlsplit(given)._replace(path=f"/{database}").geturl()}
    with pymongo.MongoClient[dict[str, Any]](given) as client:
        client.drop_database(database)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder; it stays after a StartError, because its logs explain it."""
    folder = Path(tempfile.mkdtemp(prefix="payout-demo-"))
    keep = False
    try:
        yield folder
    except StartError:
        keep = True
        raise
    finally:
        if not keep:
            shutil.rmtree(folder)


def demo(environ: Mapping[str, str], out: TextIO) -> None:
    """`make demo`: pay the samples and compare what was asked with what the chain shows.

    Raises:
        StartError: the stack did not start, a payout was refused, the time ran out, or the chain
            differs from what was asked; the message says which.
    """
    begun = time.monotonic()
    with ExitStack() as exits:
        folder = exits.enter_context(scratch_folder())
        settings = StackSettings(
            data_dir=folder,
            service_port=free_port(),
            devnet_port=free_port(),
            tick_ms=TICK_MS,
            solid_lag=SOLID_LAG,
        )
        clean = exits.enter_context(demo_environment(environ))
        print("Starting MongoDB, Valkey, the devnet and the service …", file=out, flush=True)
        stack = exits.enter_context(running_stack(settings, clean))
        if stack.devnet is None:
            raise StartError("the demo needs a devnet of its own")
        print(f"Paying {len(ORDERS)} payouts:", file=out, flush=True)
        found = asyncio.run(in_time(stack, stack.devnet, out))
        if found:
            lines = "\n  ".join(found)
            raise StartError(f"The chain differs from what was asked (logs: {folder}):\n  {lines}")
    seconds = time.monotonic() - begun
    print(f"\nThe chain shows each payout exactly once ({seconds:.0f} s).", file=out)


async def in_time(stack: Stack, devnet: HttpServer, out: TextIO) -> list[str]:
    """`pay` within TIME_LIMIT_SECONDS.

    Raises:
        StartError: it took longer.
    """
    try:
        async with asyncio.timeout(TIME_LIMIT_SECONDS):
            return await pay(stack, devnet, out)
    except TimeoutError:
        raise StartError(
            f"not settled after {TIME_LIMIT_SECONDS} s; the service's log: {stack.service.log}"
        ) from None


if __name__ == "__main__":
    sys.exit(main(demo))
