"""Bearer tokens: which of them count, and what they say."""

from typing import Annotated, Final

import jwt
from pydantic import BaseModel, ConfigDict, Field

from api.fields import Name, Tenant
from models.caller import Caller
from models.errors import PayoutError
from settings.keys import KeyRing
from settings.security import JwtPolicy, Role, SecurityPolicies

MAX_TOKEN_LENGTH: Final = 8192


class Claims(BaseModel):
    """The claims that the service reads; `iat` and `exp` are seconds since 1970."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    sub: Name
    role: Annotated[Role, Field(strict=False)]
    iat: float
    exp: float
    node_id: Name | None = None
    tenant: Tenant | None = None
    jti: Name | None = None


def authenticate(
    token: str, keys: KeyRing, policies: SecurityPolicies, request_id: str | None = None
) -> Caller:
    """The caller that a token speaks for, if it was not revoked.

    Raises PayoutError P001 unless `verify` takes it and the policy knows its role.
    """
    claims = verify(token, keys, policies.jwt)
    policy = policies.roles.get(claims.role)
    if policy is None:
        raise PayoutError("P001", "the token's role is not known here")
    return Caller(
        subject=claims.sub,
        role=claims.role,
        grants=policy.grants,
        tenant=claims.tenant,
        node_id=claims.node_id,
        token_id=claims.jti,
        issued_at=claims.iat,
        request_id=request_id,
    )


def verify(token: str, keys: KeyRing, policy: JwtPolicy) -> Claims:
    """The claims of a token.

    Raises PayoutError P001 unless it is signed with an active key by an algorithm of that key, is
    valid now, lives no longer than permitted, and has every claim that is required.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise PayoutError("P001", f"the token is longer than {MAX_TOKEN_LENGTH} characters")
    try:
        claims = _read(token, keys, policy)
    except jwt.ExpiredSignatureError as error:
        raise PayoutError("P001", "the token has expired") from error
    # A stranger chose the bytes: some make the decoder stumble instead of refusing them.
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise PayoutError("P001", "the token is not valid") from error
    if claims.exp - claims.iat > policy.max_token_hours * 3600:
        raise PayoutError("P001", f"the token lives longer than {policy.max_token_hours:g} hours")
    return claims


def _read(token: str, keys: KeyRing, policy: JwtPolicy) -> Claims:
    header = jwt.get_unverified_header(token)
    # RFC 7515 §4.1.11: what it lists must be understood, and here nothing is.
    if "crit" in header:
        raise jwt.InvalidTokenError("critical headers")
    active = keys.get(header.get("kid"))
    if active is None:
        raise PayoutError("P001", "the token is signed with a key that is not active here")
    payload = jwt.decode(
        token,
        active.key,
        algorithms=active.algorithms,
        leeway=policy.leeway_seconds,
        issuer=policy.issuer or None,
        audience=policy.audience or None,
        options={"require": list(policy.required_claims), "verify_aud": bool(policy.audience)},
    )
    return Claims.model_validate(payload)
