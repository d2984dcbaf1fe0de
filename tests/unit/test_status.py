"""What the composition root tells of a running service: its status, and its health."""

import time
from collections.abc import Sequence

import pytest

from config import Settings, load_settings
from models.money import Currency
from models.pause import Activity, Pause
from payout_router_main import Container, health_checks
from tests.harness import SERVICE, SOLID_LAG, House, open_house
from tests.unit.services.faulty_store import FaultyStore
from utils.health_check import ComponentHealth, HealthRegistry, HealthStatus
from utils.metrics import Metrics
from workers.loop import Loop, every

ALL = Pause(Activity.DISPATCH)
INTAKE = Pause(Activity.INTAKE, Currency.TRX)


def shipped() -> Settings:
    secret = "a secret that is long enough for a test"
    return load_settings(
        {
            "MONGODB_URL": "mongodb://127.0.0.1:1/",
            "REDIS_URL": "redis://127.0.0.1:1",
            "JWT_SECRET_KEY": secret,
            "WALLET_ENCRYPTION_KEY": secret,
            "LUCID_ENV": "development",
            "TRON_NETWORK": "devnet",
            "TRON_RPC_URL": "http://127.0.0.1:1",
        }
    )


def container_of(house: House, *loops: Loop) -> Container:
    """The container of a replica without databases."""
    settings = shipped()
    return Container(
        settings=settings,
        metrics=Metrics(settings.metrics.families),
        health=HealthRegistry([]),
        router=house.services.router,
        services=house.services,
        chain=house.chain,
        store=house.store,
        wallets=[signer.address for signer in house.ports.signers],
        throttle=None,  # type: ignore[arg-type]  # no request comes
        loops=loops,
        started_at=time.monotonic(),
    )


def a_loop(name: str, problem: str = "") -> Loop:
    async def turn() -> bool:
        return False

    loop = Loop(name, turn, every(1))
    loop.problem = problem
    return loop


async def components(house: House, *loops: Loop) -> dict[str, ComponentHealth]:
    checks = health_checks((), house.chain, house.services, loops, house.figures)
    report = await HealthRegistry(checks).report()
    assert report.status is not HealthStatus.UNHEALTHY
    return {part.name: part for part in report.components}


async def told(house: House, name: str) -> tuple[HealthStatus, str]:
    part = (await components(house))[name]
    assert not part.critical
    return part.status, part.detail


async def test_before_anything_was_read() -> None:
    status = await container_of(await open_house()).status()
    assert (status.cursor, status.newest_block_seen) == (None, 0)
    assert (status.leases, status.oldest_pending_seconds, status.loops) == ([], None, [])


async def test_status_shows_the_chain_the_backlog_and_who_holds_it() -> None:
    house = await open_house()
    await house.start()
    await house.dispatch()
    await house.create()
    house.clock.tick(48.5)
    await house.create()
    lease = (await house.store.claim(1, "replica-2", "token", 60)).payouts[0].lease
    status = await container_of(house).status()
    cursor = await house.store.cursor()
    assert status.cursor is not None
    assert (status.cursor.block, status.cursor.lag_blocks) == (cursor.block.number, 0)
    assert status.cursor.block_time.timestamp() * 1000 == cursor.block.time_ms
    assert status.oldest_pending_seconds == 48.5
    assert [(each.owner, each.payouts, each.until) for each in status.leases] == [
        ("replica-2", 1, lease.until)
    ]
    assert (status.wallets, status.network) == ([house.wallet], "devnet")
    assert status.dispatch_closed_by == []
    assert status.audit.head_number == 0
    assert status.audit.waiting == 2
    house.mine(1)
    await house.chain.head()
    status = await container_of(house).status()
    assert status.cursor is not None
    assert status.cursor.lag_blocks == SOLID_LAG + 1
    assert status.newest_block_seen == cursor.block.number + SOLID_LAG + 1


async def test_status_tells_pauses_from_other_gates() -> None:
    house = await open_house()
    await house.start()
    control = house.services.control
    await control.pause(SERVICE, ALL, "balances do not add up")
    await house.store.close_gate("frozen", "a dead attempt was included")
    await house.dispatch()
    status = await container_of(house).status()
    (pause,), (gate,) = status.pauses, status.gates
    assert (pause.what, pause.currency, pause.wallet) == ("dispatch", None, None)
    assert (pause.reason, pause.since, pause.by) == (
        "balances do not add up",
        house.clock.at,
        SERVICE.name,
    )
    assert (gate.name, gate.reason, gate.closed_by) == (
        "frozen",
        "a dead attempt was included",
        None,
    )
    assert [(one.name, one.reason) for one in status.dispatch_closed_by] == [
        ("frozen", "a dead attempt was included"),
        ("pause:dispatch", "dispatch is paused: balances do not add up"),
    ]


async def test_status_tells_how_the_loops_went() -> None:
    loop = a_loop("settler", "StoreError: mongodb://payer:hunter2@db.test did not answer")
    status = await container_of(await open_house(), loop).status()
    (seen,) = status.loops
    assert (seen.name, seen.turns) == ("settler", 0)
    assert (seen.succeeded_seconds_ago, seen.failed_seconds_ago) == (None, None)
    assert "StoreError" in seen.problem
    assert "hunter2" not in seen.problem


async def test_a_pause_degrades_health_at_once_and_never_more() -> None:
    house = await open_house()
    await house.start()
    await house.dispatch()
    open_ = (HealthStatus.HEALTHY, "open")
    assert await told(house, "dispatch") == await told(house, "intake") == open_
    # No loop has looked meanwhile.
    await house.services.control.pause(SERVICE, ALL, "stop")
    paused = (HealthStatus.DEGRADED, "dispatch is paused: stop")
    assert await told(house, "dispatch") == paused
    assert await told(house, "intake") == open_
    await house.dispatch()
    assert await told(house, "dispatch") == paused
    await house.services.control.pause(SERVICE, INTAKE, "upgrade")
    assert await told(house, "intake") == (
        HealthStatus.DEGRADED,
        "intake of TRX is paused: upgrade",
    )
    await house.services.control.resume(SERVICE, ALL, "go on")
    assert await told(house, "dispatch") == open_


async def test_health_tells_every_reason_for_which_dispatch_is_closed() -> None:
    house = await open_house()
    await house.start()
    await house.services.control.pause(SERVICE, Pause(Activity.DISPATCH, Currency.TRX), "stop")
    await house.store.close_gate("frozen", "a dead attempt was included")
    await house.dispatch()
    status, detail = await told(house, "dispatch")
    assert status is HealthStatus.DEGRADED
    assert detail == "dispatch of TRX is paused: stop; a dead attempt was included"


async def test_a_store_that_does_not_answer_leaves_open_what_is_paused() -> None:
    house = await open_house()
    house.services.control._store = FaultyStore(house.store)  # type: ignore[assignment]
    house.services.control._store.fail("gates", "before", 2)  # type: ignore[attr-defined]
    parts = await components(house)
    for name in ("dispatch", "intake"):
        assert parts[name].status is HealthStatus.UNHEALTHY


@pytest.mark.parametrize("problems", [["", ""], ["", "ValueError: broken"]])
async def test_a_loop_in_trouble_degrades_health(problems: Sequence[str]) -> None:
    house = await open_house()
    loops = [a_loop(f"loop-{number}", problem) for number, problem in enumerate(problems)]
    part = (await components(house, *loops))["loops"]
    expected = HealthStatus.UNHEALTHY if any(problems) else HealthStatus.HEALTHY
    assert (part.status, part.critical) == (expected, False)
