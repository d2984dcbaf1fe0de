"""GET /limits: what holds, what is used, what is left, and whose limits one may see."""

from datetime import timedelta
from typing import Any

import pytest

from models.limits import AmountLimits, Used
from models.money import Currency
from models.spending import Period, SpendScope, SpendWindow
from services.quoting import LimitReport
from tests.front import open_front, token
from tests.unit.api.edge import ALICE, NOW, World, assert_problem


def a_window(**changes: Any) -> SpendWindow:
    return SpendWindow(
        **{
            "window_id": "day:USDT:2030-01-31",
            "code": "P103",
            "scope": SpendScope.CLIENT,
            "period": Period.DAY,
            "currency": Currency.USDT,
            "maximum": 5_000_000_000,
            "max_count": 5,
            "starts_at": NOW - timedelta(hours=12),
            "ends_at": NOW + timedelta(hours=12),
            "owner": "north/shop-7",
        }
        | changes
    )


@pytest.mark.parametrize("prefix", ["", "/api/v1/tron"])
async def test_limits_show_what_is_left(edge: World, prefix: str) -> None:
    edge.router.limited = LimitReport(
        {Currency.USDT: AmountLimits(10_000, 1_000_000_000)},
        [
            (a_window(), Used(750_000_000, 3)),
            (a_window(scope=SpendScope.ALL, owner="", max_count=None), Used(5_000_000_001, 9)),
            (a_window(maximum=None), Used(1, 6)),
        ],
    )
    answer = await edge.client.get(f"{prefix}/limits")
    assert answer.status_code == 200
    assert answer.json()["per_payout"] == [
        {"currency": "USDT", "min_amount": "0.01", "max_amount": "1000.00"}
    ]
    own, all_, counted = answer.json()["windows"]
    assert own == {
        "scope": "client",
        "owner": "north/shop-7",
        "period": "day",
        "currency": "USDT",
        "amount": {"limit": "5000.00", "used": "750.00", "left": "4250.00"},
        "count": {"limit": 5, "used": 3, "left": 2},
        "starts_at": "2030-01-31T00:00:00Z",
        "resets_at": "2030-02-01T00:00:00Z",
    }
    assert (all_["scope"], all_["owner"], all_["count"]) == ("all", None, None)
    assert all_["amount"]["left"] == "0.00"
    assert (counted["amount"], counted["count"]["left"]) == (None, 0)


async def test_whose_limits_are_asked_for(edge: World) -> None:
    await edge.client.get("/limits")
    await edge.client.get("/limits", params={"recipient": ALICE})
    assert [asked[2] for asked in edge.router.asked] == [None, ALICE]
    bad = await edge.client.get("/limits", params={"recipient": "T1"})
    assert_problem(bad, 400, "P100", "recipient")


async def test_what_a_payout_takes_shows() -> None:
    order = {"recipient_address": ALICE, "amount": "12.50", "currency": "USDT", "reason": "custom"}
    async with open_front() as front:
        for bearer in (token("SERVICE"), token("USER", "eve", tenant="north")):
            answer = await front.ask("POST", "/payouts", bearer, json=order)
            assert answer.status_code == 201, answer.text
        shown = await front.ask("GET", "/limits", token("SERVICE"))
        (usdt,) = [each for each in shown.json()["windows"] if each["currency"] == "USDT"]
        assert usdt["amount"] == {"limit": "100000.00", "used": "25.00", "left": "99975.00"}
        of_tenant = await front.ask("GET", "/limits", token("USER", "eve", tenant="north"))
        assert of_tenant.json()["windows"] == []
        refused = await front.ask("GET", f"/limits?recipient={ALICE}", token("USER", "eve"))
        assert_problem(refused, 403, "P002", "recipient")
