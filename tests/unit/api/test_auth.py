"""Tokens: which are taken, what they let their holders do, and that the rest get 401, 403, 404."""

import base64
import json
import time
from typing import Any

import jwt
import pytest

from models.permission import grants_of, parse_permission
from tests.front import OpenDoor
from tests.unit.api.edge import (
    ALICE,
    GOOD_BODY,
    KEY,
    World,
    assert_problem,
    make_payout,
    payout_id,
    token,
    world,
)


def unsigned(header: dict[str, Any], payload: dict[str, Any] | bytes, signature: str = "") -> str:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    parts = [json.dumps(header).encode(), body]
    encoded = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, signature])


def signed_text(payload: str) -> str:
    """A well-signed token over a payload that no library would write."""
    return jwt.PyJWS().encode(payload.encode(), KEY, "HS256")


def good_claims(**claims: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"sub": "alice", "role": "SERVICE", "iat": now, "exp": now + 60, **claims}


def bad_tokens() -> dict[str, str]:
    """Each is wrong in one way, as of now: one that had also expired would be refused for that."""
    now = int(time.time())
    return {
        "alg none": unsigned({"alg": "none", "typ": "JWT"}, good_claims()),
        "alg None": unsigned({"alg": "None", "typ": "JWT"}, good_claims()),
        "no alg": unsigned({"typ": "JWT"}, good_claims(), "x"),
        "alg none by the library": jwt.encode(good_claims(), None, "none"),
        "HS512": token(algorithm="HS512"),
        "HS384": token(algorithm="HS384"),
        "wrong key": token(key="x" * 64),
        "signature cut": token()[:-3],
        "no signature": token().rpartition(".")[0] + ".",
        "expired": token(iat=now - 7200, exp=now - 3600),
        "expired beyond the leeway": token(exp=now - 20),
        "without exp": token(exp=None),
        "without iat": token(iat=None),
        "without sub": token(sub=None),
        "without role": token(None),
        "unknown role": token("KING"),
        "role in lower case": token("admin"),
        "role a list": token(["ADMIN"]),  # type: ignore[arg-type]
        "sub a number": signed_text(json.dumps(good_claims(sub=7))),
        "sub empty": token(sub=""),
        "sub too long": token(sub="s" * 129),
        "sub with a control character": token(sub="a\nb"),
        "node_id a number": token("NODE_OPERATOR", node_id=7),
        "iat in the future": token(iat=now + 600, exp=now + 1200),
        "not yet valid": token(nbf=now + 600),
        "life too long": token(exp=now + 25 * 3600),
        "life begun before 1970": token(iat=-(10**30)),
        "exp infinite": signed_text(json.dumps(good_claims(exp=float("inf")))),
        "exp NaN": signed_text(json.dumps(good_claims(exp=float("nan")))),
        "exp huge": token(exp=10**400),
        "exp text": token(exp="tomorrow"),
        "exp true": token(exp=True),
        "exp a list": signed_text(json.dumps(good_claims(exp=[]))),
        "iat null": signed_text(json.dumps(good_claims(iat=None))),
        "payload a list": signed_text("[]"),
        "payload no JSON": signed_text("x"),
        "payload deep": signed_text("[" * 3000),
        "header deep": base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.x",
        "too long": token(sub="s" * 10_000),
        "garbage": "garbage",
        "dots": "..",
        "other characters": "a.b.c!",
    }


@pytest.mark.parametrize("fault", bad_tokens())
async def test_bad_tokens(edge: World, fault: str) -> None:
    bad = bad_tokens()[fault]
    answer = await edge.client.post(
        "/payouts", json=GOOD_BODY, headers={"Authorization": f"Bearer {bad}"}
    )
    problem = assert_problem(answer, 401, "P001")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert bad not in problem["detail"]
    assert edge.router.asked == []


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x"])
async def test_other_credentials(edge: World, header: str) -> None:
    answer = await edge.client.get("/payouts", headers={"Authorization": header})
    assert_problem(answer, 401, "P001")


async def test_a_token_in_the_url_is_none(edge: World) -> None:
    del edge.client.headers["Authorization"]
    answer = await edge.client.get("/payouts", params={"access_token": token()})
    assert_problem(answer, 401, "P001")


async def test_clocks_may_differ_by_the_leeway(edge: World) -> None:
    now = int(time.time())
    for claims in ({"exp": now + 3600, "iat": now + 8}, {"exp": now - 3}):
        headers = edge.as_role("SERVICE", **claims)
        assert (await edge.client.get("/payouts", headers=headers)).status_code == 200


async def test_what_a_token_says_is_who_calls(edge: World) -> None:
    headers = edge.as_role("NODE_OPERATOR", sub="bob", node_id="node-7") | {"X-Request-ID": "r1"}
    await edge.client.get("/payouts", headers=headers)
    caller = edge.router.asked[-1][1]
    assert (caller.subject, caller.role) == ("bob", "NODE_OPERATOR")
    assert (caller.node_id, caller.request_id) == ("node-7", "r1")
    assert caller.grants == grants_of(
        parse_permission(text)
        for text in (
            *(f"payout:{name}:node" for name in ("create", "quote", "urgent", "list", "view")),
            *("payout:cancel:node", "limit:view:node", "route:view:all"),
            *("batch:create:node", "batch:view:node"),
        )
    )


CALLS = {
    "payout:create": ("POST", "/payouts", GOOD_BODY),
    "payout:list": ("GET", "/payouts", None),
    "payout:view": ("GET", f"/payouts/{payout_id(1)}", None),
    "payout:cancel": ("POST", f"/payouts/{payout_id(1)}/cancel", None),
    "payout:resolve": (
        "POST",
        f"/payouts/{payout_id(1)}/resolve",
        {"action": "retry", "reason": "looked at it"},
    ),
    "payout:stats": ("GET", "/payouts/stats", None),
    "payout:quote": ("POST", "/payouts/quote", GOOD_BODY),
    "payout:approve": ("POST", f"/payouts/{payout_id(1)}/approve", {"comment": "checked"}),
    "payout:reject": ("POST", f"/payouts/{payout_id(1)}/reject", {"comment": "checked"}),
    "payout:release": ("POST", f"/payouts/{payout_id(1)}/release", {"comment": "checked"}),
    "payout:route": (
        "POST",
        f"/payouts/{payout_id(1)}/route",
        {"route": "direct", "reason": "v0 is slow"},
    ),
    "route:view": ("GET", "/routes", None),
    "limit:view": ("GET", "/limits", None),
    "compliance:view": ("GET", "/kyc", None),
    "compliance:edit": ("PUT", f"/lists/deny/{ALICE}", {"reason": "fraud"}),
    "unexplained:view": ("GET", "/unexplained", None),
    "gate:view": ("GET", "/gates", None),
}


@pytest.mark.parametrize(
    "role", ["USER", "NODE_OPERATOR", "APPROVER", "SERVICE", "ADMIN", "SUPER_ADMIN"]
)
@pytest.mark.parametrize("action", CALLS)
async def test_roles_may_do_what_the_policy_says(edge: World, role: str, action: str) -> None:
    edge.router.payouts[payout_id(1)] = make_payout(1)
    may = edge.container.settings.security.roles[role].grants  # type: ignore[index]
    method, path, body = CALLS[action]
    answer = await edge.client.request(method, path, json=body, headers=edge.as_role(role))
    if action in may:
        assert answer.status_code in (200, 201)
    else:
        assert_problem(answer, 403, "P002")
        assert edge.router.asked == []


async def test_permission_comes_before_the_body(edge: World) -> None:
    answer = await edge.client.post("/payouts", json={}, headers=edge.as_role("APPROVER"))
    assert_problem(answer, 403, "P002")


@pytest.mark.parametrize(
    ("method", "suffix"), [("GET", ""), ("POST", "/cancel")], ids=["get", "cancel"]
)
async def test_a_strangers_payout_does_not_exist(edge: World, method: str, suffix: str) -> None:
    edge.router.payouts[payout_id(1)] = make_payout(1, client="bob")
    answers = [
        await edge.client.request(
            method, f"/payouts/{payout_id(number)}{suffix}", headers=edge.as_role("USER")
        )
        for number in (1, 2)
    ]
    problems = [assert_problem(answer, 404, "P501", "payout_id") for answer in answers]
    for problem in problems:
        del problem["request_id"], problem["instance"]
    assert problems[0] == problems[1]


PUBLIC = ["/", "/health", "/health/live", "/health/ready", "/docs", "/openapi.json", "/metrics"]


@pytest.mark.parametrize("path", PUBLIC)
async def test_what_needs_no_token(edge: World, path: str) -> None:
    del edge.client.headers["Authorization"]
    assert (await edge.client.get(path)).status_code == 200


async def test_everything_else_needs_one(edge: World) -> None:
    del edge.client.headers["Authorization"]
    edge.container.throttle = OpenDoor()
    paths = edge.app.openapi()["paths"]
    asked = 0
    for path, operations in paths.items():
        for method in operations:
            if path not in PUBLIC:
                answer = await edge.client.request(method.upper(), path)
                assert_problem(answer, 401, "P001")
                asked += 1
    assert asked >= 30


async def test_metrics_can_need_a_token() -> None:
    async with world(METRICS_PUBLIC="false") as edge:
        assert (await edge.client.get("/metrics")).status_code == 200
        bare = await edge.client.get("/metrics", headers={"Authorization": ""})
        assert_problem(bare, 401, "P001")
