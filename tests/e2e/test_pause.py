"""Everything is stopped, on every replica and through every restart, until somebody resumes it."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.kit import (
    Service,
    World,
    asked,
    at_once,
    completed,
    create,
    everything,
    keyed,
    order,
    until,
)

HOLDS_SECONDS = 2.0
"""What is promised of a pause: by then it holds everywhere."""


@pytest.fixture
def own_world(tmp_path: Path, mongodb_url: str) -> Iterator[World]:
    """A world of which everything may be stopped."""
    with World(tmp_path, mongodb_url) as world:
        yield world


def healthy(world: World, name: str) -> Service:
    service = world.service(name)
    service.start()
    until(service.is_healthy, lambda: service.health().text)
    return service


def asking(service: Service, act: str, what: str, **more: str) -> httpx.Response:
    """An operator's word to one replica."""
    with service.api("ADMIN", "ada") as api:
        body = {"what": what, "reason": f"{act} of the test", **more}
        return api.post(f"/admin/{act}", json=body)


def told(service: Service, act: str, what: str, **more: str) -> list[dict[str, Any]]:
    """That word, and what is paused then."""
    answer = asking(service, act, what, **more)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def refusal(service: Service, **fields: str) -> dict[str, Any]:
    """The problem that a create meets."""
    with service.api() as api:
        answer = api.post("/payouts", json=order(**fields))
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    problem: dict[str, Any] = answer.json()
    return problem


def until_component(service: Service, name: str, wanted: tuple[str, str]) -> None:
    """Just after a start its loops have not looked yet, and it says so."""
    until(lambda: component(service, name) == wanted, lambda: component(service, name))


def component(service: Service, name: str) -> tuple[str, str]:
    parts = {part["name"]: part for part in service.health().json()["components"]}
    return parts[name]["status"], parts[name]["detail"]


def paused_in_metrics(service: Service) -> set[tuple[str, str]]:
    families = text_string_to_metric_families(httpx.get(f"{service.url}/metrics").text)
    return {
        (sample.labels["what"], sample.labels["target"])
        for family in families
        for sample in family.samples
        if sample.name == "payout_paused" and sample.value
    }


def test_a_pause_holds_on_every_replica_and_through_restarts(own_world: World) -> None:
    world = own_world
    replicas = first, second = healthy(world, "first"), healthy(world, "second")
    with first.api() as api:
        before = at_once(lambda body: create(api, body), [order() for _ in range(30)], 8)
        known = create(api, body := order(), "known")
        told(second, "pause", "intake")
        told(second, "pause", "dispatch")
        since = time.monotonic()
        # What is under way settles; nothing else is made.
        held = until(lambda: time.monotonic() > since + HOLDS_SECONDS and everything(api))
        made = {one["payout_id"]: one["txid"] for one in held if one["txid"]}
        until(lambda: not everything(api, status="processing"))
        after = everything(api)
        assert {one["payout_id"]: one["txid"] for one in after if one["txid"]} == made
        assert Counter(one["status"] for one in after) == {
            status: count
            for status, count in {
                "completed": len(made),
                "pending": len(before) + 1 - len(made),
            }.items()
            if count
        }
        assert sorted(world.transfers()) == asked([one for one in after if one["txid"]])

        for _ in range(2):
            for service in replicas:
                problem = refusal(service)
                assert (problem["code"], problem["retryable"]) == ("P017", True)
                assert problem["extra"]["reason"] == "pause of the test"
                assert problem["extra"]["paused"] == "all"
                reason = "dispatch is paused: pause of the test"
                until_component(service, "dispatch", ("degraded", reason))
                assert component(service, "intake")[0] == "degraded"
                assert service.health().status_code == 200
                assert paused_in_metrics(service) == {("dispatch", "all"), ("intake", "all")}
                with service.api() as there:
                    replay = there.post("/payouts", json=body, headers=keyed("known"))
                assert (replay.status_code, replay.json()["payout_id"]) == (200, known["payout_id"])
            for service in replicas:
                assert service.stop() == 0
                service.start()
            # Long enough for a dispatch that had forgotten it.
            until(lambda: "catching_up" not in closed_by(first) | closed_by(second))
        assert sorted(world.transfers()) == asked([one for one in after if one["txid"]])

        (left,) = told(first, "resume", "intake")
        assert (left["what"], left["by"]) == ("dispatch", "ADMIN:ada")
        taken = [create(api, order()), known]
        assert told(first, "resume", "dispatch") == []
        assert asking(first, "resume", "dispatch").status_code == 404
        done = completed(api, [*before, *taken])
        until(lambda: first.is_healthy() and second.is_healthy())
        assert len(everything(api)) == len(done) == 32
    assert sorted(world.transfers()) == asked(done)
    assert max(Counter(one["recipient_address"] for one in done).values()) == 1


def closed_by(service: Service) -> set[str]:
    with service.api("ADMIN") as api:
        found = api.get("/admin/status").json()
    return {one["name"] for one in found["dispatch_closed_by"]}


def test_a_currency_or_a_wallet_is_paused_alone(world: World, service: Service) -> None:
    told(service, "pause", "intake", currency="TRX")
    told(service, "pause", "dispatch", currency="USDT")
    problem = refusal(service, currency="TRX")
    assert (problem["code"], problem["extra"]["paused"]) == ("P017", "TRX")
    told(service, "resume", "intake", currency="TRX")
    with service.api() as api:
        waits, paid = create(api, order()), create(api, order(currency="TRX"))
        completed(api, [paid])
        assert world.paid(waits["recipient_address"]) == 0
        wallet = {"wallet": service_wallet(service)}
        told(service, "pause", "dispatch", **wallet)
        left = told(service, "resume", "dispatch", currency="USDT")
        assert [one["wallet"] for one in left] == list(wallet.values())
        also = create(api, order(currency="TRX"))
        until(lambda: closed_by(service) == {"pause:dispatch:wallet"})
        assert {one["status"] for one in everything(api, status="pending")} == {"pending"}
        with service.api("ADMIN") as operator:
            gate = f"/gates/pause:dispatch:{wallet['wallet']}/open"
            opened = operator.post(gate, json={"reason": "the wrong way"})
            assert (opened.status_code, opened.json()["code"]) == (409, "P500")
        told(service, "resume", "dispatch", **wallet)
        completed(api, [waits, also])
    for payout in (waits, paid, also):
        assert world.paid(payout["recipient_address"]) == 1


def service_wallet(service: Service) -> str:
    with service.api("ADMIN") as api:
        return str(api.get("/admin/status").json()["wallets"][0])


def test_who_paused_and_why_is_kept(service: Service) -> None:
    told(service, "pause", "dispatch")
    with service.api("ADMIN") as api:
        (pause,) = api.get("/admin/status").json()["pauses"]
        (gate,) = api.get("/gates").json()["items"]
    assert (pause["what"], pause["by"], pause["reason"]) == (
        "dispatch",
        "ADMIN:ada",
        "pause of the test",
    )
    assert (gate["name"], gate["closed_by"], gate["closed_at"]) == (
        "pause:dispatch",
        "ADMIN:ada",
        pause["since"],
    )
    told(service, "resume", "dispatch")
