"""Rates at the edge: whose permits are taken, what answers say, and what comes after them."""

import asyncio
import re
from types import SimpleNamespace

import pytest
import structlog
from fastapi import Request

from api.throttling import origin
from models.rate import Rate, Verdict
from tests.unit.api.edge import GOOD_BODY, World, assert_problem, bounded, world

BAD = {"Authorization": "Bearer nonsense"}


class Book:
    """Remembers the keys and rates that were asked for; `full` are those with nothing left."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Rate]] = []
        self.full: set[str] = set()

    async def take(self, key: str, rate: Rate) -> Verdict:
        self.asked.append((key, rate))
        if key in self.full:
            return Verdict(False, 0, 12.3, 100.9)
        return Verdict(True, rate.burst - 1, 0, 0.2)

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.asked]


@pytest.fixture
async def book(edge: World) -> Book:
    edge.container.throttle = Book()
    return edge.container.throttle


# ---- whose permits ----


async def test_a_caller_pays_by_class_tenant_and_subject(edge: World, book: Book) -> None:
    await edge.client.get("/payouts")
    await edge.client.post("/payouts", json=dict(GOOD_BODY))
    await edge.client.post("/payouts/quote", json=dict(GOOD_BODY))
    await edge.client.get("/payouts/x", headers=edge.as_role("USER", tenant="acme", sub="bob"))
    await edge.client.post("/payouts/x/cancel", headers=edge.as_role("USER", sub="a:b"))
    assert book.keys == [
        *("read::alice", "create::alice", "quote::alice"),
        *("read:acme:bob", "act::a:b"),
    ]


async def test_no_tenant_and_subject_share_a_key_with_others(edge: World, book: Book) -> None:
    await edge.client.get("/payouts", headers=edge.as_role("USER", tenant="a", sub="b:c"))
    await edge.client.get("/payouts", headers=edge.as_role("USER", sub="a:b:c"))
    await edge.client.get("/payouts", headers=edge.as_role("USER", tenant="a", sub=":b:c"))
    assert len(set(book.keys)) == 3


async def test_the_rate_is_that_of_the_role(edge: World, book: Book) -> None:
    for role in ("USER", "SERVICE", "ADMIN"):
        await edge.client.post("/payouts", json=dict(GOOD_BODY), headers=edge.as_role(role))
    policies = edge.container.settings.security.roles
    assert [rate for _, rate in book.asked] == [
        policy.rate_limits.of("payout:create")
        for role, policy in policies.items()
        if role in ("USER", "SERVICE", "ADMIN")
    ]


async def test_failures_to_authenticate_pay_by_address(edge: World, book: Book) -> None:
    await edge.client.get("/payouts", headers=BAD)
    await edge.client.get("/gates", headers={"Authorization": ""})
    assert book.keys == ["anonymous:127.0.0.1"] * 2
    assert {rate.name for _, rate in book.asked} == {"anonymous"}


async def test_what_needs_no_token_takes_no_permit(edge: World, book: Book) -> None:
    for path in ("/", "/health", "/health/live", "/docs", "/openapi.json", "/metrics", "/nope"):
        answer = await edge.client.get(path)
        assert "RateLimit" not in answer.headers
    assert book.asked == []


async def test_a_good_token_pays_nothing_by_address(edge: World, book: Book) -> None:
    book.full.add("anonymous:127.0.0.1")
    assert_problem(await edge.client.get("/payouts", headers=BAD), 429, "P004")
    assert (await edge.client.get("/payouts")).status_code == 200


async def test_metrics_behind_a_token_count_as_reading() -> None:
    async with world(METRICS_PUBLIC="false") as edge:
        book = edge.container.throttle = Book()
        assert (await edge.client.get("/metrics")).status_code == 200
        assert book.keys == ["read::alice"]


# ---- refused ----


async def test_a_refusal_says_when_to_come_back(edge: World, book: Book) -> None:
    book.full.add("read::alice")
    answer = await edge.client.get("/payouts")
    problem = assert_problem(answer, 429, "P004")
    assert answer.headers["Retry-After"] == "13"
    assert (problem["retryable"], problem["recovery_action"]) == (True, "wait_and_retry")
    assert problem["extra"] == {"retry_after_seconds": 13}
    assert "come back in 13 s" in problem["detail"]
    assert answer.headers["RateLimit"] == '"read";r=0;t=101'


async def test_a_refusal_comes_before_permission_and_body(edge: World, book: Book) -> None:
    book.full.add("create::alice")
    answer = await edge.client.post("/payouts", content="{", headers={"Content-Type": "text/x"})
    assert_problem(answer, 415, "P013")  # the media type is looked at first
    answer = await edge.client.post("/payouts", json={"amount": 1})
    assert_problem(answer, 429, "P004")
    book.full.add("read::alice")
    answer = await edge.client.post(
        "/payouts", json=dict(GOOD_BODY), headers=edge.as_role("APPROVER")
    )
    assert_problem(answer, 429, "P004")
    assert edge.router.asked == []


async def test_too_many_failures_are_429_and_no_longer_401(edge: World) -> None:
    burst = edge.container.settings.security.anonymous.burst
    answers = [await edge.client.get("/payouts", headers=BAD) for _ in range(burst + 3)]
    assert [answer.status_code for answer in answers] == [401] * burst + [429] * 3
    assert (await edge.client.get("/payouts")).status_code == 200


async def test_a_user_runs_out_of_creates_and_still_looks(edge: World) -> None:
    user = edge.as_role("USER", sub="bob")
    rate = edge.container.settings.security.roles["USER"].rate_limits.of("payout:create")
    statuses = [
        (await edge.client.post("/payouts", json=dict(GOOD_BODY), headers=user)).status_code
        for _ in range(rate.burst + 2)
    ]
    assert statuses == [201] * rate.burst + [429] * 2
    assert (await edge.client.get("/payouts", headers=user)).status_code == 200
    other = edge.as_role("USER", sub="carol")
    answer = await edge.client.post("/payouts", json=dict(GOOD_BODY), headers=other)
    assert answer.status_code == 201


async def test_refusals_are_counted_by_role_and_class(edge: World, book: Book) -> None:
    book.full |= {"read::alice", "anonymous:127.0.0.1"}
    for _ in range(3):
        await edge.client.get("/payouts", headers=edge.as_role("USER"))
    await edge.client.get("/payouts", headers=BAD)
    text = (await edge.client.get("/metrics")).text
    counted = dict(re.findall(r"^payout_rate_limited_total(\{.*\}) (.*)$", text, re.MULTILINE))
    assert counted == {
        '{class="read",role="USER"}': "3.0",
        '{class="anonymous",role="anonymous"}': "1.0",
    }


# ---- what answers say ----


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/payouts", 200), ("GET", "/payouts/x", 404), ("GET", "/payouts?limit=x", 400)],
)
async def test_every_answer_to_a_caller_says_what_is_left(
    edge: World, method: str, path: str, status: int
) -> None:
    answer = await edge.client.request(method, path)
    assert answer.status_code == status
    rate = edge.container.settings.security.roles["SERVICE"].rate_limits.of("payout:list")
    assert answer.headers["RateLimit-Policy"] == f'"read";q={rate.permits};w={rate.per_seconds}'
    assert answer.headers["RateLimit"] == f'"read";r={rate.burst - 1};t=1'


async def test_a_fault_of_ours_says_it_too(edge: World) -> None:
    edge.router.breaks_with = RuntimeError("bug")
    with structlog.testing.capture_logs():
        answer = await edge.client.get("/payouts")
    assert_problem(answer, 500, "P012")
    assert answer.headers["RateLimit"].startswith('"read";')


async def test_the_document_names_the_fields(edge: World) -> None:
    document = edge.app.openapi()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            told = {
                "RateLimit" in response.get("headers", {})
                for response in operation["responses"].values()
            }
            assert told == {"security" in operation}, path
            assert ("429" in operation["responses"]) == ("security" in operation)


# ---- addresses ----


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("/run/payouts.sock", "/run/payouts.sock"),
        ("x" * 1000, "x" * 64),
        (None, ""),
    ],
)
def test_origins(host: str | None, found: str) -> None:
    client = None if host is None else (host, 80)
    assert origin(Request({"type": "http", "client": client})) == found


def test_an_office_on_ipv6_is_one_origin() -> None:
    one, other = (SimpleNamespace(client=SimpleNamespace(host=f"2001:db8::{n}")) for n in (1, 2))
    assert origin(one) == origin(other)  # type: ignore[arg-type]


# ---- refusals wait ----


async def test_a_refusal_waits_and_holds_no_place_meanwhile(edge: World, book: Book) -> None:
    edge.container.settings = bounded(
        edge.container.settings, refusal_seconds=3600, max_in_flight=1
    )
    book.full.add("read::alice")
    refused = asyncio.Event()
    metrics = edge.container.metrics
    counted = metrics.counter("payout_rate_limited_total").labels("SERVICE", "read")
    counted.inc = refused.set  # type: ignore[method-assign]
    waiting = [asyncio.create_task(edge.client.get("/payouts")) for _ in range(3)]
    await refused.wait()
    answer = await edge.client.get("/payouts", headers=edge.as_role("USER", sub="bob"))
    assert answer.status_code == 200
    assert not any(one.done() for one in waiting)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_what_is_measured_is_the_time_without_the_wait(
    edge: World, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0

    async def wait(_: object) -> None:
        nonlocal now
        now += 60

    monkeypatch.setattr("api.middleware.time.perf_counter", lambda: now)
    monkeypatch.setattr("api.throttling._wait", wait)
    book.full.add("read::alice")
    assert (await edge.client.get("/payouts")).status_code == 429
    assert now == 1_060
    text = (await edge.client.get("/metrics")).text
    (took,) = re.findall(r'payout_http_request_seconds_sum\{.*"/payouts"\} (.*)', text)
    assert float(took) == 0
