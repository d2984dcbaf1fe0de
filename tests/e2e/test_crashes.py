"""Processes that die, end, or share the work: each payout is paid once all the same."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.money import format_amount
from tests.e2e.kit import (
    QUICK,
    Service,
    World,
    asked,
    at_once,
    completed,
    create,
    everything,
    order,
    until,
)

SLOW_PAYING = {
    **QUICK,
    "payout-router-config.yaml": {
        **QUICK["payout-router-config.yaml"],
        # So that a kill finds payouts in every stage.
        "dispatch.concurrency": 2,
        "tron.requests_per_second": 60,
        "tron.burst": 10,
    },
}


@pytest.fixture
def slow_world(tmp_path: Path, mongodb_url: str) -> Iterator[World]:
    """A world whose services pay slowly enough to be caught in the middle of it."""
    with World(tmp_path, mongodb_url, SLOW_PAYING) as world:
        yield world


def check_once(world: World, payouts: list[dict[str, Any]]) -> None:
    """Recipient, amount and currency agree between API and chain, and nobody was paid twice."""
    assert sorted(world.transfers()) == asked(payouts)
    assert max(Counter(one["recipient_address"] for one in payouts).values()) == 1


def create_through_anything(service: Service, body: dict[str, Any], key: str) -> dict[str, Any]:
    """Ask until a 2xx comes back, as a client does whose answers get lost."""

    def answer() -> dict[str, Any]:
        try:
            with service.api() as api:
                return create(api, body, key)
        except httpx.TransportError:
            return {}

    return until(answer)


def test_kill_9_in_the_middle_of_200_payouts(slow_world: World) -> None:
    world, service = slow_world, slow_world.service()
    bodies = [order(amount=format_amount(1_000_000 + number)) for number in range(200)]

    def kill_when(reached: Callable[[], bool]) -> None:
        until(reached, lambda: len(world.transfers()))
        assert service.kill() == -9
        service.start()

    service.start()
    with ThreadPoolExecutor(8) as clients:
        kept: list[Future[dict[str, Any]]] = [
            clients.submit(create_through_anything, service, body, f"key-{number}")
            for number, body in enumerate(bodies)
        ]
        # While they arrive; in the middle of sending, twice; and when the last ones settle.
        kill_when(lambda: sum(one.done() for one in kept) > 20)
        kill_when(lambda: len(world.transfers()) > 30)
        kill_when(lambda: len(world.transfers()) > 110)
        created = [one.result() for one in kept]
    kill_when(lambda: len(world.transfers()) == 200)
    with service.api() as api:
        done = completed(api, created)
        assert len(everything(api)) == len(done) == 200
    assert asked(done) == asked(bodies)
    check_once(world, done)


def test_sigterm_in_the_middle_of_work(slow_world: World) -> None:
    world, service = slow_world, slow_world.service()
    service.start()
    with service.api() as api:
        created = at_once(lambda body: create(api, body), [order() for _ in range(60)], 8)
        until(lambda: len(world.transfers()) > 5)
        # One that takes longer than TIMEOUT is killed, and its exit code tells.
        assert service.stop() == 0
        assert len(world.transfers()) < 60
        service.start()
        done = completed(api, created)
    check_once(world, done)


def test_a_worker_pays_alone_and_beside_a_service(slow_world: World) -> None:
    world, service, worker = slow_world, slow_world.service(), slow_world.worker()
    service.start()
    with service.api() as api:
        first = at_once(lambda body: create(api, body), [order() for _ in range(40)], 8)
        service.kill()
        assert len(world.transfers()) < 40
        worker.start()
        worker.wait_until_it_works()
        until(lambda: len(world.transfers()) == 40)
        service.start()
        second = at_once(lambda body: create(api, body), [order() for _ in range(40)], 8)
        done = completed(api, first + second)
    assert worker.stop() == 0
    check_once(world, done)


def test_two_processes_pay_once_and_keep_one_limit(tmp_path: Path, mongodb_url: str) -> None:
    with World(tmp_path, mongodb_url, DAILY_PAYOUT_LIMIT="1000", MAX_PAYOUT_AMOUNT="10") as world:
        services = [world.service("first"), world.service("second")]
        for service in services:
            service.start()
        with services[0].api() as first, services[1].api() as second:

            def send(number: int) -> httpx.Response:
                api = (first, second)[number % 2]
                return api.post("/payouts", json=order(amount="10"))

            answers = at_once(send, range(130))
            assert Counter(one.status_code for one in answers) == {201: 100, 429: 30}
            assert {one.json()["code"] for one in answers if one.status_code == 429} == {"P103"}
            created = [one.json() for one in answers if one.status_code == 201]
            done = completed(first, created)
            assert [one["status"] for one in everything(second)] == ["completed"] * 100
        check_once(world, done)


def test_several_serving_processes_behind_one_port(slow_world: World) -> None:
    service = slow_world.service(WORKERS="2")
    service.start()
    with service.api() as api:
        created = at_once(lambda body: create(api, body), [order() for _ in range(20)], 8)
        done = completed(api, created)
    assert service.stop() == 0
    check_once(slow_world, done)
