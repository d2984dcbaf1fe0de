"""`approvals` of `payout-security-policies.yaml`: whose consent which payouts need."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field, model_validator

from models.approval import ApprovalRule, Workflow
from models.money import Currency
from models.order import PayoutType
from settings.roles import Role
from settings.values import Frozen, PositiveMoney

DEFAULT: Final = "default"
"""The workflow of every payout."""

RuleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class WorkflowConfig(Frozen):
    """How many people with which roles approve within how many minutes; and for which payouts:
    from an amount, from a number of payouts in one request, of which types. A workflow that says
    none of these is for rules that demand it by name."""

    needed: int = Field(ge=0, le=10)
    roles: tuple[Role, ...] = ()
    timeout_minutes: int = Field(default=60, ge=1, le=10_080)
    from_amount: dict[Currency, PositiveMoney] = Field(default_factory=dict)
    from_items: int | None = Field(default=None, ge=2, le=10_000)
    payout_types: tuple[PayoutType, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "WorkflowConfig":
        if bool(self.roles) != bool(self.needed):
            raise ValueError("roles exactly where someone is needed")
        if self.from_amount and set(self.from_amount) != set(Currency):
            raise ValueError(f"from_amount for each of {', '.join(Currency)}")
        return self

    def rule(self, name: str) -> ApprovalRule:
        """What models/approval.py decides by."""
        roles = tuple(role.value for role in self.roles)
        return ApprovalRule(
            workflow=Workflow(name, self.needed, roles, self.timeout_minutes * 60),
            always=name == DEFAULT,
            from_amount=self.from_amount,
            from_items=self.from_items,
            payout_types=frozenset(self.payout_types),
        )


class ApprovalsConfig(Frozen):
    """The workflows by name. Several can apply to one payout, so that some role must be accepted
    by all of them."""

    workflows: dict[RuleName, WorkflowConfig]

    @model_validator(mode="after")
    def _check(self) -> "ApprovalsConfig":
        if DEFAULT not in self.workflows:
            raise ValueError(f"a workflow named {DEFAULT}")
        asking = [set(each.roles) for each in self.workflows.values() if each.needed]
        if asking and not set.intersection(*asking):
            raise ValueError("a role that every workflow accepts, as several can apply at once")
        return self

    @property
    def rules(self) -> tuple[ApprovalRule, ...]:
        """What models/approval.py decides by."""
        return tuple(config.rule(name) for name, config in self.workflows.items())

    @property
    def asking(self) -> Mapping[str, WorkflowConfig]:
        """The workflows that ask somebody: those that another rule may demand."""
        return {name: each for name, each in self.workflows.items() if each.needed}
