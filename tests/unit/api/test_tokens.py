"""`/admin/tokens`, and revoked tokens at every route."""

from typing import Any

import pytest

from models.token import Target
from ports.store import StoreError
from tests.unit.api.edge import World, assert_problem, token, world

REVOKE = "/admin/tokens/revoke"
LIST = "/admin/tokens/revocations"


async def revoke(edge: World, **body: Any) -> Any:
    headers = edge.as_role("ADMIN", sub="ada")
    return await edge.client.post(REVOKE, json={"reason": "stolen"} | body, headers=headers)


async def test_a_token_is_revoked(edge: World) -> None:
    good, bad = edge.as_role("SERVICE", jti="1"), edge.as_role("SERVICE", jti="2")
    answer = await revoke(edge, jti="2")
    assert answer.status_code == 200
    assert answer.json() == {
        "jti": "2",
        "subject": None,
        "tenant": None,
        "before": None,
        "reason": "stolen",
        "revoked_by": "ADMIN:ada",
        "revoked_at": "2030-01-31T12:00:00Z",
    }
    assert (await edge.client.get("/payouts", headers=good)).status_code == 200
    refused = await edge.client.get("/payouts", headers=bad)
    assert_problem(refused, 401, "P001")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
    assert len(edge.router.asked) == 1


async def test_a_subject_is_revoked(edge: World) -> None:
    answer = await revoke(edge, subject="alice", tenant="north")
    assert answer.json()["before"] == "2030-01-31T12:00:00Z"
    of_tenant = edge.as_role("SERVICE", tenant="north")
    assert_problem(await edge.client.get("/payouts", headers=of_tenant), 401, "P001")
    assert (await edge.client.get("/payouts")).status_code == 200


async def test_a_time_is_taken(edge: World) -> None:
    answer = await revoke(edge, subject="alice", before="2020-01-01T01:00:00+01:00")
    assert answer.json()["before"] == "2020-01-01T00:00:00Z"
    assert (await edge.client.get("/payouts")).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"jti": "1", "subject": "alice"}, "body"),
        ({"jti": "1", "tenant": "north"}, "body"),
        ({"jti": "1", "before": "2020-01-01T00:00:00Z"}, "body"),
        ({"tenant": "north"}, "body"),
        ({"jti": ""}, "jti"),
        ({"jti": "a\nb"}, "jti"),
        ({"jti": "x" * 129}, "jti"),
        ({"subject": 7}, "subject"),
        ({"subject": "a", "tenant": "two words"}, "tenant"),
        ({"subject": "a", "before": "yesterday"}, "before"),
        ({"subject": "a", "before": "2031-01-01T00:00:00Z"}, "before"),
        ({"jti": "1", "reason": ""}, "reason"),
        ({"jti": "1", "reason": None}, "reason"),
        ({"jti": "1", "exp": 1}, "exp"),
    ],
)
async def test_bodies_that_are_refused(edge: World, body: dict[str, Any], field: str) -> None:
    assert_problem(await revoke(edge, **body), 400, "P003", field)
    assert await edge.container.revocations.revocations(None, 10) == []


async def test_pages(edge: World) -> None:
    for number in range(5):
        await edge.container.revocations.revoke(Target(f"ä{number}"), "ADMIN:ada", "r")
    admin = edge.as_role("ADMIN")
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await edge.client.get(LIST, params=params, headers=admin)).json()
        seen += [item["jti"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"ä{number}" for number in range(5)]


@pytest.mark.parametrize("cursor", ["x", "", "cGF5b3V0XzE=", "dG9rZW46", "_" * 9])
async def test_a_cursor_that_is_none(edge: World, cursor: str) -> None:
    answer = await edge.client.get(LIST, params={"cursor": cursor}, headers=edge.as_role("ADMIN"))
    assert_problem(answer, 400, "P003", "cursor")


@pytest.mark.parametrize("role", ["USER", "NODE_OPERATOR", "APPROVER", "SERVICE"])
async def test_only_operators_revoke_and_look(edge: World, role: str) -> None:
    headers = edge.as_role(role)
    body = {"jti": "1", "reason": "r"}
    assert_problem(await edge.client.post(REVOKE, json=body, headers=headers), 403, "P002")
    assert_problem(await edge.client.get(LIST, headers=headers), 403, "P002")


async def test_an_operator_of_a_tenant_does_not(edge: World) -> None:
    headers = edge.as_role("ADMIN", tenant="north")
    body = {"jti": "1", "reason": "r"}
    assert_problem(await edge.client.post(REVOKE, json=body, headers=headers), 403, "P002")
    assert_problem(await edge.client.get(LIST, headers=headers), 403, "P002")


async def test_the_revoked_hear_nothing_of_what_they_may(edge: World) -> None:
    """Revocation comes before permission: no answer tells the role's."""
    await revoke(edge, subject="alice")
    for role in ("USER", "ADMIN"):
        answer = await edge.client.get(LIST, headers=edge.as_role(role))
        assert_problem(answer, 401, "P001")


async def test_while_nobody_can_tell_nobody_is_let_in(
    edge: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> None:
        raise StoreError("away")

    monkeypatch.setattr(edge.container.revocations, "cutoffs", away)
    assert_problem(await edge.client.get("/payouts"), 503, "P007")
    assert edge.router.asked == []
    bad = {"Authorization": f"Bearer {token(key='x' * 64)}"}
    assert_problem(await edge.client.get("/payouts", headers=bad), 401, "P001")
    assert (await edge.client.get("/health/live")).status_code == 200


async def test_the_metrics_where_they_need_a_token() -> None:
    async with world(METRICS_PUBLIC="false") as edge:
        assert (await edge.client.get("/metrics")).status_code == 200
        await revoke(edge, subject="alice")
        assert_problem(await edge.client.get("/metrics"), 401, "P001")
