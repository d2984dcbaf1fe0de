"""Everything the service needs goes away, at the start and in the middle, and comes back."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from config import EXIT_CONFIG, EXIT_DEPENDENCY_DOWN, EXIT_PORT_IN_USE
from devnet.embedded import Mongod
from devnet.process import HOST
from tests.e2e.kit import (
    Service,
    World,
    asked,
    at_once,
    completed,
    create,
    devnet_server,
    keyed,
    look_at,
    order,
    run_to_its_end,
    until,
)


class StandaloneMongod(Mongod):
    """A MongoDB that is no replica set."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        place = self.command.index("--replSet")
        del self.command[place : place + 2]

    def _ensure_replica_set(self, *_: object) -> None:
        """There is none."""


@pytest.fixture(scope="module")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """A MongoDB that a test may stop."""
    with Mongod(tmp_path_factory.mktemp("mongod")) as mongod:
        yield mongod


@pytest.fixture
def own_world(tmp_path: Path, mongod: Mongod) -> Iterator[World]:
    """A world in which everything may be stopped."""
    with World(tmp_path, mongod.url) as world:
        yield world


def component(service: Service, name: str) -> str:
    """What /health says of one part."""
    parts = {part["name"]: part for part in service.health().json()["components"]}
    return f"{parts[name]['status']}: {parts[name]['detail']}"


def sound(service: Service, name: str) -> bool:
    """Whether a part is healthy."""
    return component(service, name).startswith("healthy")


def healthy_again(service: Service) -> None:
    until(service.is_healthy, lambda: service.health().text)


# ---- MongoDB ----


def test_a_start_waits_for_mongodb_and_says_when_it_gives_up(
    own_world: World, mongod: Mongod
) -> None:
    worker = own_world.worker()
    mongod.stop()
    try:
        run = run_to_its_end(own_world.environment(MONGODB_WAIT_SECONDS="1"))
        worker.start()
    finally:
        mongod.start()
    assert run.returncode == EXIT_DEPENDENCY_DOWN
    (line,) = run.stderr.splitlines()
    assert line.startswith("MongoDB is not reachable")
    worker.wait_until_it_works()
    assert worker.stop() == 0


def test_a_standalone_mongodb_is_refused(tmp_path: Path, world: World) -> None:
    with StandaloneMongod(tmp_path) as standalone:
        url = f"mongodb://{HOST}:{standalone.port}/payouts"
        run = run_to_its_end(world.environment(MONGODB_URL=url))
    assert run.returncode == EXIT_CONFIG
    (line,) = run.stderr.splitlines()
    assert "not a replica set" in line
    assert "rs.initiate()" in line


def test_mongodb_stops_in_the_middle(own_world: World, mongod: Mongod) -> None:
    world, service = own_world, own_world.service()
    service.start()
    healthy_again(service)
    # What is under way stays under way: nothing becomes solid until MongoDB is gone.
    world.control("POST", "faults", kind="solid_stall")
    with service.api() as api:
        before = at_once(lambda body: create(api, body), [order() for _ in range(20)], 8)
        until(lambda: len(world.transfers()) > 0)
        mongod.kill()
        try:
            body = order()
            refused = api.post("/payouts", json=body, headers=keyed("again"))
            assert refused.status_code == 503
            assert refused.json()["code"] in ("P007", "P700")
            assert refused.json()["retryable"] is True
            assert "Retry-After" in refused.headers
            assert api.get(f"/payouts/{before[0]['payout_id']}").status_code == 503
            until(lambda: service.health().status_code == 503)
            assert not sound(service, "mongodb")
            assert httpx.get(f"{service.url}/health/ready").status_code == 503
            assert httpx.get(f"{service.url}/health/live").status_code == 200
            world.control("DELETE", "faults")
        finally:
            mongod.start()
        healthy_again(service)
        kept = create(api, body, key="again")
        done = completed(api, [*before, kept])
    assert sorted(world.transfers()) == asked(done)


# ---- Redis ----


def test_redis_is_gone_at_the_start_and_in_the_middle(own_world: World) -> None:
    world, service = own_world, own_world.service()
    world.valkey.stop()
    service.start()
    until(lambda: service.health().json()["status"] == "degraded")
    with service.api() as api:
        payouts = [create(api, order())]
        completed(api, payouts)
        assert not sound(service, "redis")
        world.start_valkey()
        healthy_again(service)
        payouts.append(create(api, order()))
        world.valkey.kill()
        payouts.append(create(api, order()))
        until(lambda: not sound(service, "redis"))
        assert service.health().status_code == 200
        done = completed(api, payouts)
        world.start_valkey()
        healthy_again(service)
    assert sorted(world.transfers()) == asked(done)


# ---- TRON ----


def test_no_endpoint_answers_at_the_start_and_in_the_middle(own_world: World) -> None:
    world, service = own_world, own_world.service()
    world.devnet.stop()
    service.start()
    with service.api() as api:
        payouts = [create(api, order(amount="1"))]
        until(lambda: not sound(service, "loops"))
        health = service.health()
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        assert look_at(api, payouts[0])["status"] == "pending"
        world.devnet.start()
        completed(api, payouts)
        healthy_again(service)
        payouts.append(create(api, order(amount="2")))
        world.devnet.kill()
        payouts.append(create(api, order(amount="3")))
        until(lambda: not sound(service, "tron"))
        world.devnet.start()
        done = completed(api, payouts)
        healthy_again(service)
    assert sorted(world.transfers()) == asked(done)


@pytest.mark.parametrize(
    ("kind", "value", "count"),
    [
        ("lost_answer", "reset", 10),
        ("lost_answer", "status", 10),
        ("refuse", "SERVER_BUSY", 30),
        ("misreport", "DUP_TRANSACTION_ERROR", 10),
        ("misreport", "TRANSACTION_EXPIRATION_ERROR", 10),
        ("swallow", None, 10),
    ],
)
def test_broadcasts_that_go_wrong_pay_once(
    world: World, service: Service, kind: str, value: str | None, count: int
) -> None:
    world.control(
        "POST", "faults", kind=kind, value=value, count=count, path="/wallet/broadcasthex"
    )
    bodies = [order() for _ in range(10)]
    with service.api() as api:
        completed(api, [create(api, body) for body in bodies])
    (fault,) = world.control("GET", "faults")["faults"]
    assert fault["fired"] == count
    world.control("DELETE", "faults")
    assert [world.paid(body["recipient_address"]) for body in bodies] == [1] * 10


def test_an_endpoint_of_another_chain_is_not_used(tmp_path: Path, own_world: World) -> None:
    with devnet_server(tmp_path / "other", network="other") as other:
        urls = own_world.environment()["TRON_RPC_URL"]
        service = own_world.service(TRON_RPC_URL=f"{urls},{other.url}")
        service.start()
        with service.api() as api:
            first = create(api, order())
            completed(api, [first])
            # With ours gone, the other one is asked, and found to be a stranger.
            own_world.devnet.stop()
            waiting = create(api, order())
            until(lambda: "another chain" in component(service, "tron"))
            assert look_at(api, waiting)["status"] == "pending"
            own_world.devnet.start()
            completed(api, [waiting])


# ---- the process ----


def test_a_port_in_use_is_one_line(world: World, service: Service) -> None:
    run = run_to_its_end(world.environment(SERVICE_PORT=str(service.port)))
    assert run.returncode == EXIT_PORT_IN_USE
    assert run.stderr.splitlines() == [
        f"cannot listen on {HOST}:{service.port}: address already in use"
    ]


def test_the_health_command_asks_the_service(world: World, service: Service) -> None:
    there = run_to_its_end(world.environment(SERVICE_PORT=str(service.port)), "health")
    assert (there.returncode, there.stdout) == (0, "healthy\n")
    nowhere = run_to_its_end(world.environment(), "health")
    assert (nowhere.returncode, nowhere.stdout.partition(":")[0]) == (1, "unhealthy")
