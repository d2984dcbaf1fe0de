"""Real processes asked for more than they may give: nobody honest notices, nothing is lost."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from bench.overload import GREEDY, PAYOUTS, Comparison, compare
from devnet.process import HOST
from tests.e2e.kit import QUICK, Service, World, at_once, create, order, until

ATTACKERS = 30
HONEST = 3
ROUNDS = 1
CONNECTIONS = 64
USER_CREATES = 10
"""At once, and in an hour (config/payout-security-policies.yaml)."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, mongodb_url: str) -> Iterator[World]:
    """A world whose services take few connections."""
    name = "payout-router-config.yaml"
    changes = {**QUICK, name: {**QUICK[name], "api.max_connections": CONNECTIONS}}
    with World(tmp_path_factory.mktemp("world"), mongodb_url, changes) as world:
        yield world


@pytest.fixture(scope="module")
def second(world: World, service: Service) -> Service:
    """Another replica of the service, which no proxy stands before."""
    second = world.service("second", FORWARDED_ALLOW_IPS="192.0.2.1")
    second.start()
    until(second.is_healthy, lambda: second.health().text)
    return second


@pytest.fixture(scope="module")
def found(service: Service) -> Comparison:
    """What came of honest clients, alone and under attack."""
    return asyncio.run(compare(service, ATTACKERS, HONEST, ROUNDS))


def test_honest_clients_get_all_that_they_ask_for(found: Comparison) -> None:
    assert found.alone.failures == []
    assert found.attacked.failures == []
    assert len(found.attacked.accepted) == HONEST * ROUNDS * PAYOUTS


def test_nothing_that_was_accepted_is_lost(found: Comparison) -> None:
    assert found.attack.accepted
    assert found.lost == []


def test_the_others_get_what_they_may_and_are_told_to_wait(found: Comparison) -> None:
    assert found.attack.broken == 0
    assert set(found.attack.statuses) == {200, 201, 401, 429}
    assert set(found.attack.codes) == {"P001", "P004"}
    assert len(found.attack.accepted) == USER_CREATES


def test_replicas_share_one_rate(service: Service, second: Service) -> None:
    statuses = []
    for number in range(USER_CREATES + 4):
        with (service, second)[number % 2].api("USER", "shared") as api:
            answer = api.post("/payouts", json=order(amount="0.01"))
            statuses.append(answer.status_code)
    assert statuses == [201] * USER_CREATES + [429] * 4
    assert answer.headers["RateLimit-Policy"] == f'"create";q={USER_CREATES};w=3600'
    assert 0 < int(answer.headers["Retry-After"]) <= 360


def test_without_redis_the_rates_go_on(world: World, service: Service, found: Comparison) -> None:
    world.valkey.stop()
    try:
        with service.api("USER", GREEDY) as api:
            assert api.post("/payouts", json=order(amount="0.01")).status_code == 429
        with service.api("USER", "new") as api:
            for _ in range(USER_CREATES):
                create(api, order(amount="0.01"))
            assert api.post("/payouts", json=order(amount="0.01")).status_code == 429
    finally:
        world.start_valkey()


def stranger(service: Service) -> Callable[[str], int]:
    """Asks with a token that does not count, and calls itself by an address; the status."""

    def status(address: str) -> int:
        headers = {"Authorization": "Bearer nonsense", "X-Forwarded-For": address}
        return httpx.get(f"{service.url}/payouts", headers=headers, timeout=30).status_code

    return status


def test_behind_a_proxy_each_address_has_its_own_rate(service: Service) -> None:
    assert set(at_once(stranger(service), ["203.0.113.9"] * 40)) == {401, 429}
    assert stranger(service)("203.0.113.10") == 401
    assert stranger(service)("2001:db8::1") == 401


def test_nobody_but_a_proxy_says_where_a_request_comes_from(second: Service) -> None:
    addresses = [f"198.51.100.{number}" for number in range(40)]
    assert 429 in at_once(stranger(second), addresses)


@pytest.fixture
def line(service: Service) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, service.port), timeout=30) as line:
        yield line


def test_a_head_without_end_is_refused(line: socket.socket) -> None:
    line.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000)
    answer = line.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code": "P016"' in answer


def test_connections_beyond_the_bound_are_refused_and_the_others_work(service: Service) -> None:
    with service.api() as api, ExitStack() as lines:
        create(api, order(amount="0.01"))
        for _ in range(CONNECTIONS):
            line = socket.create_connection((HOST, service.port), timeout=30)
            lines.enter_context(line)
        answer = line.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code": "P014"' in answer
        create(api, order(amount="0.01"))
    until(lambda: service.health().status_code == 200)
