"""Several payouts in one request: each is paid once, however often it is sent and whoever dies."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.kit import (
    Service,
    World,
    asked,
    at_once,
    completed,
    everything,
    keyed,
    order,
    until,
)

Orders = Sequence[Mapping[str, Any]]


def send(api: httpx.Client, orders: Orders, key: str) -> httpx.Response:
    """A batch of these orders."""
    return api.post("/batches", json={"payouts": orders}, headers=keyed(key))


def decide(service: Service, path: str, act: str, role: str, subject: str) -> httpx.Response:
    """A person's decision about a batch."""
    with service.api(role, subject) as person:
        return person.post(f"{path}/{act}", json={"comment": f"{act} by {subject}"})


def payouts_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """The payouts that an answer shows."""
    found: list[dict[str, Any]] = [item["payout"] for item in answer.json()["items"]]
    return found


def codes(answer: httpx.Response) -> list[str | None]:
    """What refused each payout of an answer."""
    return [item["problem"] and item["problem"]["code"] for item in answer.json()["items"]]


def check_paid_once(world: World, service: Service, orders: Orders, batch_id: str) -> None:
    """The batch's payouts are these, completed, and the chain shows each once."""
    with service.api() as api:
        done = completed(api, everything(api, batch_id=batch_id))
        (total,) = api.get(f"/batches/{batch_id}").json()["totals"]
    assert (total["status"], total["count"]) == ("completed", len(orders))
    assert asked(done) == asked([{**one, "amount": "1.00"} for one in orders])
    recipients = {one["recipient_address"] for one in orders}
    paid = Counter(to for to, _, _ in world.transfers() if to in recipients)
    assert paid == dict.fromkeys(recipients, 1)


def test_twenty_five_await_one_approval_and_are_paid(world: World, service: Service) -> None:
    orders = [order(reference=str(number)) for number in range(25)]
    with service.api() as api:
        answer = send(api, orders, "approved")
        assert answer.status_code == 201, answer.text
        path = answer.headers["Location"]
        assert {one["status"] for one in payouts_of(answer)} == {"awaiting_approval"}
        assert [one["reference"] for one in payouts_of(answer)] == [str(n) for n in range(25)]
        reason = payouts_of(answer)[0]["findings"][-1]
        assert reason["rule"] == "batch"
        assert reason["text"].startswith("25 payouts in one request, 20 or more: 1 approval")
        assert api.get(path).json() == answer.json()
    assert set(codes(decide(service, path, "approve", "ADMIN", "platform"))) == {"P002"}
    assert decide(service, path, "approve", "USER", "bob").status_code == 403
    for _ in range(2):
        approved = decide(service, path, "approve", "APPROVER", "bea")
        assert approved.status_code == 200, approved.text
        assert not {one["status"] for one in payouts_of(approved)} & {"awaiting_approval"}
    check_paid_once(world, service, orders, path.rpartition("/")[2])
    assert decide(service, path, "reject", "APPROVER", "bea").status_code == 200


def test_a_rejected_batch_is_not_paid(world: World, service: Service) -> None:
    orders = [order() for _ in range(20)]
    with service.api() as api:
        path = send(api, orders, "rejected").headers["Location"]
        rejected = decide(service, path, "reject", "APPROVER", "bea")
        assert {one["status"] for one in payouts_of(rejected)} == {"rejected"}
        completed(api, payouts_of(send(api, [order()], "after")))
    assert not {to for to, _, _ in world.transfers()} & {one["recipient_address"] for one in orders}


def test_what_was_refused_is_taken_when_it_is_sent_again(world: World, service: Service) -> None:
    orders = [order(), order(currency="TRX"), order(amount="10000.01"), order()]
    pause = {"what": "intake", "currency": "TRX", "reason": "a test"}
    with service.api("ADMIN", "ada") as admin, service.api() as api:
        assert admin.post("/admin/pause", json=pause).status_code == 200
        first = send(api, orders, "partly")
        assert (first.status_code, codes(first)) == (207, [None, "P017", "P102", None])
        assert first.json()["status_reason"]["code"] == "P303"
        assert [total["count"] for total in first.json()["totals"]] == [2]
        assert send(api, orders[:3], "partly").status_code == 422
        assert admin.post("/admin/resume", json=pause).status_code == 200
        second = send(api, orders, "partly")
        assert (second.status_code, codes(second)) == (207, [None, None, "P102", None])
        ids = [one and one["payout_id"] for one in payouts_of(second)]
        assert [ids[0], ids[3]] == [payouts_of(first)[n]["payout_id"] for n in (0, 3)]
        assert len(everything(api, batch_id=second.json()["batch_id"])) == 3
        completed(api, [one for one in payouts_of(second) if one])
    for number, times in enumerate((1, 1, 0, 1)):
        assert world.paid(orders[number]["recipient_address"]) == times


def test_the_same_key_with_another_body_is_refused(world: World, service: Service) -> None:
    orders = [order(), order()]
    with service.api() as api:
        first = send(api, orders, "bodies")
        again = send(api, orders, "bodies")
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
        ids = [[one["payout_id"] for one in payouts_of(answer)] for answer in (first, again)]
        assert ids[0] == ids[1]
        for other in (orders[:1], orders[::-1], [*orders, order()]):
            refused = send(api, other, "bodies")
            assert (refused.status_code, refused.json()["code"]) == (422, "P005")
        assert len(everything(api, batch_id=first.json()["batch_id"])) == 2


@pytest.fixture
def two_services(tmp_path: Path, mongodb_url: str) -> Any:
    """A world of its own with two replicas that run."""
    with World(tmp_path, mongodb_url) as world:
        services = [world.service("first"), world.service("second")]
        for service in services:
            service.start()
        yield world, *services


def test_the_same_batch_at_once_on_two_replicas(two_services: Any) -> None:
    world, *services = two_services
    orders = [order() for _ in range(19)]

    def send_to(number: int) -> httpx.Response:
        with services[number % 2].api() as api:
            return send(api, orders, "twice")

    answers = at_once(send_to, range(6))
    assert {answer.status_code for answer in answers} <= {200, 201}
    ids = {tuple(one["payout_id"] for one in payouts_of(answer)) for answer in answers}
    assert len(ids) == 1
    check_paid_once(world, services[0], orders, answers[0].json()["batch_id"])


def test_kill_9_in_the_middle_of_a_batch_and_of_its_approval(two_services: Any) -> None:
    world, service, other = two_services
    orders = [order() for _ in range(100)]

    def counts() -> Counter[str]:
        with other.api() as api:
            totals = api.get("/payouts/stats").json()["items"]
        return Counter({total["status"]: total["count"] for total in totals})

    def killed(act: Any, ready: Any) -> None:
        with ThreadPoolExecutor(1) as client:
            lost = client.submit(act)
            until(ready, counts)
            assert service.kill() == -9
            with pytest.raises(httpx.TransportError):
                lost.result()

    def create() -> httpx.Response:
        with service.api() as api:
            return send(api, orders, "killed")

    killed(create, lambda: counts()["awaiting_approval"] > 10)
    before = counts()["awaiting_approval"]
    assert 10 < before < 100
    service.start()

    def taken() -> httpx.Response | None:
        answer = create()
        return answer if answer.is_success and not any(codes(answer)) else None

    again = until(taken)
    assert counts() == {"awaiting_approval": 100}

    path = f"/batches/{again.json()['batch_id']}"
    killed(
        lambda: decide(service, path, "approve", "APPROVER", "bea"),
        lambda: counts()["awaiting_approval"] < 90,
    )
    assert 0 < counts()["awaiting_approval"] < 90
    service.start()
    assert decide(service, path, "approve", "APPROVER", "bea").status_code == 200
    assert counts()["awaiting_approval"] == 0
    check_paid_once(world, service, orders, again.json()["batch_id"])
