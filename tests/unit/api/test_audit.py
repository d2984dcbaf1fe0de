"""The audit log over HTTP, in front of the real services."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from models.audit import entry_fields
from services.audit_export import verify_export
from tests.front import Front, open_front, token
from tests.harness import open_house
from tests.unit.api.edge import assert_problem
from tests.unit.services.faulty_store import FaultyStore

AUDITOR = token("APPROVER", "ada")


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """A service in which two payouts were made and one of them cancelled: entries 1 to 3."""
    async with open_front() as front:
        first, second = await front.house.create(), await front.house.create()
        path = f"/payouts/{first.payout_id}/cancel"
        answer = await front.ask("POST", path, token("ADMIN", "bob"), json={"reason": "twice"})
        assert answer.status_code == 200
        await front.house.services.sequencer.run()
        assert second.payout_id != first.payout_id
        yield front


async def ask(front: Front, path: str, **params: Any) -> httpx.Response:
    return await front.ask("GET", path, AUDITOR, params=params)


@pytest.mark.parametrize("prefix", ["", "/api/v1/tron"])
async def test_the_newest_entry_comes_first_with_all_that_is_hashed(
    front: Front, prefix: str
) -> None:
    answer = await ask(front, f"{prefix}/audit")
    assert answer.status_code == 200
    page = answer.json()
    entries = await front.house.store.entries_after(0, 10)
    assert page["items"] == [dict(entry_fields(entry)) for entry in reversed(entries)]
    assert page["next_cursor"] is None
    (cancelled,) = [one for one in page["items"] if one["action"] == "payout:cancelled"]
    assert cancelled | {"by": "ADMIN:bob", "before": "pending", "after": "cancelled"} == cancelled
    assert cancelled["why"] == {"code": None, "message": "twice"}
    assert cancelled["request_id"]


async def test_reading_is_logged_with_what_was_asked_for(front: Front) -> None:
    answer = await ask(front, "/audit", by="ADMIN:bob", limit=1)
    await front.house.services.sequencer.run()
    (entry,) = (await ask(front, "/audit", action="audit:view")).json()["items"]
    assert (entry["by"], entry["subject"], entry["after"]) == (
        *("APPROVER:ada", "list"),
        "by=ADMIN:bob",
    )
    assert entry["request_id"] == answer.headers["X-Request-ID"]


async def test_lists_filter_and_go_on_at_a_cursor(front: Front) -> None:
    page = (await ask(front, "/audit", limit=2)).json()
    assert [one["number"] for one in page["items"]] == [3, 2]
    rest = (await ask(front, "/audit", limit=2, cursor=page["next_cursor"])).json()
    assert [one["number"] for one in rest["items"]] == [1]
    assert rest["next_cursor"] is None
    entry = rest["items"][0]
    for filters, found in (
        ({"subject": entry["subject"], "action": "payout:pending"}, 1),
        ({"by": "ADMIN:bob"}, 1),
        ({"by": "ADMIN:eve"}, 0),
        ({"request_id": "none"}, 0),
        ({"at_from": "2000-01-01T00:00:00Z"}, 3),
        ({"at_to": "2000-01-01T00:00:00Z"}, 0),
    ):
        assert len((await ask(front, "/audit", **filters)).json()["items"]) == found


async def test_verifying(front: Front) -> None:
    report = (await ask(front, "/audit/verify", limit=2)).json()
    head = await front.house.store.audit_head()
    end = {"number": head.number, "hash": head.hash}
    assert (report["ok"], report["fault"], report["log_head"]) == (True, None, end)
    assert report["start"] == {"number": 0, "hash": "0" * 64}
    assert report["head"]["number"] == 2
    rest = (await ask(front, "/audit/verify", after=2)).json()
    assert (rest["ok"], rest["start"], rest["head"]) == (True, report["head"], end)


async def test_verifying_what_was_tampered_with(front: Front) -> None:
    del front.house.store._entries[2]
    report = (await ask(front, "/audit/verify")).json()
    assert (report["ok"], report["head"]["number"]) == (False, 1)
    assert report["fault"] == {
        "number": 2,
        "kind": "missing",
        "message": "entry 3 comes in its place",
    }


@pytest.mark.parametrize(("histories", "lines"), [("false", 3), ("true", 5)])
async def test_an_export_is_verified_with_nothing_else(
    front: Front, histories: str, lines: int
) -> None:
    answer = await ask(front, "/audit/export", histories=histories)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    exported = answer.text.splitlines()
    assert len(exported) == lines
    _, verdict = verify_export(exported)
    assert (verdict.head.number, verdict.fault) == (3, None)


async def test_an_export_of_nothing_is_empty(front: Front) -> None:
    answer = await ask(front, "/audit/export", after=3)
    assert (answer.status_code, answer.text) == (200, "")


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("/audit", {"limit": 0}, "limit"),
        ("/audit", {"limit": 201}, "limit"),
        ("/audit", {"cursor": "x"}, "cursor"),
        ("/audit", {"cursor": "cGF5b3V0"}, "cursor"),
        ("/audit", {"at_from": "yesterday"}, "at_from"),
        ("/audit", {"by": ""}, "by"),
        ("/audit", {"who": "me"}, "who"),
        ("/audit/verify", {"after": -1}, "after"),
        ("/audit/verify", {"after": 2**53}, "after"),
        ("/audit/verify", {"after": 99}, "after"),
        ("/audit/verify", {"limit": 1001}, "limit"),
        ("/audit/export", {"after": "x"}, "after"),
        ("/audit/export", {"after": 99}, "after"),
        ("/audit/export", {"limit": 100_001}, "limit"),
        ("/audit/export", {"histories": "maybe"}, "histories"),
    ],
)
async def test_what_cannot_be_asked(
    front: Front, path: str, params: dict[str, Any], field: str
) -> None:
    assert_problem(await ask(front, path, **params), 400, "P003", field)


@pytest.mark.parametrize("path", ["/audit", "/audit/verify", "/audit/export"])
@pytest.mark.parametrize("role", ["USER", "NODE_OPERATOR", "SERVICE"])
async def test_who_may_not_read_it(front: Front, path: str, role: str) -> None:
    assert_problem(await front.ask("GET", path, token(role)), 403, "P002")


@pytest.mark.parametrize("step", ["note_act", "entries_after"])
async def test_a_database_that_is_away_is_told_before_an_export_begins(step: str) -> None:
    house = await open_house()
    store = FaultyStore(house.store)
    house = await open_house(store=store, clock=house.clock)
    async with open_front(house) as front:
        store.fail(step, "before", times=5)
        assert_problem(await ask(front, "/audit/export"), 503, "P007")
