"""The edge around a façade that only remembers what it was asked."""

import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx
import jwt

from adapters.memory.store import MemoryPayoutStore
from adapters.memory.throttle import LocalThrottle
from adapters.memory.tokens import MemoryRevocations
from api.app import Edge
from api.status import StatusView
from config import Settings, load_settings
from models.caller import Caller
from models.errors import PayoutError
from models.limits import AmountLimits, check_amount
from models.money import Currency
from models.order import NewPayout, Order, PayoutReason, RouteName
from models.pause import Activity, Pause
from models.payout import Payout, PayoutStatus, Resolution
from models.routes import Strategy
from ports.store import Gate, PayoutQuery, StatusTotal, Unexplained
from ports.throttle import Throttle
from services.acts import Acts
from services.audit import Audit
from services.compliance import Compliance
from services.payout_router import Created
from services.quoting import LimitReport, Quote, RouteReport
from services.tokens import Tokens
from tests.apps import an_app
from utils.health_check import CheckResult, HealthCheck, HealthRegistry, HealthStatus
from utils.metrics import Metrics

KEY = "k" * 64
ALICE = "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"
NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
LIMITS = AmountLimits(minimum=10_000, maximum=10_000_000_000)

GOOD_BODY: Mapping[str, Any] = {
    "recipient_address": ALICE,
    "amount": "12.50",
    "currency": "USDT",
    "reason": "uptime_reward",
}


def payout_id(number: int) -> str:
    return f"payout_{number:032x}"


def make_payout(number: int = 1, client: str = "alice", **changes: Any) -> Payout:
    order = Order(ALICE, 12_500_000, Currency.USDT, PayoutReason.UPTIME_REWARD)
    return replace(
        Payout(
            payout_id=payout_id(number),
            client=client,
            order=order,
            status=PayoutStatus.PENDING,
            created_at=NOW,
            updated_at=NOW,
            due_at=NOW,
            window_ids=(),
            fingerprint="f" * 64,
        ),
        **changes,
    )


@dataclass
class FakeRouter:
    """Keeps payouts in a dictionary; `asked` is what came through the edge, in order."""

    payouts: dict[str, Payout] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    open_transfers: list[Unexplained] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    breaks_with: Exception | None = None
    quoted: Quote = field(default_factory=lambda: Quote(None))
    reports: Sequence[RouteReport] = ()
    limited: LimitReport = field(default_factory=lambda: LimitReport({}, ()))
    strategy: Strategy = Strategy.OPTIMAL

    def _note(self, *call: Any) -> None:
        self.asked.append(call)
        if self.breaks_with is not None:
            raise self.breaks_with

    def _visible(self, caller: Caller, payout_id: str) -> Payout:
        payout = self.payouts.get(payout_id)
        if payout is None or not caller.reaches(payout, "payout:view"):
            raise PayoutError("P501", "there is no such payout", field="payout_id")
        return payout

    async def create(self, caller: Caller, request: NewPayout) -> Created:
        self._note("create", caller, request)
        key = request.idempotency_key
        if key in self.keys:
            return Created(self.payouts[self.keys[key]], replayed=True)
        check_amount(LIMITS, request.order.currency, request.order.amount)
        payout = make_payout(len(self.payouts) + 1, caller.subject, order=request.order)
        self.payouts[payout.payout_id] = payout
        if key is not None:
            self.keys[key] = payout.payout_id
        return Created(payout, replayed=False)

    async def get(self, caller: Caller, payout_id: str) -> Payout:
        self._note("get", caller, payout_id)
        return self._visible(caller, payout_id)

    async def list(self, caller: Caller, query: PayoutQuery, limit: int) -> Sequence[Payout]:
        self._note("list", caller, query, limit)
        ids = sorted(self.payouts, reverse=True)
        later = [one for one in ids if query.after is None or one < query.after]
        return [self.payouts[one] for one in later[:limit]]

    async def cancel(self, caller: Caller, payout_id: str, reason: str | None) -> Payout:
        self._note("cancel", caller, payout_id, reason)
        return replace(self._visible(caller, payout_id), status=PayoutStatus.CANCELLED)

    async def resolve(
        self, caller: Caller, payout_id: str, action: Resolution, reason: str
    ) -> Payout:
        self._note("resolve", caller, payout_id, action, reason)
        return self._visible(caller, payout_id)

    async def approve(self, caller: Caller, payout_id: str, comment: str) -> Payout:
        self._note("approve", caller, payout_id, comment)
        return self._visible(caller, payout_id)

    async def reject(self, caller: Caller, payout_id: str, comment: str) -> Payout:
        self._note("reject", caller, payout_id, comment)
        return self._visible(caller, payout_id)

    async def release(self, caller: Caller, payout_id: str, comment: str) -> Payout:
        self._note("release", caller, payout_id, comment)
        return self._visible(caller, payout_id)

    async def choose_route(
        self, caller: Caller, payout_id: str, route: RouteName, reason: str
    ) -> Payout:
        self._note("choose_route", caller, payout_id, route, reason)
        return replace(self._visible(caller, payout_id), route=route)

    async def quote(self, caller: Caller, order: Order) -> Quote:
        self._note("quote", caller, order)
        return self.quoted

    async def routes(self, caller: Caller) -> Sequence[RouteReport]:
        self._note("routes", caller)
        return self.reports

    async def limits(self, caller: Caller, recipient: str | None) -> LimitReport:
        self._note("limits", caller, recipient)
        return self.limited

    async def stats(self, caller: Caller) -> Sequence[StatusTotal]:
        self._note("stats", caller)
        return [StatusTotal(PayoutStatus.COMPLETED, Currency.TRX, 3, 1_500_000)]

    async def unexplained(
        self, caller: Caller, only_open: bool, limit: int
    ) -> Sequence[Unexplained]:
        self._note("unexplained", caller, only_open, limit)
        return self.open_transfers[:limit]

    async def explain(
        self, caller: Caller, txid: str, payout_id: str | None, note: str
    ) -> Unexplained:
        self._note("explain", caller, txid, payout_id, note)
        return next(one for one in self.open_transfers if one.txid == txid)

    def confirmations(self, payout: Payout) -> int:
        return 21 if payout.status is PayoutStatus.COMPLETED else 0


@dataclass
class FakeControl:
    """Remembers what was asked; something is paused already."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)

    async def gates(self, caller: Caller) -> Sequence[Gate]:
        self.asked.append(("gates", caller))
        return [Gate("frozen", "a dead attempt was included", NOW, needs_usdt=12_500_000)]

    async def open_gate(self, caller: Caller, name: str, reason: str) -> None:
        self.asked.append(("open_gate", caller, name, reason))
        if name != "frozen":
            raise PayoutError("P010", "no gate of this name is closed", field="name")

    async def pause(self, caller: Caller, pause: Pause, reason: str) -> Mapping[Pause, Gate]:
        self.asked.append(("pause", caller, pause, reason))
        return {pause: Gate(pause.gate, reason, NOW, closed_by=caller.name)}

    async def resume(self, caller: Caller, pause: Pause, reason: str) -> Mapping[Pause, Gate]:
        self.asked.append(("resume", caller, pause, reason))
        if pause.what is Activity.INTAKE:
            raise PayoutError("P010", "this is not paused")
        return {}


@dataclass
class FakeContainer:
    router: FakeRouter
    control: FakeControl
    settings: Settings
    health: HealthRegistry
    metrics: Metrics
    store: MemoryPayoutStore = field(default_factory=lambda: MemoryPayoutStore(lambda: NOW))
    revocations: MemoryRevocations = field(default_factory=lambda: MemoryRevocations(lambda: NOW))
    throttle: Throttle = field(default_factory=LocalThrottle)

    @property
    def audit(self) -> Audit:
        """The real service, over a log in memory."""
        return Audit(self.store, Acts(self.store, lambda: uuid.uuid4().hex))

    @property
    def compliance(self) -> Compliance:
        """The real service: what it keeps is in memory."""
        acts = Acts(self.store, lambda: uuid.uuid4().hex)
        validity = {level: timedelta(days=365) for level in (1, 2, 3)}
        return Compliance(self.store, acts, validity)

    @property
    def tokens(self) -> Tokens:
        """The real service: what it keeps is in memory."""
        acts = Acts(self.store, lambda: uuid.uuid4().hex)
        return Tokens(self.revocations, acts, self.store.now)

    async def status(self) -> StatusView:
        """That of the documentation."""
        (example,) = StatusView.model_json_schema()["examples"]
        return StatusView.model_validate(example)


@cache
def make_settings(**environ: str) -> Settings:
    return load_settings(
        {
            "MONGODB_URL": "mongodb://db.test/payout_router",
            "REDIS_URL": "redis://cache.test",
            "JWT_SECRET_KEY": KEY,
            "WALLET_ENCRYPTION_KEY": "00" * 32,
            "LUCID_ENV": "development",
            "TRON_NETWORK": "devnet",
            "TRON_RPC_URL": "http://node.test",
            **environ,
        }
    )


def bounded(settings: Settings, **bounds: Any) -> Settings:
    """The settings with other bounds of the API."""
    api = settings.router.api.model_copy(update=bounds)
    return settings.model_copy(update={"router": settings.router.model_copy(update={"api": api})})


def healthy(status: HealthStatus = HealthStatus.HEALTHY, detail: str = "") -> HealthRegistry:
    async def run() -> CheckResult:
        return CheckResult(status, detail)

    return HealthRegistry([HealthCheck("mongodb", run, critical=True)])


def token(role: str | None = "SERVICE", *, key: str = KEY, algorithm: str = "HS256", **claims: Any):
    """A token that is good but for what `claims` say; a claim that is None is left out."""
    now = int(time.time())
    payload = {"sub": "alice", "role": role, "iat": now, "exp": now + 3600, **claims}
    present = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(present, key, algorithm)


@dataclass
class World:
    """The application, its container, and a client with a SERVICE token."""

    app: Edge
    container: FakeContainer
    client: httpx.AsyncClient

    @property
    def router(self) -> FakeRouter:
        return self.container.router

    @property
    def control(self) -> FakeControl:
        return self.container.control

    def as_role(self, role: str, **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {token(role, **claims)}"}


@asynccontextmanager
async def world(**environ: str) -> AsyncIterator[World]:
    settings = make_settings(**environ)
    metrics = Metrics(settings.metrics.families)
    container = FakeContainer(
        FakeRouter(), FakeControl(), bounded(settings, refusal_seconds=0), healthy(), metrics
    )
    with an_app(container) as app:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://payouts.test",
            headers={"Authorization": f"Bearer {token()}"},
        ) as client:
            yield World(app, container, client)


def assert_problem(answer: httpx.Response, status: int, code: str, field: str | None = None):
    """The answer is a problem document with this status, code and (first) field."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem.get("field")) == (status, code, field)
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert {"type", "title", "detail", "instance", "retryable", "recovery_action"} <= set(problem)
    return problem
