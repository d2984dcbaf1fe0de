"""`compliance` of `payout-security-policies.yaml`: the rules on recipients and clients."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.compliance import Per, Rule, RuleKind
from models.findings import Effect
from models.money import Currency
from settings.approvals import RuleName
from settings.roles import Role
from settings.values import Frozen, PositiveMoney

Amounts = dict[Currency, PositiveMoney]


class _RuleConfig(Frozen):
    """What every rule says: its name, what follows, and who decides about what it holds, or which
    approval it demands."""

    name: RuleName
    effect: Effect
    roles: tuple[Role, ...] = ()
    workflow: RuleName | None = None

    @model_validator(mode="after")
    def _check(self) -> "_RuleConfig":
        if bool(self.roles) != (self.effect is Effect.HOLD):
            raise ValueError("roles that may release or reject, exactly for the effect hold")
        if (self.workflow is None) == (self.effect is Effect.APPROVE):
            raise ValueError("a workflow exactly for the effect approve")
        amounts = getattr(self, "from_amount", {})
        if amounts and set(amounts) != set(Currency):
            raise ValueError(f"from_amount for each of {', '.join(Currency)}")
        return self

    @property
    def rule(self) -> Rule:
        """What models/compliance.py decides by."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return Rule(**values | {"roles": tuple(role.value for role in self.roles)})


class ListRule(_RuleConfig):
    """On lists. What they say can change, so `at_dispatch` asks again before a payout is paid."""

    kind: Literal[
        RuleKind.SANCTIONS,
        RuleKind.DENY_LIST,
        RuleKind.ALLOW_LIST_ONLY,
        RuleKind.TOKEN_BLACKLIST,
    ]
    effect: Literal[Effect.REFUSE, Effect.HOLD]
    at_dispatch: bool


class KycRule(_RuleConfig):
    """On recipients who are not verified to a level."""

    kind: Literal[RuleKind.KYC_REQUIRED]
    level: int = Field(ge=1, le=3)
    from_amount: Amounts = Field(default_factory=dict)


class AmountRule(_RuleConfig):
    """On amounts."""

    kind: Literal[RuleKind.AMOUNT_REVIEW]
    from_amount: Amounts = Field(min_length=1)


class VelocityRule(_RuleConfig):
    """On the `count`-th payout of a rolling window, and those after it."""

    kind: Literal[RuleKind.VELOCITY]
    per: Per
    count: int = Field(ge=2, le=10_000)
    window_seconds: int = Field(ge=1, le=31 * 86_400)


class NewRecipientRule(_RuleConfig):
    """On the first payout to a recipient."""

    kind: Literal[RuleKind.NEW_RECIPIENT]
    from_amount: Amounts = Field(default_factory=dict)


AnyRule = Annotated[
    ListRule | KycRule | AmountRule | VelocityRule | NewRecipientRule,
    Field(discriminator="kind"),
]


class KycConfig(Frozen):
    """For how many days a verification counts, by its level."""

    basic_days: int = Field(ge=1, le=3650)
    enhanced_days: int = Field(ge=1, le=3650)
    advanced_days: int = Field(ge=1, le=3650)

    @property
    def validity(self) -> Mapping[int, timedelta]:
        """How long the levels 1 to 3 count."""
        days = (self.basic_days, self.enhanced_days, self.advanced_days)
        return {level: timedelta(days=each) for level, each in enumerate(days, start=1)}


class ComplianceConfig(Frozen):
    """The rules in the order in which their findings are shown, and the validity of KYC levels.
    Several rules can hold one payout, so that some role must be able to release all of them."""

    kyc: KycConfig
    rules: tuple[AnyRule, ...]

    @model_validator(mode="after")
    def _check(self) -> "ComplianceConfig":
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("each rule name once")
        holding = [set(rule.roles) for rule in self.rules if rule.effect is Effect.HOLD]
        if holding and not set.intersection(*holding):
            raise ValueError("a role that may release what any rule holds")
        return self

    @property
    def policy(self) -> tuple[Rule, ...]:
        """What models/compliance.py decides by."""
        return tuple(each.rule for each in self.rules)

    @property
    def demanded(self) -> frozenset[str]:
        """The approval workflows that rules demand."""
        return frozenset(rule.workflow for rule in self.rules if rule.workflow is not None)
