"""What a client sees of a service that works, on real parts."""

import json
from collections import Counter
from functools import partial
from itertools import chain
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from devnet.settings import USDT_ADDRESS
from models.address import ZERO_ADDRESS
from models.money import BASE_UNITS
from settings.environment import DEFAULT_CONFIG_DIR
from tests.e2e.kit import (
    WALLET,
    Service,
    World,
    asked,
    at_once,
    completed,
    create,
    everything,
    keyed,
    look_at,
    order,
    token,
    until,
)

ANSWER_FIELDS = {
    *("payout_id", "batch_id", "status", "status_reason", "payout_type", "scheduled_at"),
    *("batch_window",),
    *("requested_route", "route", "wallet", "findings", "hold", "approval", "release_at"),
    *("recipient_address", "amount", "currency", "reason", "reference", "description"),
    *("metadata", "session_id", "node_id", "priority", "expires_at"),
    *("txid", "block_number", "confirmations", "fee_trx", "energy_used", "attempts"),
    *("created_at", "updated_at", "completed_at"),
}


@pytest.mark.parametrize("currency", ["USDT", "TRX"])
def test_a_payout_is_paid_and_says_how(world: World, service: Service, currency: str) -> None:
    body = order(
        currency=currency,
        amount="12.5",
        reference="march-1",
        description="for März",
        metadata={"a": "b"},
        session_id="s-1",
        node_id="n-1",
        priority=7,
        expires_at="2099-12-31T23:59:59Z",
    )
    with service.api() as api:
        answer = api.post("/payouts", json=body)
        assert answer.status_code == 201
        created = answer.json()
        assert created.keys() == ANSWER_FIELDS
        assert answer.headers["Location"] == f"/payouts/{created['payout_id']}"
        assert created | body | {"amount": "12.50"} == created
        assert (created["status"], created["txid"], created["attempts"]) == ("pending", None, 0)
        (done,) = completed(api, [created])
    (shown,) = [
        row
        for row in world.control("GET", "ledger")["transfers"]
        if row["to"] == body["recipient_address"]
    ]
    assert done | {"status_reason": None, "attempts": 1, "route": "v0"} == done
    assert (done["txid"], done["block_number"]) == (shown["txid"], shown["block"])
    assert (shown["amount"], shown["currency"]) == (12_500_000, currency)
    assert done["confirmations"] >= 1
    # To an account that is new: creating it costs TRX, or a new slot in the token's storage.
    assert float(done["fee_trx"]) > 0
    assert (done["energy_used"] > 0) is (currency == "USDT")
    assert created["created_at"] <= done["completed_at"]


def test_both_prefixes_are_one_api(service: Service) -> None:
    with service.api() as api:
        answer = api.post("/api/v1/tron/payouts", json=order())
        assert answer.status_code == 201
        there = api.get(answer.headers["Location"]).json()
        here = api.get(f"/payouts/{answer.json()['payout_id']}").json()
    assert answer.headers["Location"].startswith("/api/v1/tron/payouts/payout_")
    assert there["payout_id"] == here["payout_id"]


def test_lists_filter_and_go_on_at_a_cursor(service: Service) -> None:
    session = "list-of-five"
    with service.api() as api:
        bodies = [order(session_id=session, reference=f"r-{n}", node_id="n-9") for n in range(5)]
        created = completed(api, [create(api, body) for body in bodies])
        newest_first = [one["payout_id"] for one in created]
        assert newest_first == sorted(newest_first, reverse=True)
        pages = []
        path = f"/payouts?session_id={session}&limit=2"
        while path:
            answer = api.get(path)
            pages.append([one["payout_id"] for one in answer.json()["items"]])
            path = answer.links.get("next", {}).get("url", "")
        assert list(map(len, pages)) == [2, 2, 1]
        assert list(chain.from_iterable(pages)) == newest_first
        one = created[2]
        for filters in (
            {"txid": one["txid"]},
            {"recipient": one["recipient_address"]},
            {"reference": one["reference"], "session_id": session},
            {"created_from": one["created_at"], "session_id": session, "reference": "r-2"},
        ):
            assert [found["payout_id"] for found in everything(api, **filters)] == [
                one["payout_id"]
            ]
        for filters in (
            {"session_id": session, "status": "failed"},
            {"session_id": session, "currency": "TRX"},
            {"session_id": session, "node_id": "n-8"},
            {"session_id": session, "created_to": created[-1]["created_at"]},
        ):
            assert everything(api, **filters) == []


def test_what_the_wallet_cannot_cover_waits_and_can_be_cancelled(
    world: World, service: Service
) -> None:
    body = order(amount="9999")
    with service.api() as api:
        dropped, kept = create(api, body), create(api, body)
        for payout in (dropped, kept):
            assert until(partial(reason_code, api, payout)) == "P200"
        answer = api.post(f"/payouts/{dropped['payout_id']}/cancel", json={"reason": "too much"})
        assert answer.status_code == 200
        cancelled = answer.json()
        assert cancelled["status"] == "cancelled"
        assert cancelled["status_reason"] == {"code": None, "message": "too much"}
        assert world.paid(body["recipient_address"]) == 0
        world.fund(2 * 9_999 * BASE_UNITS)
        completed(api, [kept])
        assert world.paid(body["recipient_address"]) == 1
        for payout, code in ((kept, "P502"), (dropped, None)):
            again = api.post(f"/payouts/{payout['payout_id']}/cancel").json()
            assert again.get("code") == code


def reason_code(api: httpx.Client, payout: dict[str, Any]) -> str | None:
    now = look_at(api, payout)
    assert now["status"] == "pending"
    return now["status_reason"] and now["status_reason"]["code"]


def test_a_payout_under_way_cannot_be_cancelled(world: World, service: Service) -> None:
    world.control("POST", "faults", kind="solid_stall")
    try:
        with service.api() as api:
            payout = create(api, order())
            until(lambda: look_at(api, payout)["status"] == "processing")
            answer = api.post(f"/payouts/{payout['payout_id']}/cancel")
            assert (answer.status_code, answer.json()["code"]) == (409, "P500")
            world.control("DELETE", "faults")
            completed(api, [payout])
    finally:
        world.control("DELETE", "faults")


def test_stats_count_by_status_and_currency(service: Service) -> None:
    with service.api() as api:
        before = totals(api)
        completed(api, [create(api, order(amount="3")), create(api, order(amount="4"))])
        after = totals(api)
    count, amount = before.get(("completed", "USDT"), (0, 0.0))
    assert after["completed", "USDT"] == (count + 2, amount + 7)


def totals(api: httpx.Client) -> dict[tuple[str, str], tuple[int, float]]:
    items = api.get("/payouts/stats").json()["items"]
    return {(one["status"], one["currency"]): (one["count"], float(one["amount"])) for one in items}


def test_roles_see_what_is_theirs(service: Service) -> None:
    with (
        service.api("USER", "alice", node_id="n-7") as alice,
        service.api("USER", "bob") as bob,
        service.api("NODE_OPERATOR", "carol", node_id="n-7") as node,
        service.api("ADMIN", "dora") as admin,
    ):
        payout = create(alice, order(node_id="n-7"))
        path = f"/payouts/{payout['payout_id']}"
        assert [c.get(path).status_code for c in (alice, bob, node, admin)] == [200, 404, 200, 200]
        assert bob.post(f"{path}/cancel").json()["code"] == "P501"
        assert bob.post("/payouts", json=order(node_id="n-7")).json()["code"] == "P002"
        assert everything(bob) == []
        assert [one["payout_id"] for one in everything(alice)] == [payout["payout_id"]]
        assert [c.get("/payouts/stats").status_code for c in (alice, admin)] == [403, 200]
        # Keys are per client: another's is not a replay.
        mine, yours = (create(c, order(), key="same") for c in (alice, bob))
        assert mine["payout_id"] != yours["payout_id"]


# ---- once ----


def test_fifty_at_once_with_one_key_are_one_payout(world: World, service: Service) -> None:
    body = order(amount="2")
    with service.api() as api:

        def send(_: int) -> httpx.Response:
            while True:
                answer = api.post("/payouts", json=body, headers=keyed("fifty"))
                if answer.status_code != 409:
                    return answer
                assert answer.json()["code"] == "P006"

        answers = at_once(send, range(50))
        assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 49}
        assert len({answer.json()["payout_id"] for answer in answers}) == 1
        completed(api, [answers[0].json()])
        again = api.post("/payouts", json=body, headers=keyed("fifty"))
        assert (again.status_code, again.json()["status"]) == (200, "completed")
        assert again.headers["Idempotency-Replayed"] == "true"
        other = api.post("/payouts", json={**body, "amount": "3"}, headers=keyed("fifty"))
        assert (other.status_code, other.json()["code"]) == (422, "P005")
    assert world.paid(body["recipient_address"]) == 1


def test_two_identical_payouts_are_two_transfers(world: World, service: Service) -> None:
    body = order(amount="5.5")
    with service.api() as api:
        created = at_once(lambda _: create(api, body), range(2))
        done = completed(api, created)
    assert len({one["txid"] for one in done}) == 2
    assert world.paid(body["recipient_address"]) == 2


# ---- what is refused ----


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"recipient_address": "TJRabPrwbZy45sbavfcjinPJC18kjpRTv9"}, "P100"),
        ({"recipient_address": "41" + "ab" * 20}, "P100"),
        ({"recipient_address": ZERO_ADDRESS}, "P100"),
        ({"recipient_address": WALLET}, "P100"),
        ({"recipient_address": USDT_ADDRESS}, "P100"),
        ({"amount": "0"}, "P101"),
        ({"amount": "-1"}, "P003"),
        ({"amount": "1.0000001"}, "P003"),
        ({"amount": "NaN"}, "P003"),
        ({"amount": 0.1}, "P003"),
        ({"amount": "10000.01"}, "P102"),
        ({"currency": "BTC"}, "P106"),
        ({"reason": "because"}, "P108"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "P503"),
        ({"nonsense": 1}, "P003"),
    ],
)
def test_bad_orders_are_refused(service: Service, fields: dict[str, Any], code: str) -> None:
    with service.api() as api:
        answer = api.post("/payouts", json=order(**fields))
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == code, problem
    assert problem["status"] == answer.status_code
    assert 400 <= answer.status_code < 500
    assert problem["request_id"] == answer.headers["X-Request-ID"]


def test_a_body_of_a_megabyte_is_refused(service: Service) -> None:
    with service.api() as api:
        answer = api.post("/payouts", json=order(description="x" * 1_000_000))
        assert (answer.status_code, answer.json()["code"]) == (413, "P008")
        huge = f'{{"amount": 1e400, "x": {json.dumps("y")}}}'
        answer = api.post("/payouts", content=huge, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "P003")


UNSIGNED = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + token().split(".")[1] + "."


@pytest.mark.parametrize(
    "bearer",
    [
        "nonsense",
        UNSIGNED,
        token()[:-4] + "AAAA",
        token(exp=1),
        token(role=None),
        token(role="KING"),
        token(sub=None),
    ],
)
def test_bad_tokens_open_nothing(service: Service, bearer: str) -> None:
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {bearer}"}) as api:
        paths = ("/payouts", "/admin/status")
        answers = [api.post("/payouts", json=order()), *(api.get(path) for path in paths)]
    answers.append(httpx.get(f"{service.url}/payouts"))
    assert {(one.status_code, one.json()["code"]) for one in answers} == {(401, "P001")}


# ---- the service itself ----


def test_health_status_and_index(service: Service) -> None:
    report = service.health()
    assert report.status_code == 200
    body = report.json()
    assert (body["service"], body["status"]) == ("tron-payout-router", "healthy")
    names = [part["name"] for part in body["components"]]
    assert names == ["mongodb", "redis", "tron", "loops", "dispatch", "intake"]
    for path in ("/", "/docs", "/openapi.json", "/health/live", "/health/ready"):
        assert httpx.get(f"{service.url}{path}").status_code == 200
    with service.api() as api:
        assert api.get("/admin/status").status_code == 403
    with service.api("ADMIN") as api:
        status = api.get("/admin/status").json()
    assert (status["wallets"], status["dispatch_closed_by"]) == ([WALLET], [])
    assert (status["pauses"], status["gates"], status["open_unexplained"]) == ([], [], 0)
    names = ("dispatcher", "settler", "reviewer", "housekeeper")
    loops = {loop["name"]: loop for loop in status["loops"]}
    assert loops.keys() >= set(names)
    assert {loop["problem"] for loop in loops.values()} == {""}
    assert all(loops[name]["succeeded_seconds_ago"] < 60 for name in names)


def test_metrics_are_those_that_are_declared(service: Service) -> None:
    with service.api() as api:
        completed(api, [create(api, order())])
    answer = httpx.get(f"{service.url}/metrics")
    assert answer.status_code == 200
    found = {family.name: family for family in text_string_to_metric_families(answer.text)}
    file = DEFAULT_CONFIG_DIR / "prometheus-metrics.yaml"
    declared = yaml.safe_load(file.read_text(encoding="utf-8"))["families"]
    # The parser calls a counter by its name without _total.
    assert found.keys() == {one["name"].removesuffix("_total") for one in declared}
    assert {one["name"] for one in declared if not found_samples(found, one["name"])} <= {
        "payout_retries_total",
        "tron_node_errors_total",
        "payout_breaker_state",
        "payout_dispatch_closed",
        "payout_rate_limited_total",
        "payout_overload_total",
    }
    (broadcasts,) = {
        sample.value > 0
        for sample in found["tron_broadcasts"].samples
        if sample.labels.get("code") == "SUCCESS" and sample.name.endswith("_total")
    }
    assert broadcasts


def found_samples(families: dict[str, Any], name: str) -> bool:
    return bool(families[name.removesuffix("_total")].samples)


def test_the_chain_shows_what_the_api_says_and_nothing_else(world: World, service: Service) -> None:
    with service.api() as api:
        paid = everything(api, status="completed")
        until(lambda: not everything(api, status="processing"))
        paid = everything(api, status="completed")
    assert paid
    assert sorted(world.transfers()) == asked(paid)
