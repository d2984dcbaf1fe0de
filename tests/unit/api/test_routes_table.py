"""Every route × every role × every token and object: the policy file alone decides who gets in.

The table is made from the application's own routes, under both prefixes, and the real services
answer. What should come out is worked out anew here, from the text of the policy file.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts

from api.app import build_app
from api.auth import Access, metrics_reader, public
from api.body import CSV
from models.payout import PayoutStatus
from tests.access import (
    ASKS,
    BEFORE,
    NODE,
    OBJECTS,
    OWNED,
    OWNERS,
    ROLES,
    Asking,
    Owner,
    a_payout_for,
    canonical,
    expected,
    reach_of,
    reaches,
)
from tests.e2e.kit import write_config
from tests.factories import a_payout
from tests.front import Front, open_front, token

TENANTS = (None, "acme")
VERBS = ("cancel", "resolve", "approve", "reject", "release", "route")


# ---- the routes, and what each needs to be asked ----


def marks(dependant: Dependant) -> Iterator[object]:
    """What of a route's dependencies says who may call it."""
    if isinstance(dependant.call, Access) or dependant.call in (public, metrics_reader):
        yield dependant.call
    else:
        for deeper in dependant.dependencies:
            yield from marks(deeper)


def routes_of(app: FastAPI) -> list[RouteContext]:
    return list(iter_route_contexts(app.routes))


def title(route: RouteContext) -> str:
    return f"{'|'.join(sorted(route.methods or ()))} {route.path}"


APP = build_app(None)  # type: ignore[arg-type]
ROUTES = {title(route): route for route in routes_of(APP)}
GUARDED = {
    name: access
    for name, route in ROUTES.items()
    for access in marks(route.dependant)
    if isinstance(access, Access) and access.action is not None
}


def operation_of(path: str, method: str) -> Any:
    """What the OpenAPI document says of a route."""
    return APP.openapi()["paths"][canonical(path)][method.lower()]


def example_body(path: str, method: str) -> Any:
    """The example of the route's request model, which the OpenAPI document shows; bytes for CSV."""
    document, operation = APP.openapi(), operation_of(path, method)
    if "requestBody" not in operation:
        return None
    content = operation["requestBody"]["content"]
    if CSV in content:
        return content[CSV]["schema"]["examples"][0].encode()
    schema = content["application/json"]["schema"]
    for choice in (schema, *schema.get("anyOf", ())):
        if "$ref" in choice:
            model = document["components"]["schemas"][choice["$ref"].rpartition("/")[2]]
            assert "examples" in model, f"give {model['title']} an example (json_schema_extra)"
            return model["examples"][0]
    raise AssertionError(f"{method} {path} takes a body that is no model")


async def request_for(front: Front, name: str, asking: Asking) -> dict[str, Any]:
    """A request that nothing but the policy can refuse; what it is about exists."""
    method, _, template = name.partition(" ")
    parameters = re.findall(r"\{(\w+)\}", template)
    unknown = set(parameters) - set(OBJECTS)
    assert not unknown, f"add {unknown} of {name} to OBJECTS, and to OWNED if it has an owner"
    if (prepare := BEFORE.get(canonical(name))) is not None:
        await prepare(front)
    values = {each: await OBJECTS[each](front, asking) for each in parameters}
    body = example_body(template, method)
    csv = isinstance(body, bytes)
    return {
        "method": method,
        "path": template.format(**values),
        "params": example_parameters(template, method, "query"),
        "headers": example_parameters(template, method, "header")
        | ({"Content-Type": CSV} if csv else {}),
        **({"content": body} if csv else {"json": body}),
    }


def example_parameters(path: str, method: str, place: str) -> dict[str, str]:
    """The examples of the parameters in the query, or the header, that a route needs."""
    return {
        each["name"]: each["schema"]["examples"][0]
        for each in operation_of(path, method).get("parameters", ())
        if each["in"] == place and each["required"]
    }


_numbers = itertools.count(1)


def askings(name: str) -> Iterator[tuple[Asking, Owner | None]]:
    """Every caller and object of a route; the object is None where it has no owner."""
    owned = bool(OWNED & set(re.findall(r"\{(\w+)\}", name)))
    for role, tenant, owner in itertools.product(ROLES, TENANTS, OWNERS if owned else OWNERS[:1]):
        asking = Asking(role, tenant, owner, f"subject-{next(_numbers)}")
        yield asking, owner if owned else None


# ---- the tables ----


def test_every_route_says_who_may_call_it() -> None:
    assert len(ROUTES) > 20
    unmarked = [name for name, route in ROUTES.items() if len(list(marks(route.dependant))) != 1]
    assert not unmarked, "each names exactly one Access(…), or public"


def test_a_route_that_says_nothing_is_found() -> None:
    router = APIRouter()
    router.add_api_route("/forgotten", lambda: None)
    router.add_api_route(
        "/both", lambda: None, dependencies=[Depends(public), Depends(Access(None))]
    )
    app = FastAPI(openapi_url=None)
    app.include_router(router)
    assert [len(list(marks(route.dependant))) for route in routes_of(app)] == [0, 2]


def test_every_route_asks_for_what_it_should() -> None:
    asked = {name: access.action for name, access in GUARDED.items()}
    plain = {name: action for name, action in asked.items() if name == canonical(name)}
    assert plain == ASKS, "add the route, and what it should ask for, to ASKS"
    assert all(action == ASKS[canonical(name)] for name, action in asked.items())
    assert {"POST /api/v1/tron/payouts", "GET /api/v1/tron/gates"} <= set(asked)


def test_the_document_names_the_permission() -> None:
    paths = APP.openapi()["paths"]
    for name, action in ASKS.items():
        method, _, path = name.partition(" ")
        assert paths[path][method.lower()]["security"] == [{"HTTPBearer": [action]}]


@pytest.mark.parametrize("name", GUARDED)
async def test_the_policy_decides(name: str) -> None:
    action = GUARDED[name].action
    assert action is not None
    async with open_front() as front:
        for asking, owner in askings(name):
            request = await request_for(front, name, asking)
            answer = await front.ask(bearer=asking.bearer, **request)
            wanted = expected(asking.role, action, asking.tenant, owner)
            said = f"{name} by {asking.role} of {asking.tenant}, {owner}: {answer.text}"
            if wanted is None:
                # 409: it was let in, and the payout's state stands against it.
                assert answer.is_success or answer.status_code == 409, said
            else:
                missing = "P010" if "{batch_id}" in name else "P501"
                code = {403: "P002", 404: missing}[wanted]
                assert (answer.status_code, answer.json()["code"]) == (wanted, code), said


@pytest.mark.parametrize("name", GUARDED)
async def test_nobody_gets_in_without_a_good_token(name: str) -> None:
    asking = Asking("SUPER_ADMIN", None, OWNERS[0], "alice")
    bad = {
        "none": None,
        "empty": "",
        "unsigned": asking.bearer.rpartition(".")[0] + ".",
        "expired": token("SUPER_ADMIN", exp=1_700_000_000, iat=1_699_999_000),
        "no role here": token("KING"),
        "revoked": token("SUPER_ADMIN", jti="stolen"),
    }
    async with open_front() as front:
        revoking = {"jti": "stolen", "reason": "it was in a log"}
        await front.ask("POST", "/admin/tokens/revoke", asking.bearer, json=revoking)
        request = await request_for(front, name, asking)
        for kind, bearer in bad.items():
            answer = await front.ask(bearer=bearer, **request)
            assert (answer.status_code, answer.json()["code"]) == (401, "P001"), kind


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("tenant", TENANTS)
async def test_lists_and_sums_hold_what_the_policy_reaches(role: str, tenant: str | None) -> None:
    asking = Asking(role, tenant, OWNERS[0], "alice")
    payouts = {owner: a_payout_for(asking, owner) for owner in OWNERS}
    async with open_front() as front:
        for payout in payouts.values():
            await front.house.store.insert(payout)
        listed = await front.ask("GET", "/payouts", asking.bearer)
        counted = await front.ask("GET", "/payouts/stats", asking.bearer)
    for action, answer in (("payout:list", listed), ("payout:stats", counted)):
        if reach_of(role, action) is None:
            assert answer.status_code == 403
            continue
        within = [p for owner, p in payouts.items() if reaches(role, action, tenant, owner)]
        if action == "payout:list":
            assert {one["payout_id"] for one in answer.json()["items"]} == {
                one.payout_id for one in within
            }
        else:
            assert sum(one["count"] for one in answer.json()["items"]) == len(within)


@pytest.mark.parametrize("role", ROLES)
async def test_a_strangers_payout_and_none_are_told_alike(role: str) -> None:
    asking = Asking(role, "acme", OWNERS[-1], "alice")
    async with open_front() as front:
        there, not_there = await OBJECTS["payout_id"](front, asking), a_payout().payout_id
        for method, path in (("GET", ""), *(("POST", f"/{verb}") for verb in VERBS)):
            body = example_body(f"/payouts/{{payout_id}}{path}", method)
            problems = []
            for payout_id in (there, not_there):
                answer = await front.ask(
                    method, f"/payouts/{payout_id}{path}", asking.bearer, json=body
                )
                problem = answer.json()
                del problem["request_id"], problem["instance"]
                problems.append((answer.status_code, problem))
            assert problems[0] == problems[1]
            assert problems[0][0] in (403, 404)


@pytest.mark.parametrize("role", ROLES)
async def test_a_payout_for_another_node_takes_the_widest_reach(role: str) -> None:
    bearer = token(role, node_id=NODE)
    body = example_body("/payouts", "POST")
    async with open_front() as front:
        for node_id in (None, NODE, "node-8"):
            answer = await front.ask("POST", "/payouts", bearer, json=body | {"node_id": node_id})
            reach = reach_of(role, "payout:create")
            refused = reach is None or (node_id == "node-8" and reach != "all")
            assert answer.status_code == (403 if refused else 201), answer.text


async def test_an_act_may_reach_less_than_a_look(tmp_path: Path) -> None:
    permissions = ["payout:view:all", "payout:cancel:own"]
    changed = {"payout-security-policies.yaml": {"roles.SERVICE.permissions": permissions}}
    config = write_config(tmp_path / "config", changed)
    own, strangers = OWNERS[0], next(owner for owner in OWNERS if owner.name == "stranger's")
    async with open_front(CONFIG_DIR=str(config)) as front:
        for owner, status in ((own, 200), (strangers, 403)):
            asking = Asking("SERVICE", None, owner, "alice")
            payout = replace(a_payout_for(asking, owner), status=PayoutStatus.PENDING)
            await front.house.store.insert(payout)
            path = f"/payouts/{payout.payout_id}"
            assert (await front.ask("GET", path, asking.bearer)).status_code == 200
            cancelled = await front.ask("POST", f"{path}/cancel", asking.bearer)
            assert cancelled.status_code == status, cancelled.text
