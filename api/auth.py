"""Who calls: bearer tokens, and what the policy lets their roles do."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import jwt
from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from api.container import Parts
from api.fields import Name
from models.caller import Caller
from models.errors import PayoutError
from settings.security import JwtPolicy, Permission, Role, SecurityPolicies

MAX_TOKEN_LENGTH: Final = 8192

_bearer = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    description="A JWT with sub, role, iat and exp; node_id where it speaks for a node.",
)


class Claims(BaseModel):
    """The claims that the service reads; `iat` and `exp` are seconds since 1970."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    sub: Name
    role: Annotated[Role, Field(strict=False)]
    iat: float
    exp: float
    node_id: Name | None = None


def authenticate(
    token: str, key: str, policies: SecurityPolicies, request_id: str | None = None
) -> Caller:
    """The caller that a token speaks for.

    Raises PayoutError P001 unless the token is signed with `key` by a permitted algorithm, is
    valid now, lives no longer than permitted, and names a role that the policy knows.
    """
    claims = _read(token, key, policies.jwt)
    policy = policies.roles.get(claims.role)
    if policy is None:
        raise PayoutError("P001", "the token's role is not known here")
    return Caller(
        subject=claims.sub,
        role=claims.role,
        scope=policy.scope,
        may=policy.may,
        node_id=claims.node_id,
        request_id=request_id,
    )


def _read(token: str, key: str, policy: JwtPolicy) -> Claims:
    if len(token) > MAX_TOKEN_LENGTH:
        raise PayoutError("P001", f"the token is longer than {MAX_TOKEN_LENGTH} characters")
    try:
        payload = jwt.decode(
            token,
            key,
            algorithms=list(policy.algorithms),
            leeway=policy.leeway_seconds,
            options={"require": list(policy.required_claims)},
        )
        claims = Claims.model_validate(payload)
    except jwt.ExpiredSignatureError as error:
        raise PayoutError("P001", "the token has expired") from error
    # A stranger chose the bytes: some make the decoder stumble instead of refusing them.
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise PayoutError("P001", "the token is not valid") from error
    if claims.exp - claims.iat > policy.max_token_hours * 3600:
        raise PayoutError("P001", f"the token lives longer than {policy.max_token_hours:g} hours")
    return claims


async def caller(
    request: Request,
    parts: Parts,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    """Whoever holds the bearer token of this request. Raises PayoutError P001."""
    if credentials is None:
        raise PayoutError("P001", "send a token: Authorization: Bearer …")
    return authenticate(
        credentials.credentials,
        parts.settings.environment.jwt_secret_key.get_secret_value(),
        parts.settings.security,
        request.state.request_id,
    )


AnyCaller = Annotated[Caller, Depends(caller)]


def allowed(action: Permission) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency: the caller, whose role must permit `action`. Raises P001, P002."""

    async def permitted(who: AnyCaller) -> Caller:
        who.require(action)
        return who

    return permitted


async def metrics_reader(
    request: Request,
    parts: Parts,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Nobody is asked for a token when the settings make the metrics public. Raises P001."""
    if not parts.settings.environment.metrics_public:
        await caller(request, parts, credentials)
