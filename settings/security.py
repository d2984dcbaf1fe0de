"""`payout-security-policies.yaml`: who may do what, and which tokens are taken."""

from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from settings.values import Frozen


class Role(StrEnum):
    """Who a token speaks for."""

    USER = "USER"
    NODE_OPERATOR = "NODE_OPERATOR"
    APPROVER = "APPROVER"
    SERVICE = "SERVICE"
    ADMIN = "ADMIN"
    SUPER_ADMIN = "SUPER_ADMIN"


class Scope(StrEnum):
    """Whose payouts a role reaches: its own, those of its token's node as well, or all."""

    OWN = "own"
    NODE = "node"
    ALL = "all"


class Permission(StrEnum):
    """What a role may do within its scope."""

    CREATE = "create"
    LIST = "list"
    VIEW = "view"
    CANCEL = "cancel"
    RESOLVE = "resolve"
    STATS = "stats"
    UNEXPLAINED = "unexplained"
    GATES = "gates"


class RolePolicy(Frozen):
    """One role's reach and permissions."""

    scope: Scope
    may: frozenset[Permission]


class JwtPolicy(Frozen):
    """Which tokens are taken."""

    # HMAC only: JWT_SECRET_KEY is a shared secret.
    algorithms: tuple[Literal["HS256", "HS384", "HS512"], ...] = Field(min_length=1)
    required_claims: tuple[Literal["sub", "role", "iat", "exp", "jti"], ...]
    leeway_seconds: int = Field(ge=0, le=300)
    max_token_hours: float = Field(gt=0, le=24 * 366)

    @model_validator(mode="after")
    def _check(self) -> "JwtPolicy":
        missing = {"sub", "role", "iat", "exp"} - set(self.required_claims)
        if missing:
            raise ValueError("required_claims with sub, role, iat and exp")
        return self


class SecurityPolicies(Frozen):
    """`payout-security-policies.yaml`."""

    jwt: JwtPolicy
    roles: dict[Role, RolePolicy] = Field(min_length=1)
