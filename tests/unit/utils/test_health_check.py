import asyncio

import pytest

from tests.unit.utils.virtual_clock import VirtualClock
from utils.health_check import CheckResult, HealthCheck, HealthRegistry, HealthStatus

HEALTHY, DEGRADED, UNHEALTHY = HealthStatus


def check(name: str, status: HealthStatus, *, critical: bool = True) -> HealthCheck:
    async def run() -> CheckResult:
        return CheckResult(status, f"{name} is {status}")

    return HealthCheck(name, run, critical)


@pytest.mark.parametrize(
    ("checks", "overall"),
    [
        ([], HEALTHY),
        ([check("a", HEALTHY), check("b", HEALTHY, critical=False)], HEALTHY),
        ([check("a", HEALTHY), check("b", UNHEALTHY, critical=False)], DEGRADED),
        ([check("a", DEGRADED)], DEGRADED),
        ([check("a", UNHEALTHY), check("b", HEALTHY)], UNHEALTHY),
    ],
)
async def test_the_whole_is_as_bad_as_its_critical_parts(checks, overall):
    report = await HealthRegistry(checks).report()
    assert report.status is overall
    assert [component.name for component in report.components] == [c.name for c in checks]
    assert all(f"is {part.status}" in part.detail for part in report.components)


async def test_an_exception_and_a_time_out_are_results_and_harm_nobody_else():
    async def explode() -> CheckResult:
        raise ConnectionError("refused")

    async def hang() -> CheckResult:
        await asyncio.Event().wait()
        raise AssertionError

    report = await HealthRegistry(
        [
            HealthCheck("explodes", explode, critical=False),
            HealthCheck("hangs", hang, critical=False, timeout_seconds=0.01),
            check("works", HEALTHY),
        ]
    ).report()
    assert report.status is DEGRADED
    details = {part.name: (part.status, part.detail) for part in report.components}
    assert details == {
        "explodes": (UNHEALTHY, "refused"),
        "hangs": (UNHEALTHY, "no answer within 0.01 s"),
        "works": (HEALTHY, "works is healthy"),
    }


async def test_checks_run_at_the_same_time():
    barrier = asyncio.Barrier(3)

    async def run() -> CheckResult:
        await barrier.wait()
        return CheckResult(HEALTHY)

    checks = [HealthCheck(str(number), run, critical=True) for number in range(3)]
    assert (await HealthRegistry(checks).report()).status is HEALTHY


async def test_a_report_is_kept_for_a_while_and_shared_by_callers_at_the_same_time():
    clock, runs = VirtualClock(), 0

    async def run() -> CheckResult:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        return CheckResult(HEALTHY)

    registry = HealthRegistry(
        [HealthCheck("a", run, critical=True)], cache_seconds=2, monotonic=clock.monotonic
    )
    await asyncio.gather(*(registry.report() for _ in range(10)))
    clock.now += 2
    await registry.report()
    assert runs == 1
    clock.now += 0.1
    await registry.report()
    assert runs == 2


def test_refuses_two_checks_of_one_name():
    with pytest.raises(ValueError, match="same name"):
        HealthRegistry([check("a", HEALTHY), check("a", HEALTHY)])
