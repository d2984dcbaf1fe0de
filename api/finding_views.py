"""Why a payout is as it is, as JSON: what rules said, what holds it, whose consent it needs."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from models.approval import Approval
from models.findings import Effect, Finding, Hold

RuleName = Annotated[
    str, Field(description="Its name in the configuration.", examples=["routes.kyc.kyc"])
]
Sentence = Annotated[str, Field(examples=["1500.00 USDT needs a recipient with KYC level 1"])]


class FindingView(BaseModel):
    """What one rule said. Only `refuse`, `hold` and `approve` change what becomes of the payout."""

    rule: RuleName
    effect: Effect
    text: Sentence
    code: Annotated[str | None, Field(examples=["P402"])]

    @classmethod
    def of(cls, finding: Finding) -> Self:
        """Render a finding."""
        return cls(rule=finding.rule, effect=finding.effect, text=finding.text, code=finding.code)


class HoldView(BaseModel):
    """What holds a payout: one of `roles` releases or rejects it."""

    rules: Annotated[list[str], Field(examples=[["very_large"]])]
    text: str
    code: Annotated[str, Field(examples=["P600"])]
    roles: Annotated[list[str], Field(examples=[["ADMIN", "SUPER_ADMIN"]])]

    @classmethod
    def of(cls, hold: Hold) -> Self:
        """Render a hold."""
        return cls(rules=list(hold.rules), text=hold.text, code=hold.code, roles=list(hold.roles))


class ConsentView(BaseModel):
    """One approval."""

    by: Annotated[str, Field(description="Subject of the token.", examples=["ada"])]
    role: str
    at: datetime
    comment: str


class ApprovalView(BaseModel):
    """The consent of `needed` different people, each with one of `roles`, that a payout needs. It
    is over at `expires_at`."""

    workflow: Annotated[str, Field(examples=["high_value"])]
    needed: int
    roles: Annotated[list[str], Field(examples=[["APPROVER", "ADMIN", "SUPER_ADMIN"]])]
    given: list[ConsentView]
    expires_at: datetime

    @classmethod
    def of(cls, approval: Approval) -> Self:
        """Render what a payout waits for, and what it has been given."""
        return cls(
            workflow=approval.workflow,
            needed=approval.needed,
            roles=list(approval.roles),
            given=[
                ConsentView(by=each.by, role=each.role, at=each.at, comment=each.comment)
                for each in approval.given
            ],
            expires_at=approval.expires_at,
        )
