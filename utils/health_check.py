"""Named health checks, run together, each with its time-out, and the overall verdict."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class HealthStatus(StrEnum):
    """Degraded works, with less than it should have."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found; `detail` is for people."""

    status: HealthStatus
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One check. Raising, or taking longer than `timeout_seconds`, means unhealthy."""

    name: str
    run: Callable[[], Awaitable[CheckResult]]
    critical: bool
    timeout_seconds: float = 3


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """The last result of one check, and how long it took."""

    name: str
    status: HealthStatus
    detail: str
    latency_seconds: float
    critical: bool


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All components, and the worst that they mean for the whole."""

    status: HealthStatus
    components: tuple[ComponentHealth, ...]


class HealthRegistry:
    """Runs the checks concurrently and keeps the report for `cache_seconds`.

    Callers that ask at the same time share one run. The whole is unhealthy when a critical
    component is, degraded when anything else is not healthy.
    """

    def __init__(
        self,
        checks: Iterable[HealthCheck],
        *,
        cache_seconds: float = 1,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = tuple(checks)
        names = [check.name for check in self._checks]
        if len(set(names)) != len(names):
            raise ValueError(f"two health checks have the same name: {sorted(names)}")
        self._cache_seconds = cache_seconds
        self._monotonic = monotonic
        self._report: HealthReport | None = None
        self._reported_at = 0.0
        self._running = asyncio.Lock()

    async def report(self) -> HealthReport:
        """The state of all components, at most `cache_seconds` old. Never raises for a check."""
        async with self._running:
            age = self._monotonic() - self._reported_at
            if self._report is None or age > self._cache_seconds:
                components = await asyncio.gather(*(self._run(check) for check in self._checks))
                self._report = HealthReport(_overall(components), tuple(components))
                self._reported_at = self._monotonic()
            return self._report

    async def _run(self, check: HealthCheck) -> ComponentHealth:
        started = self._monotonic()
        try:
            async with asyncio.timeout(check.timeout_seconds):
                result = await check.run()
        except TimeoutError:
            detail = f"no answer within {check.timeout_seconds:g} s"
            result = CheckResult(HealthStatus.UNHEALTHY, detail)
        except Exception as error:  # whatever goes wrong in a check is the result of the check
            result = CheckResult(HealthStatus.UNHEALTHY, str(error) or type(error).__name__)
        latency = self._monotonic() - started
        return ComponentHealth(check.name, result.status, result.detail, latency, check.critical)


def _overall(components: Iterable[ComponentHealth]) -> HealthStatus:
    bad = [component for component in components if component.status is not HealthStatus.HEALTHY]
    if any(part.critical and part.status is HealthStatus.UNHEALTHY for part in bad):
        return HealthStatus.UNHEALTHY
    return HealthStatus.DEGRADED if bad else HealthStatus.HEALTHY
