"""Endpoints over handlers, and a chain over them: no socket, and every call is kept."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from adapters.tron.client import ChainSettings, TronChain
from adapters.tron.endpoint import Endpoint, EndpointSettings
from tests.harness import POLICIES, RecordedFigures
from utils.circuit_breaker import BreakerPolicy, CircuitBreaker
from utils.rate_limiter import RateLimiter
from utils.retry import RetryPolicy

Handler = Callable[[httpx.Request], Any]
NEVER_OPEN = BreakerPolicy(failure_threshold=1_000, recovery_seconds=0)
USDT = POLICIES.usdt_contract


@dataclass
class Stub:
    """An endpoint with what was asked of it."""

    handler: Handler
    name: str = "node"
    settings: dict[str, Any] = field(default_factory=dict)
    breaker: BreakerPolicy = NEVER_OPEN
    limiter: RateLimiter = field(default_factory=lambda: RateLimiter(1e6, 1_000))
    requests: list[httpx.Request] = field(default_factory=list)
    figures: RecordedFigures = field(default_factory=RecordedFigures)

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.requests]

    def endpoint(self) -> Endpoint:
        given: dict[str, Any] = {
            "url": f"http://{self.name}.test",
            "solidity_url": f"http://{self.name}-solid.test",
            "api_key": None,
            "solidity_api_key": None,
            "max_answer_bytes": 10_000,
            "timeout_seconds": 5.0,
        }
        return Endpoint(
            EndpointSettings(**given | self.settings),
            client=httpx.AsyncClient(transport=httpx.MockTransport(self._answer)),
            breaker=CircuitBreaker(self.name, self.breaker),
            limiter=self.limiter,
            observer=self.figures,
        )

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.handler(request)
        if hasattr(answer, "__await__"):
            answer = await answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, content=json.dumps(answer))


def chain_of(
    *stubs: Stub, stall_seconds: float = 30, silent_after_seconds: float = 60, tries: int = 1
) -> TronChain:
    """The adapter over these endpoints."""
    again = RetryPolicy(tries=tries, base_seconds=0, max_seconds=0)
    settings = ChainSettings(USDT, stall_seconds, silent_after_seconds, 600, again, again)
    return TronChain([stub.endpoint() for stub in stubs], settings)
