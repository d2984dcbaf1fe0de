"""Lists of addresses and the KYC registry over HTTP, with what the audit log then has."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from models.address import ZERO_ADDRESS
from models.registry import AddressList, KycRecord
from tests.unit.api.edge import ALICE, NOW, World, assert_problem

BOB = "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"
BECAUSE = {"reason": "case 4711"}
VERIFIED = {"level": 2, "verified_at": "2030-01-01T09:30:00+02:00", "reason": "file 118"}
CSV = {"Content-Type": "text/csv"}


async def acts(edge: World) -> list[tuple[Any, ...]]:
    """What the log will have: action, subject, who, why, before, after. In no order, as the clock
    stands still."""
    noted = await edge.container.store.unlogged(100)
    acts = [(a.action, a.subject, a.by, a.why and a.why.message, a.before, a.after) for a in noted]
    return sorted(acts, key=str)


async def ask(edge: World, method: str, path: str, **request: Any) -> httpx.Response:
    headers = edge.as_role("ADMIN", sub="ada") | request.pop("headers", {})
    return await edge.client.request(method, path, headers=headers, **request)


# ---- KYC ----


@pytest.mark.parametrize("prefix", ["", "/api/v1/tron"])
async def test_a_verification_is_kept_shown_and_forgotten(edge: World, prefix: str) -> None:
    path = f"{prefix}/kyc/{ALICE}"
    kept = await ask(edge, "PUT", path, json=VERIFIED)
    assert (kept.status_code, kept.json()) == (
        200,
        {
            "address": ALICE,
            "level": 2,
            "verified_at": "2030-01-01T07:30:00Z",
            "expires_at": "2031-01-01T07:30:00Z",
        },
    )
    assert (await ask(edge, "GET", path)).json() == kept.json()
    listed = await ask(edge, "GET", f"{prefix}/kyc")
    assert listed.json() == {"items": [kept.json()], "next_cursor": None}
    gone = await ask(edge, "DELETE", path, params=BECAUSE)
    assert (gone.status_code, gone.content) == (204, b"")
    for method, request in (("GET", {}), ("DELETE", {"params": BECAUSE})):
        assert_problem(await ask(edge, method, path, **request), 404, "P010", "address")
    level = "level 2 until 2031-01-01"
    assert await acts(edge) == [
        ("compliance:edit", f"kyc:{ALICE}", "ADMIN:ada", "case 4711", level, "not verified"),
        ("compliance:edit", f"kyc:{ALICE}", "ADMIN:ada", "file 118", "not verified", level),
    ]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"level": 0}, "P003", "level"),
        ({"level": 4}, "P003", "level"),
        ({"level": "2"}, "P003", "level"),
        ({"level": None}, "P003", "level"),
        ({"verified_at": "2030-01-31T12:00:01Z"}, "P003", "verified_at"),
        ({"verified_at": "2029-01-31T12:00:00Z"}, "P003", "verified_at"),
        ({"verified_at": "2030-01-01"}, "P003", "verified_at"),
        ({"reason": ""}, "P003", "reason"),
        ({"expires_at": "2040-01-01T00:00:00Z"}, "P003", "expires_at"),
    ],
)
async def test_a_verification_that_cannot_be(
    edge: World, change: dict[str, Any], code: str, field: str
) -> None:
    answer = await ask(edge, "PUT", f"/kyc/{ALICE}", json=VERIFIED | change)
    assert_problem(answer, 400, code, field)
    assert await acts(edge) == []
    assert not await edge.container.store.kyc_page(None, 1)


async def test_pages_of_the_registry_lead_to_each_other(edge: World) -> None:
    for address in (ALICE, BOB, ZERO_ADDRESS):
        record = KycRecord(address, 1, NOW, NOW + timedelta(days=1))
        await edge.container.store.put_kyc(record)
    seen, query = [], {"limit": "2"}
    for _ in range(2):
        page = (await ask(edge, "GET", "/kyc", params=query)).json()
        seen += [each["address"] for each in page["items"]]
        query["cursor"] = page["next_cursor"]
    assert seen == sorted([ALICE, BOB, ZERO_ADDRESS])
    assert query["cursor"] is None


# ---- lists ----


@pytest.mark.parametrize("prefix", ["", "/api/v1/tron"])
@pytest.mark.parametrize("name", AddressList)
async def test_an_address_is_listed_shown_and_taken_off(
    edge: World, prefix: str, name: AddressList
) -> None:
    path = f"{prefix}/lists/{name}/{ALICE}"
    for added in (1, 0):
        put = await ask(edge, "PUT", path, json=BECAUSE)
        assert (put.status_code, put.json()) == (200, {"addresses": 1, "added": added})
    listed = await ask(edge, "GET", f"{prefix}/lists/{name}")
    assert listed.json() == {
        "list_name": name,
        "items": [
            {
                "address": ALICE,
                "reason": "case 4711",
                "by": "ADMIN:ada",
                "at": "2030-01-31T12:00:00Z",
            }
        ],
        "next_cursor": None,
    }
    gone = await ask(edge, "DELETE", path, params={"reason": "cleared"})
    assert gone.status_code == 204
    assert_problem(
        await ask(edge, "DELETE", path, params={"reason": "cleared"}), 404, "P010", "address"
    )
    added_act = ("compliance:edit", f"list:{name}", "ADMIN:ada", "case 4711", None)
    assert await acts(edge) == [
        (*added_act, f"added 1: {ALICE}"),
        (*added_act, f"added 1: {ALICE}"),
        (*added_act[:3], "cleared", None, f"removed 1: {ALICE}"),
    ]


async def test_pages_of_a_list_lead_to_each_other(edge: World) -> None:
    reasons = dict.fromkeys((ALICE, BOB, ZERO_ADDRESS))
    await edge.container.store.put_listed(AddressList.DENY, reasons, "ADMIN:ada")
    first = (await ask(edge, "GET", "/lists/deny", params={"limit": "2"})).json()
    rest = await ask(edge, "GET", "/lists/deny", params={"cursor": first["next_cursor"]})
    pages = [*first["items"], *rest.json()["items"]]
    assert [each["address"] for each in pages] == sorted(reasons)
    assert rest.json()["next_cursor"] is None


async def test_a_file_is_imported(edge: World) -> None:
    data = f"address,reason\n{ALICE},fraud\n{BOB}\n"
    for added in (2, 0):
        answer = await ask(
            edge, "POST", "/lists/deny/import", params=BECAUSE, content=data, headers=CSV
        )
        assert (answer.status_code, answer.json()) == (200, {"addresses": 2, "added": added})
    listed = await edge.container.store.list_page(AddressList.DENY, None, 10)
    assert {each.address: each.reason for each in listed} == {ALICE: "fraud", BOB: None}
    assert [act[5] for act in await acts(edge)] == [f"added 2: {ALICE}, {BOB}"] * 2


async def test_a_file_with_bad_lines_changes_nothing(edge: World) -> None:
    data = f"address\n{ALICE}\nT1\n{BOB}\n{ALICE}\n"
    answer = await ask(
        edge, "POST", "/lists/deny/import", params=BECAUSE, content=data, headers=CSV
    )
    problem = assert_problem(answer, 400, "P003", "line 3")
    assert [each["field"] for each in problem["errors"]] == ["line 3", "line 5"]
    assert not await edge.container.store.list_page(AddressList.DENY, None, 1)
    assert await acts(edge) == []


@pytest.mark.parametrize("content", [b"", b"\xff", b"names\nx\n", b"address\n"])
async def test_what_is_no_file_of_addresses(edge: World, content: bytes) -> None:
    answer = await ask(
        edge, "POST", "/lists/deny/import", params=BECAUSE, content=content, headers=CSV
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "P003")


@pytest.mark.parametrize(
    ("method", "path", "media_type", "wanted"),
    [
        ("POST", "/lists/deny/import?reason=x", "application/json", "text/csv"),
        ("POST", "/lists/deny/import?reason=x", "text/csv; charset=latin-1", "text/csv"),
        ("PUT", f"/lists/deny/{ALICE}", "text/csv", "application/json"),
        ("PUT", f"/kyc/{ALICE}", "text/plain", "application/json"),
    ],
)
async def test_another_media_type_is_refused(
    edge: World, method: str, path: str, media_type: str, wanted: str
) -> None:
    answer = await ask(edge, method, path, content=b"x", headers={"Content-Type": media_type})
    problem = assert_problem(answer, 415, "P013")
    assert problem["detail"].endswith(wanted)


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "field"),
    [
        ("GET", "/lists/others", 404, "P010", "list_name"),
        ("PUT", f"/lists/others/{ALICE}", 404, "P010", "list_name"),
        ("PUT", "/lists/deny/T1", 400, "P100", "address"),
        ("DELETE", f"/lists/deny/{ALICE}", 400, "P003", "reason"),
        ("DELETE", f"/kyc/{ALICE}?reason=", 400, "P003", "reason"),
        ("GET", "/kyc/T1", 400, "P100", "address"),
        ("PUT", "/kyc/T1", 400, "P100", "address"),
        ("GET", "/kyc?limit=201", 400, "P003", "limit"),
        ("GET", "/kyc?cursor=eA==", 400, "P003", "cursor"),
        ("GET", "/lists/deny?curser=x", 400, "P003", "curser"),
        ("POST", "/lists/deny/import", 400, "P003", "reason"),
    ],
)
async def test_what_cannot_be_meant(
    edge: World, method: str, path: str, status: int, code: str, field: str
) -> None:
    request: dict[str, Any] = {}
    if path.endswith("import"):
        request = {"content": f"address\n{ALICE}\n", "headers": CSV}
    elif method == "PUT":
        request = {"json": VERIFIED if "/kyc/" in path else BECAUSE}
    assert_problem(await ask(edge, method, path, **request), status, code, field)
    assert await acts(edge) == []


async def test_only_who_may_edits_and_sees(edge: World) -> None:
    put = {"json": BECAUSE}
    for role in ("USER", "NODE_OPERATOR", "SERVICE", "APPROVER"):
        headers = edge.as_role(role)
        refused = await edge.client.put(f"/lists/deny/{ALICE}", headers=headers, **put)
        assert_problem(refused, 403, "P002")
        seen = await edge.client.get("/lists/deny", headers=headers)
        assert seen.status_code == (200 if role == "APPROVER" else 403)
    of_tenant = edge.as_role("ADMIN", tenant="north")
    assert_problem(await edge.client.get("/kyc", headers=of_tenant), 403, "P002")
