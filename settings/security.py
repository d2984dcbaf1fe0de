"""`payout-security-policies.yaml`: who may do what, and which tokens are taken."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from models.permission import Permission, Reach, grants_of, parse_permission
from settings.approvals import ApprovalsConfig
from settings.compliance import ComplianceConfig
from settings.roles import Role as Role
from settings.spending import ClientLimitsConfig
from settings.throttling import CLASS_OF, RateLimit, RateLimits
from settings.values import Frozen


def _permission(value: object) -> Permission:
    if not isinstance(value, str):
        raise ValueError("noun:action:reach such as payout:create:own")
    return parse_permission(value)


class RolePolicy(Frozen):
    """What a role may do, how far each of it reaches, and how often."""

    permissions: tuple[Annotated[Permission, BeforeValidator(_permission)], ...]
    rate_limits: RateLimits

    @property
    def grants(self) -> Mapping[str, Reach]:
        """How far each permitted action reaches."""
        return grants_of(self.permissions)

    @model_validator(mode="after")
    def _check(self) -> "RolePolicy":
        used = {CLASS_OF[action] for action in self.grants}
        missing = sorted(kind for kind in used if getattr(self.rate_limits, kind) is None)
        if missing:
            raise ValueError(f"rate_limits for {', '.join(missing)}, which its permissions use")
        return self


class JwtPolicy(Frozen):
    """Which tokens are taken."""

    # HMAC only: these are the algorithms of shared secrets (settings/keys.py).
    algorithms: tuple[Literal["HS256", "HS384", "HS512"], ...] = Field(min_length=1)
    required_claims: tuple[Literal["sub", "role", "iat", "exp", "jti"], ...]
    leeway_seconds: int = Field(ge=0, le=300)
    max_token_hours: float = Field(gt=0, le=24 * 366)
    issuer: str | None = Field(max_length=256)
    audience: str | None = Field(max_length=256)

    @model_validator(mode="after")
    def _check(self) -> "JwtPolicy":
        missing = {"sub", "role", "iat", "exp"} - set(self.required_claims)
        if missing:
            raise ValueError("required_claims with sub, role, iat and exp")
        return self


class SecurityPolicies(Frozen):
    """`payout-security-policies.yaml`."""

    jwt: JwtPolicy
    anonymous: RateLimit
    roles: dict[Role, RolePolicy] = Field(min_length=1)
    approvals: ApprovalsConfig
    compliance: ComplianceConfig
    client_limits: ClientLimitsConfig

    @model_validator(mode="after")
    def _rules_demand_what_there_is(self) -> "SecurityPolicies":
        unknown = self.compliance.demanded - set(self.approvals.asking)
        if unknown:
            raise ValueError(f"approvals.workflows with the names {', '.join(sorted(unknown))}")
        return self
