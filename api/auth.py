"""Who calls: bearer tokens, and what the policy lets their roles do."""

from typing import Annotated, Final

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from api.container import Container, Parts
from api.throttling import failures_counted, throttle
from api.verify import authenticate
from models.caller import Caller
from models.errors import PayoutError
from models.permission import ACTIONS

ALL_ACTIONS: Final = frozenset(
    f"{noun}:{name}" for noun, names in ACTIONS.items() for name in names
)

_bearer = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    description="A JWT with sub, role, iat and exp; node_id and tenant where it speaks for one.",
)


class Access:
    """The one dependency that every route names: who calls, and that they may do `action`.

    `action` None lets everybody in who has a token that counts.
    """

    def __init__(self, action: str | None) -> None:
        if action is not None and action not in ALL_ACTIONS:
            raise ValueError(f"{action} is no action of models/permission.py")
        self.action = action

    async def __call__(
        self,
        request: Request,
        parts: Parts,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Caller:
        """Whoever holds the bearer token of this request.

        Raises PayoutError P001, P002, P004; StoreError where nobody knows whether it was revoked.
        """
        async with failures_counted(request, parts):
            who = await authenticated(request, parts, credentials)
        await throttle(request, parts, who, self.action)
        if self.action is not None:
            who.require(self.action)
        return who


async def authenticated(
    request: Request, parts: Container, credentials: HTTPAuthorizationCredentials | None
) -> Caller:
    """The caller, by a token that counts and was not revoked. Raises P001, StoreError."""
    if credentials is None:
        raise PayoutError("P001", "send a token: Authorization: Bearer …")
    settings = parts.settings
    who = authenticate(
        credentials.credentials, settings.token_keys, settings.security, request.state.request_id
    )
    await parts.tokens.check(who)
    return who


async def public() -> None:
    """What a route names that everybody may call, without a token."""


async def metrics_reader(
    request: Request,
    parts: Parts,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Nobody is asked for a token when the settings make the metrics public. Raises P001."""
    if not parts.settings.environment.metrics_public:
        await Access(None)(request, parts, credentials)
