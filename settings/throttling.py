"""How often each role may do what: the rates of `payout-security-policies.yaml`."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from pydantic import Field, model_validator

from models.rate import Rate
from settings.values import Frozen


class ActionClass(StrEnum):
    """Kinds of action that cost alike, so that they share a rate."""

    CREATE = "create"
    BATCH = "batch"
    QUOTE = "quote"
    READ = "read"
    ACT = "act"
    ADMIN = "admin"


CLASS_OF: Final[Mapping[str, ActionClass]] = {
    "payout:create": ActionClass.CREATE,
    "payout:list": ActionClass.READ,
    "payout:view": ActionClass.READ,
    "payout:stats": ActionClass.READ,
    "payout:cancel": ActionClass.ACT,
    "payout:resolve": ActionClass.ADMIN,
    "payout:quote": ActionClass.QUOTE,
    "payout:urgent": ActionClass.CREATE,
    "payout:approve": ActionClass.ADMIN,
    "payout:reject": ActionClass.ADMIN,
    "payout:release": ActionClass.ADMIN,
    "payout:route": ActionClass.ADMIN,
    "batch:create": ActionClass.BATCH,
    "batch:view": ActionClass.READ,
    "route:view": ActionClass.READ,
    "limit:view": ActionClass.READ,
    "compliance:view": ActionClass.READ,
    "compliance:edit": ActionClass.ADMIN,
    "unexplained:view": ActionClass.READ,
    "unexplained:explain": ActionClass.ADMIN,
    "gate:view": ActionClass.READ,
    "gate:open": ActionClass.ADMIN,
    "system:view": ActionClass.READ,
    "system:pause": ActionClass.ADMIN,
    "token:view": ActionClass.READ,
    "token:revoke": ActionClass.ADMIN,
    "audit:view": ActionClass.READ,
}
"""The class of every action of models/permission.py."""

ANONYMOUS: Final = "anonymous"
"""What answers call the rate of those whose token does not count."""


class RateLimit(Frozen):
    """`permits` for each `per_seconds`, of which `burst` at once."""

    permits: int = Field(ge=1, le=1_000_000)
    per_seconds: int = Field(ge=1, le=86_400)
    burst: int = Field(ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _check(self) -> "RateLimit":
        if self.burst > self.permits:
            raise ValueError("burst ≤ permits")
        return self

    def named(self, name: str) -> Rate:
        """The rate under the name that answers give it."""
        return Rate(name, self.permits, self.per_seconds, self.burst)


class RateLimits(Frozen):
    """The rates of one role. A class without one of its own goes with `read`."""

    read: RateLimit
    create: RateLimit | None = None
    batch: RateLimit | None = None
    quote: RateLimit | None = None
    act: RateLimit | None = None
    admin: RateLimit | None = None

    def of(self, action: str | None) -> Rate:
        """The rate of an action; None is a token that is shown and nothing else."""
        kind = ActionClass.READ if action is None else CLASS_OF[action]
        limit: RateLimit | None = getattr(self, kind)
        return self.read.named(ActionClass.READ) if limit is None else limit.named(kind)
