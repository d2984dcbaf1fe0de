"""Every code of config/payout-error-codes.yaml is met: as the answer to a request, or as the reason
that a payout shows. What is not met is not needed, and what has no scenario here fails.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import yaml
from uvicorn import Config
from uvicorn.server import ServerState

from adapters.memory.store import MemoryPayoutStore
from adapters.memory.throttle import LocalThrottle
from api.connection import Connection
from devnet.devnet import Devnet
from devnet.settings import DevnetSettings
from models.approval import ApprovalRule, Workflow
from models.compliance import Rule, RuleKind
from models.findings import Effect
from models.money import BASE_UNITS, Currency
from models.payout import TERMINAL, PayoutStatus
from models.registry import AddressList
from models.routes import KycStep, RouteLimits
from models.spending import Ceiling, Period, SpendPolicy
from services.assembly import Policies
from tests.factories import a_payout
from tests.front import Front, open_front, token
from tests.harness import DECISIONS, POLICIES, SOLID_LAG, FakeClock, House, open_house
from tests.integration.test_trouble_frozen import wrongly_dead
from tests.integration.test_trouble_signing import SpoiledSigner, unavailable
from tests.trouble import FOREVER, TROUBLE, code_of, fault, outcome, troubled, until, with_policies
from tests.unit.api.edge import bounded
from tests.unit.services.faulty_store import FaultyStore

FILE = Path(__file__).parents[2] / "config/payout-error-codes.yaml"
CODES = yaml.safe_load(FILE.read_text(encoding="utf-8"))["codes"]
ORDER = {
    "recipient_address": "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8",
    "amount": "12.50",
    "currency": "USDT",
    "reason": "custom",
}
SERVICE = token("SERVICE")

Scenario = Callable[[], Awaitable[httpx.Response]]


async def created(front: Front, key: str | None = None, **fields: Any) -> httpx.Response:
    """The answer to a create by SERVICE."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return await front.ask("POST", "/payouts", SERVICE, json=ORDER | fields, headers=headers)


# ---- requests that are refused, each by a service that has what it takes ----


def asking(method: str, path: str, bearer: str | None = SERVICE, **request: Any) -> Scenario:
    """One request to a service of which nothing is wrong."""

    async def scenario() -> httpx.Response:
        async with open_front() as front:
            return await front.ask(method, path, bearer, **request)

    return scenario


def creating(**fields: Any) -> Scenario:
    """One create."""
    return asking("POST", "/payouts", json=ORDER | fields)


async def asked_too_often() -> httpx.Response:
    async with open_front(throttle=LocalThrottle()) as front:
        bearer = token("USER")
        while True:
            answer = await front.ask("POST", "/payouts", bearer, json={})
            if answer.status_code != 400:
                return answer


async def key_used_for_another() -> httpx.Response:
    async with open_front() as front:
        await created(front, key="k")
        return await created(front, key="k", amount="1")


class LateReads(MemoryPayoutStore):
    """A store in which a key is taken before its payout can be read."""

    async def find_by_key(self, client: str, key: str, tenant: str | None = None) -> None:
        return None


async def key_still_arriving() -> httpx.Response:
    clock = FakeClock()
    async with open_front(await open_house(store=LateReads(clock), clock=clock)) as front:
        await created(front, key="k")
        return await created(front, key="k")


@asynccontextmanager
async def a_faulty_front(**environ: str) -> Any:
    """A front whose store does what it is told to."""
    clock = FakeClock()
    store = FaultyStore(MemoryPayoutStore(clock))
    async with open_front(await open_house(store=store, clock=clock), **environ) as front:
        yield front, store


async def store_unreachable() -> httpx.Response:
    async with a_faulty_front() as (front, store):
        store.fail("list", "before")
        return await front.ask("GET", "/payouts", SERVICE)


async def a_fault_of_ours() -> httpx.Response:
    async def broken() -> None:
        raise ZeroDivisionError

    async with a_faulty_front() as (front, store):
        store.meanwhile("list", "before", broken)
        with structlog.testing.capture_logs():
            return await front.ask("GET", "/payouts", SERVICE)


async def without_a_key() -> httpx.Response:
    async with open_front(REQUIRE_IDEMPOTENCY_KEY="true") as front:
        return await created(front)


def bound(front: Front, **bounds: Any) -> None:
    """Let other bounds hold for the requests to come."""
    settings = bounded(front.parts.settings, **bounds)
    front.app.state.container = replace(front.parts, settings=settings)


async def overloaded() -> httpx.Response:
    inside, over = asyncio.Event(), asyncio.Event()

    async def linger() -> None:
        inside.set()
        await over.wait()

    async with a_faulty_front() as (front, store):
        bound(front, max_in_flight=1)
        store.meanwhile("list", "before", linger)
        first = asyncio.create_task(front.ask("GET", "/payouts", SERVICE))
        await inside.wait()
        refused = await front.ask("GET", "/payouts", SERVICE)
        over.set()
        assert (await first).status_code == 200
        return refused


async def too_slow() -> httpx.Response:
    async with a_faulty_front() as (front, store):
        bound(front, request_seconds=0.01)
        store.meanwhile("list", "before", asyncio.Event().wait)
        return await front.ask("GET", "/payouts", SERVICE)


async def head_too_large() -> httpx.Response:
    """The server's connection reads heads, so this goes through a socket."""
    async with open_front() as front, httpx.AsyncClient() as client:
        config = Config(front.app, http=Connection, log_config=None, lifespan="off")
        config.load()
        server, loop = ServerState(), asyncio.get_running_loop()
        listener = await loop.create_server(
            lambda: Connection(config, server, {"app": front.app}), "127.0.0.1", 0
        )
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/payouts"
        most = front.parts.settings.router.api.max_headers
        answer = await client.get(url, headers={f"X-{number}": "x" for number in range(most)})
        listener.close()
        return answer


async def paused() -> httpx.Response:
    async with open_front() as front:
        stop = {"what": "intake", "reason": "the books do not add up"}
        answer = await front.ask("POST", "/admin/pause", token("ADMIN"), json=stop)
        assert answer.status_code == 200, answer.text
        return await created(front)


async def daily_limit_reached() -> httpx.Response:
    async with open_front() as front:
        for _ in range(10):
            assert (await created(front, amount="10000")).status_code == 201
        return await created(front, amount="1")


def deciding(**changes: Any) -> Policies:
    """Policies of which the decisions are changed; `v0` changes the one route that is open."""
    first, *others = DECISIONS.routes
    routes = (replace(first, **changes.pop("v0", {})), *others)
    return replace(POLICIES, decisions=replace(DECISIONS, routes=routes, **changes))


def created_under(policies: Policies, **fields: Any) -> Scenario:
    """The second of two equal creates under these policies, by a recipient on bad lists."""

    async def scenario() -> httpx.Response:
        async with open_front(await open_house(policies=policies)) as front:
            for name in (AddressList.DENY, AddressList.SANCTIONS):
                listed = {ORDER["recipient_address"]: None}
                await front.house.store.put_listed(name, listed, "ADMIN:ada")
            await created(front, **fields)
            return await created(front, **fields)

    return scenario


def spending(**scopes: Any) -> Policies:
    """Policies of which the limits are these."""
    return replace(POLICIES, spending=SpendPolicy(**{"all": {}} | scopes))


def refusing(kind: RuleKind) -> Policies:
    """Policies with one rule, which refuses."""
    return deciding(rules=(Rule("one", kind, Effect.REFUSE),))


ONE_PAYOUT = Ceiling(count=1)
APPROVED_BY_ONE = (ApprovalRule(Workflow("always", 1, ("ADMIN",), 60), always=True),)


async def approved_too_late() -> httpx.Response:
    house = await open_house(policies=deciding(approvals=APPROVED_BY_ONE))
    async with open_front(house) as front:
        payout_id = (await created(front)).json()["payout_id"]
        house.clock.tick(60)
        said = {"comment": "it is in order"}
        return await front.ask(
            "POST", f"/payouts/{payout_id}/approve", token("ADMIN", "ada"), json=said
        )


def about(status: PayoutStatus, verb: str, **body: str) -> Scenario:
    """A person asks for something to be done with a payout that is in this status."""

    async def scenario() -> httpx.Response:
        async with open_front() as front:
            payout = a_payout(status=status)
            await front.house.store.insert(payout)
            path = f"/payouts/{payout.payout_id}/{verb}"
            return await front.ask("POST", path, token("ADMIN"), json=body)

    return scenario


async def not_kept() -> httpx.Response:
    async with a_faulty_front() as (front, store):
        store.fail("insert", "after", times=10)
        return await created(front)


async def keeps_changing() -> httpx.Response:
    async with a_faulty_front() as (front, store):
        payout_id = (await created(front)).json()["payout_id"]

        async def another_was_first() -> None:
            memory, payout = store._store, await front.house.get(payout_id)
            memory._payouts[payout_id] = replace(payout, version=payout.version + 1)

        for _ in range(10):
            store.meanwhile("apply", "before", another_was_first)
        return await front.ask("POST", f"/payouts/{payout_id}/cancel", SERVICE)


def batched(*orders: dict[str, Any]) -> dict[str, Any]:
    """A request for a batch of these orders, which differ so from the usual one."""
    return {
        "json": {"payouts": [ORDER | order for order in orders]},
        "headers": {"Idempotency-Key": "k"},
    }


async def batch_in_time_for_one() -> httpx.Response:
    async with a_faulty_front() as (front, store):
        bound(front, batch_seconds=0.5)
        store.fail("insert", "before", times=0, skip=1)
        store.meanwhile("insert", "before", asyncio.Event().wait)
        return await front.ask("POST", "/batches", SERVICE, **batched({}, {}))


PROBLEMS: dict[str, Scenario] = {
    "P001": asking("GET", "/payouts", None),
    "P002": asking("GET", "/gates", token("USER")),
    "P003": creating(amount=12.5),
    "P004": asked_too_often,
    "P005": key_used_for_another,
    "P006": key_still_arriving,
    "P007": store_unreachable,
    "P008": asking("POST", "/payouts", content=b" " * 100_000),
    "P009": without_a_key,
    "P010": asking("GET", "/payout"),
    "P011": asking("DELETE", "/payouts"),
    "P012": a_fault_of_ours,
    "P013": asking("POST", "/payouts", content=json.dumps(ORDER)),
    "P014": overloaded,
    "P015": too_slow,
    "P016": head_too_large,
    "P017": paused,
    "P100": creating(recipient_address="TJRabPrwbZy45sbavfcjinPJC18kjpRTv9"),
    "P101": creating(amount="0.001"),
    "P102": creating(amount="10000.01"),
    "P103": daily_limit_reached,
    "P104": created_under(spending(all={Currency.USDT: {Period.MONTH: Ceiling(13 * BASE_UNITS)}})),
    "P105": created_under(spending(recipients={Currency.USDT: {Period.DAY: ONE_PAYOUT}})),
    "P106": creating(currency="EUR"),
    "P107": created_under(refusing(RuleKind.DENY_LIST)),
    "P108": creating(reason="because"),
    "P300": asking("POST", "/batches", **batched({}, {"amount": 12.5})),
    "P301": asking("POST", "/batches", **batched(*[{}] * 101)),
    "P400": creating(route="direct"),
    "P401": created_under(deciding(v0={"capacity": 0})),
    "P402": created_under(
        deciding(v0={"limits": {Currency.USDT: RouteLimits(1, kyc=(KycStep(None, 1),))}})
    ),
    "P403": created_under(deciding(v0={"fee_cap_sun": 1})),
    "P500": about(PayoutStatus.FAILED, "cancel"),
    "P501": asking("GET", "/payouts/payout_0"),
    "P502": about(PayoutStatus.COMPLETED, "cancel"),
    "P503": creating(expires_at="2020-01-01T00:00:00Z"),
    "P600": created_under(refusing(RuleKind.AMOUNT_REVIEW)),
    "P601": created_under(refusing(RuleKind.SANCTIONS)),
    "P603": approved_too_late,
    "P700": not_kept,
    "P701": keeps_changing,
}
"""Code → a request that it answers."""


ANSWERS = [code for code, entry in CODES.items() if entry["http_status"] and code != "P302"]


@pytest.mark.parametrize("code", ANSWERS)
async def test_a_code_with_a_status_answers_a_request(code: str) -> None:
    assert code in PROBLEMS, f"write a scenario for {code}, or take it out of the file"
    answer = await PROBLEMS[code]()
    entry, problem = CODES[code], answer.json()
    assert (answer.status_code, problem["code"]) == (entry["http_status"], code), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    for name in ("title", "retryable", "recovery_action"):
        assert problem[name] == entry[name]
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert ("Retry-After" in answer.headers) == (answer.status_code in (429, 503))
    assert not re.search("Input should|Error|Traceback", problem["detail"])


def test_every_scenario_has_its_code() -> None:
    assert set(PROBLEMS) | set(REASONS) | {"P302", "P303"} == set(CODES)


async def test_what_a_batch_did_not_reach_in_time_is_told_of_each_payout() -> None:
    answer = await batch_in_time_for_one()
    batch = answer.json()
    assert (answer.status_code, batch["status_reason"]["code"]) == (207, "P303"), answer.text
    taken, late = batch["items"]
    assert (taken["problem"], late["payout"]) == (None, None)
    problem, entry = late["problem"], CODES["P302"]
    assert (problem["code"], problem["status"]) == ("P302", entry["http_status"])
    for name in ("title", "retryable", "recovery_action"):
        assert problem[name] == entry[name]


# ---- payouts that show why they are as they are ----

Told = tuple[House, str]


def a_poor_house(usdt: int) -> Devnet:
    """A chain on which the wallet holds so many USDT."""
    return Devnet(DevnetSettings(solid_lag=SOLID_LAG, wallet_token_units=usdt * BASE_UNITS))


async def waiting(house: House) -> Told:
    """A payout that dispatch puts off."""
    payout = await house.create()
    await house.dispatch()
    return house, payout.payout_id


async def too_poor() -> Told:
    return await waiting(await troubled(net=a_poor_house(usdt=1)))


async def fees_of_the_day_burned() -> Told:
    return await waiting(await troubled(policies=with_policies(fees={"daily_ceiling_sun": 1})))


async def died() -> Told:
    house = await troubled()
    fault(house, "swallow", count=1)
    payout = await house.create()
    await until(house, payout, lambda now: code_of(now) == "P202")
    return house, payout.payout_id


async def included_after_its_death() -> Told:
    house = await troubled()
    payout = await wrongly_dead(house)
    house.mine(5)
    await house.read()
    return house, payout.payout_id


async def failed_on_chain() -> Told:
    house = await troubled()
    payout = await house.create()
    house.net.blacklist(payout.order.recipient_address)
    await outcome(house, payout)
    return house, payout.payout_id


async def signer_locked() -> Told:
    signer = SpoiledSigner(unavailable)
    house = await troubled(signer=signer)
    await house.create()
    return await waiting(house)


async def paid_something_else() -> Told:
    house = await troubled()
    fault(house, "transfer_log", "wrong_amount", count=1)
    payout = await house.create()
    await outcome(house, payout)
    return house, payout.payout_id


async def chain_stands_still() -> Told:
    house = await troubled(policies=replace(TROUBLE, head_stale_seconds=0))
    fault(house, "head_stall", count=FOREVER)
    await waiting(house)
    return await waiting(house)


async def fees_above_the_cap() -> Told:
    return await waiting(await troubled(policies=with_policies(fees={"payout_cap_sun": 1})))


async def held() -> Told:
    rule = Rule("large", RuleKind.AMOUNT_REVIEW, Effect.HOLD, ("ADMIN",))
    return await waiting(await troubled(policies=deciding(rules=(rule,))))


async def not_approved() -> Told:
    return await waiting(await troubled(policies=deciding(approvals=APPROVED_BY_ONE)))


async def never_approved() -> Told:
    house, payout_id = await not_approved()
    house.clock.tick(60)
    await house.services.housekeeping.run()
    return house, payout_id


async def too_late() -> Told:
    house = await troubled()
    payout = await house.create(expires_at=house.clock() + timedelta(seconds=1))
    house.clock.tick(2)
    await house.services.housekeeping.run()
    return house, payout.payout_id


REASONS: dict[str, Callable[[], Awaitable[Told]]] = {
    "P200": too_poor,
    "P201": fees_of_the_day_burned,
    "P202": died,
    "P203": included_after_its_death,
    "P204": failed_on_chain,
    "P206": signer_locked,
    "P207": paid_something_else,
    "P401": chain_stands_still,
    "P403": fees_above_the_cap,
    "P503": too_late,
    "P600": held,
    "P602": not_approved,
    "P603": never_approved,
}
"""Code → a house, and a payout in it that shows the code."""


@pytest.mark.parametrize("code", REASONS)
async def test_a_code_is_the_reason_that_a_payout_shows(code: str) -> None:
    house, payout_id = await REASONS[code]()
    async with open_front(house) as front:
        answer = await front.ask("GET", f"/payouts/{payout_id}", SERVICE)
    shown = answer.json()
    assert shown["status_reason"] is not None, answer.text
    assert shown["status_reason"]["code"] == code, answer.text
    assert (shown["status"] in TERMINAL) == (code in ("P204", "P503", "P603")), answer.text
