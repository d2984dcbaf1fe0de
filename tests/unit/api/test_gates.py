"""Closed gates, and opening them."""

import pytest

from tests.unit.api.edge import NOW, World, assert_problem


@pytest.mark.parametrize("prefix", ["", "/api/v1/tron"])
async def test_gates(edge: World, prefix: str) -> None:
    admin = edge.as_role("ADMIN", sub="ada")
    listed = await edge.client.get(f"{prefix}/gates", headers=admin)
    assert listed.json() == {
        "items": [
            {
                "name": "frozen",
                "reason": "a dead attempt was included",
                "closed_at": NOW.isoformat().replace("+00:00", "Z"),
                "closed_by": None,
                "needs_trx": None,
                "needs_usdt": "12.50",
            }
        ]
    }
    opened = await edge.client.post(
        f"{prefix}/gates/frozen/open", json={"reason": "checked on chain"}, headers=admin
    )
    assert (opened.status_code, opened.content) == (204, b"")
    name, caller, *rest = edge.control.asked[-1]
    assert (name, caller.name, *rest) == (
        "open_gate",
        "ADMIN:ada",
        "frozen",
        "checked on chain",
    )


async def test_a_gate_that_is_open(edge: World) -> None:
    answer = await edge.client.post(
        "/gates/other/open", json={"reason": "why not"}, headers=edge.as_role("ADMIN")
    )
    assert_problem(answer, 404, "P010", field="name")


async def test_opening_takes_a_reason(edge: World) -> None:
    answer = await edge.client.post("/gates/frozen/open", json={}, headers=edge.as_role("ADMIN"))
    assert_problem(answer, 400, "P003", field="reason")
