"""Who asks too often: one permit for each request, and what answers say about the rest of them.

The fields are those of the IETF draft "RateLimit header fields for HTTP" (httpapi
-ratelimit-headers):
`RateLimit-Policy: "read";q=120;w=60` names the quota `q` of a window of `w` seconds, and
`RateLimit: "read";r=119;t=1` what is left of it and in how many seconds it is whole again.
"""

import asyncio
import ipaddress
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.container import Container
from models.caller import Caller
from models.errors import PayoutError
from models.rate import Rate, Verdict
from settings.roles import Role
from settings.throttling import ANONYMOUS

IPV6_NETWORK: Final = 64
"""Bits of an IPv6 address that one customer of a network has in common."""


async def throttle(request: Request, parts: Container, who: Caller, action: str | None) -> None:
    """Take a permit for what an authenticated caller asks for. Raises PayoutError P004."""
    rate = parts.settings.security.roles[Role(who.role)].rate_limits.of(action)
    # No colon can stand in a class or in a tenant, so that no two callers share a key.
    key = f"{rate.name}:{who.tenant or ''}:{who.subject}"
    await _take(request, parts, key, rate, who.role)


@asynccontextmanager
async def failures_counted(request: Request, parts: Container) -> AsyncIterator[None]:
    """Take a permit of the client's address when the block fails to authenticate it.

    Raises PayoutError P004 instead of P001 where there is none left.
    """
    try:
        yield
    except PayoutError as error:
        if error.code == "P001":
            rate = parts.settings.security.anonymous.named(ANONYMOUS)
            await _take(request, parts, f"{ANONYMOUS}:{origin(request)}", rate, ANONYMOUS)
        raise


def origin(request: Request) -> str:
    """Where a request comes from: an IPv4 address, a /64 of IPv6, or what the server calls it.

    Behind a proxy that FORWARDED_ALLOW_IPS names, the address is the one that the proxy names.
    """
    host = "" if request.client is None else request.client.host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), IPV6_NETWORK), strict=False))


async def _take(request: Request, parts: Container, key: str, rate: Rate, role: str) -> None:
    verdict = await parts.throttle.take(key, rate)
    request.state.taken = (rate, verdict)
    if verdict.allowed:
        return
    parts.metrics.counter("payout_rate_limited_total").labels(role, rate.name).inc()
    wait = math.ceil(verdict.retry_after_seconds)
    raise PayoutError(
        "P004",
        f"{rate.permits} requests of this kind are permitted in {rate.per_seconds} s, "
        f"{rate.burst} at once; come back in {wait} s",
        retry_after_seconds=wait,
    )


class RateLimits:
    """Says on the answer to a request that took a permit what is left, whoever makes the answer;
    and lets a refusal wait for the settings' `refusal_seconds`, in which it costs nothing.

    Whoever asks again at once, on a hundred connections, then costs a hundred requests in that time
    and not a thousand.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start" and "taken" in scope["state"]:
                rate, verdict = scope["state"]["taken"]
                MutableHeaders(scope=message).update(_fields(rate, verdict))
                if not verdict.allowed:
                    await _wait(scope["app"].state.container)
            await send(message)

        await self._app(scope, receive, send_with_fields)


async def _wait(parts: Container) -> None:
    # Half of it more or less, so that those who came at once do not come at once again.
    share = random.uniform(0.5, 1.5)  # noqa: S311 - a pause, not a key
    await asyncio.sleep(parts.settings.router.api.refusal_seconds * share)


def _fields(rate: Rate, verdict: Verdict) -> dict[str, str]:
    left, whole_in = verdict.remaining, math.ceil(verdict.reset_seconds)
    return {
        "RateLimit-Policy": f'"{rate.name}";q={rate.permits};w={rate.per_seconds}',
        "RateLimit": f'"{rate.name}";r={left};t={whole_in}',
    }
