"""The whole service in this process: the real edge over the real services of tests/harness.py.

Nothing is faked but what is outside: the store is the one in memory, the chain a devnet. A request
takes a few milliseconds, so that tables of thousands can be asked.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import jwt

from api.app import Edge
from config import Settings, load_settings
from payout_router_main import Container, health_checks
from ports.throttle import Throttle
from tests.apps import an_app
from tests.harness import House, open_house
from tests.throttles import OpenDoor
from utils.health_check import HealthRegistry
from utils.metrics import Metrics

KEY = "k" * 64
BASE_URL = "http://payouts.test"
ENVIRONMENT = {
    "MONGODB_URL": "mongodb://db.test/payout_router",
    "REDIS_URL": "redis://cache.test",
    "JWT_SECRET_KEY": KEY,
    "WALLET_ENCRYPTION_KEY": "00" * 32,
    "LUCID_ENV": "development",
    "TRON_NETWORK": "devnet",
    "TRON_RPC_URL": "http://node.test",
    "ACCESS_LOG": "false",
}


@cache
def usual_settings() -> Settings:
    """Those of ENVIRONMENT and the shipped configuration."""
    return load_settings(ENVIRONMENT)


@dataclass
class Front:
    """The application, the house behind it, and a client without a token."""

    app: Edge
    house: House
    parts: Container
    client: httpx.AsyncClient

    async def ask(
        self, method: str, path: str, bearer: str | None = None, **request: Any
    ) -> httpx.Response:
        """One request, with that token."""
        headers = dict(request.pop("headers", {}))
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        return await self.client.request(method, path, headers=headers, **request)


def token(role: str, subject: str = "alice", **claims: Any) -> str:
    """A good token; a claim that is None is left out."""
    now = int(time.time())
    payload = {"sub": subject, "role": role, "iat": now, "exp": now + 3600, **claims}
    present = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(present, KEY, "HS256")


def container_of(house: House, settings: Settings, throttle: Throttle) -> Container:
    """What the process would have made of these services, without loops."""
    services, chain = house.services, house.chain
    return Container(
        settings=settings,
        metrics=Metrics(settings.metrics.families),
        health=HealthRegistry(health_checks((), chain, services, (), house.figures)),
        router=services.router,
        services=services,
        chain=chain,
        store=house.store,
        wallets=[signer.address for signer in house.ports.signers],
        throttle=throttle,
        loops=(),
        started_at=time.monotonic(),
    )


@asynccontextmanager
async def open_front(
    house: House | None = None, throttle: Throttle | None = None, **environ: str
) -> AsyncIterator[Front]:
    """A front over a house of its own, not started, or over the one given. Nobody asks too often
    but for `throttle`; `environ` is added to the service's environment."""

    house = house or await open_house()
    settings = load_settings(ENVIRONMENT | environ) if environ else usual_settings()
    parts = container_of(house, settings, throttle or OpenDoor())
    with an_app(parts) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
            yield Front(app, house, parts, client)
