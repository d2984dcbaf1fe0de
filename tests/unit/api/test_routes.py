"""GET /routes: every figure of a route."""

from datetime import timedelta

import pytest

from models.chain import Balances
from models.figures import Fees, Latency, RouteFigures
from models.money import Currency
from models.order import RouteName
from models.route_health import Condition, Health
from models.routes import (
    BreakerState,
    BreakerVerdict,
    KycStep,
    Route,
    RouteLimits,
    RoutePolicy,
    RouteState,
    Strategy,
)
from services.quoting import RouteReport
from tests.front import open_front, token
from tests.unit.api.edge import ALICE, NOW, World, assert_problem

ONE = 1_000_000

FULL = RouteReport(
    Route(
        RoutePolicy(
            name=RouteName.DIRECT,
            enabled=True,
            wallet=ALICE,
            limits={
                Currency.USDT: RouteLimits(
                    minimum=10_000,
                    hourly=10 * ONE,
                    daily=50 * ONE,
                    monthly=500 * ONE,
                    kyc=(KycStep(1 * ONE, 0), KycStep(None, 2)),
                )
            },
            fee_cap_sun=200 * ONE,
            capacity=100,
            priority=9,
            urgent_from_priority=8,
        ),
        RouteState(
            figures=RouteFigures(
                in_flight=60,
                waiting=22,
                ended=41,
                failed=1,
                last_failed_at=NOW - timedelta(minutes=8),
                sampled=200,
                latency=Latency(71.2, 84.0, 131.5),
                fees={Currency.USDT: Fees(118, 6_770_000)},
                last_completed_at=NOW,
            ),
            breaker=BreakerVerdict(BreakerState.HALF_OPEN, 3, "3 trial payouts at a time"),
            funds=Balances(5_120_400_000, 25_000 * ONE),
        ),
    ),
    ALICE,
    Condition(Health.DEGRADED, ("82 payouts in flight or waiting, with a capacity of 100",)),
)
EMPTY = RouteReport(
    Route(RoutePolicy(RouteName.V0, False, None, {}, 0, 1, 1), RouteState()),
    ALICE,
    Condition(Health.OFFLINE, ("the route is switched off",)),
)


@pytest.mark.parametrize("prefix", ["", "/api/v1/tron"])
async def test_routes_show_how_they_stand(edge: World, prefix: str) -> None:
    edge.router.reports, edge.router.strategy = (EMPTY, FULL), Strategy.FAST
    answer = await edge.client.get(f"{prefix}/routes")
    assert answer.status_code == 200
    assert answer.json()["strategy"] == "fast"
    empty, full = answer.json()["items"]
    assert full == {
        "name": "direct",
        "enabled": True,
        "health": "degraded",
        "reasons": ["82 payouts in flight or waiting, with a capacity of 100"],
        "wallet": ALICE,
        "wallet_holds": {"trx": "5120.40", "usdt": "25000.00"},
        "priority": 9,
        "urgent_from_priority": 8,
        "in_flight": 60,
        "waiting": 22,
        "capacity": 100,
        "breaker": {"state": "half_open", "at_once": 3, "reason": "3 trial payouts at a time"},
        "ended": 41,
        "failed": 1,
        "last_failed_at": "2030-01-31T11:52:00Z",
        "sampled": 200,
        "latency_seconds": {"p50": 71.2, "p95": 84.0, "p99": 131.5},
        "last_completed_at": "2030-01-31T12:00:00Z",
        "fees": [{"currency": "USDT", "sampled": 118, "mean_trx": "6.77"}],
        "fee_cap_trx": "200.00",
        "limits": [
            {
                "currency": "USDT",
                "min_amount": "0.01",
                "max_amount": None,
                "hourly": "10.00",
                "daily": "50.00",
                "monthly": "500.00",
                "kyc": [{"up_to": "1.00", "level": 0}, {"up_to": None, "level": 2}],
            }
        ],
    }
    assert (empty["enabled"], empty["health"], empty["limits"]) == (False, "offline", [])
    nothing = ("wallet_holds", "latency_seconds", "last_completed_at")
    assert [empty[name] for name in nothing] == [None] * 3
    assert empty["fees"] == []
    one = await edge.client.get(f"{prefix}/routes/direct")
    assert one.json() == full


@pytest.mark.parametrize("route", ["v1", "smart", "V0", "%00"])
async def test_a_route_that_there_is_not(edge: World, route: str) -> None:
    answer = await edge.client.get(f"/routes/{route}")
    assert_problem(answer, 404, "P010", "route")
    assert edge.router.asked == []


async def test_routes_of_a_service_that_has_just_begun() -> None:
    async with open_front() as front:
        answer = await front.ask("GET", "/routes", token("SERVICE"))
        items = {each["name"]: each for each in answer.json()["items"]}
        assert set(items) == {"v0", "kyc", "direct"}
        assert (items["v0"]["health"], items["v0"]["reasons"]) == ("operational", [])
        assert items["v0"]["wallet"] == front.house.wallet
        assert items["v0"]["wallet_holds"] is not None
        assert items["kyc"]["health"] == "offline"
        one = await front.ask("GET", "/routes/v0", token("SERVICE"))
        assert one.json() == items["v0"]
