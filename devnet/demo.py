"""Sample payouts on a throw-away stack, checked against the chain (`make demo`).

There is one by every route, some that come in one request, one that another person approves, and
one that is refused. The stack has its own fresh data and free ports and none of the caller's
settings, so that a demo never pays real money. Only MONGODB_URL and REDIS_URL are taken over, for
machines that can't run the embedded ones; the demo then works in a database of its own and drops
it.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TextIO
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pymongo
import yaml

from adapters.signer.keyfile import seal
from adapters.tron.protocol import address_to_hex
from devnet.board import Board, asked, holdings_table, live_line, paid_table, reasons
from devnet.network import DEVNET_WALLETS
from devnet.process import HttpServer, StartError, free_port
from devnet.reckoning import Order, Paid, Transfer, asked_sums, differences
from devnet.settings import USDT_ADDRESS
from devnet.stack import (
    Stack,
    StackSettings,
    is_set,
    kept_secrets,
    main,
    read_variable,
    running_stack,
    sample_address,
)
from models.money import Currency, format_amount, parse_amount
from models.order import RouteChoice
from settings.environment import DEFAULT_CONFIG_DIR, Environment
from settings.security import Role

TICK_MS: Final = 250
SOLID_LAG: Final = 19
TIME_LIMIT_SECONDS: Final = 120
POLL_SECONDS: Final = 0.3
ENDED: Final = frozenset(
    {"completed", "failed", "cancelled", "rejected", "expired", "needs_review"}
)

SHARED, URGENT = DEVNET_WALLETS[:2]
"""The wallet that pays on every route but `direct`, and that of `direct`."""

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
ORDERS: Final = (
    *(
        Order(sample_address(number), parse_amount(amount), currency)
        for number, amount, currency in SAMPLES
    ),
    # Urgent: by a wallet of its own.
    Order(
        sample_address(9), parse_amount("40"), Currency.USDT, route=RouteChoice.DIRECT, priority=9
    ),
    # More than the route v0 takes: the recipient is verified.
    Order(sample_address(10), parse_amount("1500"), Currency.USDT),
    # As much as another person has to approve.
    Order(sample_address(11), parse_amount("6000"), Currency.USDT),
)
TOGETHER: Final = 5
"""So many of them, the first ones, come in one request."""

VERIFIED: Final = {sample_address(10): 1, sample_address(11): 2}
"""Recipients in the KYC registry, with their levels."""

REFUSED: Final = Order(sample_address(12), parse_amount("2000"), Currency.USDT)
"""More than an end user gets who is not verified."""


@asynccontextmanager
async def person(stack: Stack, role: Role, subject: str) -> AsyncIterator[httpx.AsyncClient]:
    """The API as somebody with that role uses it."""
    headers = {"Authorization": f"Bearer {stack.token(role, subject)}"}
    async with httpx.AsyncClient(base_url=stack.service.url, headers=headers, timeout=30) as api:
        yield api


async def verify(stack: Stack) -> None:
    """Keep that the recipients in VERIFIED were.

    Raises:
        StartError: the service did not.
    """
    since = datetime.now(UTC) - timedelta(days=1)
    async with person(stack, Role.ADMIN, "ada") as admin:
        for address, level in VERIFIED.items():
            body = {"level": level, "verified_at": since.isoformat(), "reason": "a demo"}
            expect(await admin.put(f"/kyc/{address}", json=body), httpx.codes.OK)


def expect(answer: httpx.Response, status: int) -> dict[str, Any]:
    """What an answer with that status says.

    Raises:
        StartError: it has another one.
    """
    if answer.status_code != status:
        request = answer.request
        raise StartError(
            f"{request.method} {request.url.path} was answered {answer.status_code}: {answer.text}"
        )
    said: dict[str, Any] = answer.json()
    return said


def body_of(number: int, order: Order) -> dict[str, Any]:
    """One payout as it is asked for."""
    return {
        "recipient_address": order.recipient,
        "amount": format_amount(order.amount),
        "currency": order.currency,
        "reason": "uptime_reward",
        "reference": f"demo-{number}",
        "priority": order.priority,
        "route": order.route,
    }


async def ask(api: httpx.AsyncClient, number: int, order: Order) -> httpx.Response:
    """Ask for one payout."""
    headers = {"Idempotency-Key": f"demo-{number}"}
    return await api.post("/payouts", headers=headers, json=body_of(number, order))


async def ask_together(api: httpx.AsyncClient, orders: Sequence[Order]) -> httpx.Response:
    """Ask for several payouts in one request."""
    bodies = [body_of(number, order) for number, order in enumerate(orders, 1)]
    headers = {"Idempotency-Key": "demo-batch"}
    return await api.post("/batches", headers=headers, json={"payouts": bodies})


async def create(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Ask for ORDERS, all at once, the first ones in one request; the payouts.

    Raises:
        StartError: one of them is refused.
    """
    together, *answers = await asyncio.gather(
        ask_together(api, ORDERS[:TOGETHER]),
        *(ask(api, number, ORDERS[number - 1]) for number in range(TOGETHER + 1, len(ORDERS) + 1)),
    )
    items = expect(together, httpx.codes.CREATED)["items"]
    alone = [expect(answer, httpx.codes.CREATED) for answer in answers]
    return [*(item["payout"] for item in items), *alone]


async def be_refused(api: httpx.AsyncClient, out: TextIO) -> None:
    """Ask for REFUSED, and show why it is.

    Raises:
        StartError: it is not, or not for the KYC that is missing.
    """
    problem = expect(await ask(api, len(ORDERS) + 1, REFUSED), httpx.codes.FORBIDDEN)
    if problem["code"] != "P402":
        raise StartError(f"refused as {problem['code']}, not as P402: {problem['detail']}")
    what = f"{format_amount(REFUSED.amount)} {REFUSED.currency}"
    print(
        f"\nRefused: {what} to {REFUSED.recipient} ({problem['code']})\n  {problem['detail']}",
        file=out,
    )


async def approve(stack: Stack, created: Sequence[Mapping[str, Any]], out: TextIO) -> None:
    """Approve the payouts that wait for it, as another person.

    Raises:
        StartError: none waits, or the service does not take the approval.
    """
    waiting = [one for one in created if one["status"] == "awaiting_approval"]
    if not waiting:
        raise StartError("no payout waits for approval")
    async with person(stack, Role.APPROVER, "bea") as approver:
        for one in waiting:
            why = one["status_reason"]["message"]
            path = f"/payouts/{one['payout_id']}/approve"
            comment = {"comment": "checked against the contract"}
            expect(await approver.post(path, json=comment), httpx.codes.OK)
            print(
                f"\nHeld: {asked(one)} to {one['recipient_address']}\n  {why}\n"
                f"  approved by bea: {comment['comment']}",
                file=out,
            )


async def follow(
    api: httpx.AsyncClient, created: Sequence[dict[str, Any]], board: Board
) -> list[dict[str, Any]]:
    """Show the payouts until each of them has ended; their last state."""
    while True:
        answers = await asyncio.gather(*(api.get(f"/payouts/{p['payout_id']}") for p in created))
        payouts = [expect(answer, httpx.codes.OK) for answer in answers]
        board.show([live_line(number, payout) for number, payout in enumerate(payouts, 1)])
        if all(payout["status"] in ENDED for payout in payouts):
            return payouts
        await asyncio.sleep(POLL_SECONDS)


async def transfers(node: httpx.AsyncClient) -> list[Transfer]:
    """Every transfer out of the hot wallets, from the devnet's ledger."""
    return [
        Transfer(
            entry["txid"],
            wallet.address,
            entry["to"],
            int(entry["amount"]),
            Currency(entry["currency"]),
        )
        for wallet in (SHARED, URGENT)
        for entry in expect(
            await node.get("/devnet/ledger", params={"from": wallet.address}), httpx.codes.OK
        )["transfers"]
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
    async with (
        person(stack, Role.SERVICE, "demo") as api,
        httpx.AsyncClient(base_url=devnet.url, timeout=30) as node,
    ):
        await verify(stack)
        created = await create(api)
        await be_refused(api, out)
        await approve(stack, created, out)
        print(f"\nPaying {len(created)} payouts:", file=out, flush=True)
        payouts = await follow(api, created, Board(out))
        paid = [
            Paid(order, one["payout_id"], one["status"], one["txid"], one["wallet"])
            for order, one in zip(ORDERS, payouts, strict=True)
        ]
        holdings = {**asked_sums(ORDERS), (REFUSED.recipient, REFUSED.currency): 0}
        balances = {holding: await balance(node, *holding) for holding in holdings}
        for lines in (paid_table(payouts), holdings_table(holdings, balances), reasons(payouts)):
            out.writelines(f"{line}\n" for line in lines)
        return differences(paid, await transfers(node), balances)


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


def second_wallet(folder: Path) -> dict[str, str]:
    """Give the route `direct` its wallet: a sealed key, and the configuration as shipped but for
    that; the variables that lead to the configuration."""
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    secret = kept_secrets(folder / "secrets.json")["WALLET_ENCRYPTION_KEY"]
    sealed = seal(bytes.fromhex(URGENT.private_key), secret)
    (keys / f"{URGENT.address}.json").write_bytes(sealed)
    config = Path(shutil.copytree(DEFAULT_CONFIG_DIR, folder / "config"))
    file = config / "payout-router-config.yaml"
    behaviour = yaml.safe_load(file.read_text(encoding="utf-8"))
    behaviour["routes"]["direct"]["wallet"] = URGENT.address
    file.write_text(yaml.safe_dump(behaviour), encoding="utf-8")
    return {"CONFIG_DIR": str(config)}


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
        stack = exits.enter_context(running_stack(settings, {**clean, **second_wallet(folder)}))
        if stack.devnet is None:
            raise StartError("the demo needs a devnet of its own")
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
