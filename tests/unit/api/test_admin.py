"""Stopping, going on, and how the service stands."""

from typing import Any

import pytest

from models.money import Currency
from models.pause import Activity, Pause
from tests.unit.api.edge import ALICE, World, assert_problem

DISPATCH = {"what": "dispatch", "reason": "balances do not add up"}


@pytest.mark.parametrize("prefix", ["", "/api/v1/tron"])
@pytest.mark.parametrize(
    ("parts", "pause"),
    [
        ({"what": "dispatch"}, Pause(Activity.DISPATCH)),
        ({"what": "intake"}, Pause(Activity.INTAKE)),
        ({"what": "intake", "currency": "TRX"}, Pause(Activity.INTAKE, Currency.TRX)),
        ({"what": "dispatch", "wallet": ALICE}, Pause(Activity.DISPATCH, wallet=ALICE)),
    ],
    ids=str,
)
async def test_pausing(edge: World, prefix: str, parts: dict[str, str], pause: Pause) -> None:
    answer = await edge.client.post(
        f"{prefix}/admin/pause",
        json={**parts, "reason": "stop"},
        headers=edge.as_role("ADMIN", sub="ada"),
    )
    assert answer.status_code == 200
    absent = {"currency": None, "wallet": None}
    said = {"reason": "stop", "since": "2030-01-31T12:00:00Z", "by": "ADMIN:ada"}
    assert answer.json() == {"items": [{**absent, **parts, **said}]}
    name, caller, *rest = edge.control.asked[-1]
    assert (name, caller.name, *rest) == ("pause", "ADMIN:ada", pause, "stop")


async def test_resuming(edge: World) -> None:
    answer = await edge.client.post(
        "/admin/resume", json=DISPATCH, headers=edge.as_role("ADMIN", sub="ada")
    )
    assert (answer.status_code, answer.json()) == (200, {"items": []})
    name, caller, *rest = edge.control.asked[-1]
    assert (name, caller.name, *rest) == (
        "resume",
        "ADMIN:ada",
        Pause(Activity.DISPATCH),
        "balances do not add up",
    )


async def test_what_is_not_paused(edge: World) -> None:
    body = {"what": "intake", "reason": "go on"}
    answer = await edge.client.post("/admin/resume", json=body, headers=edge.as_role("ADMIN"))
    assert_problem(answer, 404, "P010")


@pytest.mark.parametrize("act", ["pause", "resume"])
@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"what": "everything"}, "P003", "what"),
        ({"what": None}, "P003", "what"),
        ({"reason": ""}, "P003", "reason"),
        ({"reason": None}, "P003", "reason"),
        ({"reason": "x" * 501}, "P003", "reason"),
        ({"currency": "BTC"}, "P106", "currency"),
        ({"wallet": "T123"}, "P100", "wallet"),
        ({"wallet": ALICE, "currency": "USDT"}, "P003", "wallet"),
        ({"wallet": ALICE, "what": "intake"}, "P003", "wallet"),
        ({"wallet": ALICE, "what": "nothing"}, "P003", "what"),
        ({"until": "tomorrow"}, "P003", "until"),
    ],
    ids=str,
)
async def test_what_cannot_be_meant(
    edge: World, act: str, change: dict[str, Any], code: str, field: str
) -> None:
    answer = await edge.client.post(
        f"/admin/{act}", json=DISPATCH | change, headers=edge.as_role("ADMIN")
    )
    assert_problem(answer, 400, code, field=field)
    assert edge.control.asked == []


@pytest.mark.parametrize("act", ["pause", "resume"])
@pytest.mark.parametrize("missing", DISPATCH)
async def test_what_is_needed(edge: World, act: str, missing: str) -> None:
    body = {name: value for name, value in DISPATCH.items() if name != missing}
    answer = await edge.client.post(f"/admin/{act}", json=body, headers=edge.as_role("ADMIN"))
    assert_problem(answer, 400, "P003", field=missing)


async def test_only_who_may_stops_anything(edge: World) -> None:
    for role in ("USER", "NODE_OPERATOR", "APPROVER", "SERVICE"):
        headers = edge.as_role(role)
        for act in ("pause", "resume"):
            answer = await edge.client.post(f"/admin/{act}", json=DISPATCH, headers=headers)
            assert_problem(answer, 403, "P002")
        assert_problem(await edge.client.get("/admin/status", headers=headers), 403, "P002")
    assert edge.control.asked == []


async def test_status_looks_as_documented(edge: World) -> None:
    answer = await edge.client.get("/admin/status", headers=edge.as_role("ADMIN"))
    schema = edge.app.openapi()["components"]["schemas"]["StatusView"]
    assert answer.status_code == 200
    assert [answer.json()] == schema["examples"]
    assert set(answer.json()) == set(schema["properties"]) == set(schema["required"])
    assert_problem(await edge.client.get("/status"), 404, "P010")
