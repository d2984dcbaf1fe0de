"""What would become of a payout, as JSON."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from api.finding_views import FindingView, HoldView
from api.views import TrxAmount
from models.approval import Workflow
from models.decision import Decision
from models.errors import PayoutError
from models.money import format_amount
from models.order import RouteName
from models.routing import Ranked, Refused
from services.quoting import Estimate, Quote


class RankedView(BaseModel):
    """A route that takes the payout: its points by the strategy, and how they come about."""

    route: RouteName
    points: Annotated[int, Field(description="0 to 1000.")]
    text: str

    @classmethod
    def of(cls, ranked: Ranked) -> Self:
        """Render a route that takes the payout."""
        return cls(route=ranked.name, points=ranked.points, text=ranked.finding.text)


class RefusedView(BaseModel):
    """A route that does not take the payout, and all reasons."""

    route: RouteName
    reasons: list[FindingView]

    @classmethod
    def of(cls, refused: Refused) -> Self:
        """Render a route that does not take the payout."""
        return cls(route=refused.name, reasons=[FindingView.of(each) for each in refused.findings])


class WorkflowView(BaseModel):
    """Whose consent the payout would need: that of `needed` different people, each with one of
    `roles`, within `timeout_seconds`."""

    workflow: Annotated[str, Field(examples=["high_value"])]
    needed: int
    roles: list[str]
    timeout_seconds: int

    @classmethod
    def of(cls, workflow: Workflow) -> Self:
        """Render a workflow."""
        return cls(
            workflow=workflow.name,
            needed=workflow.needed,
            roles=list(workflow.roles),
            timeout_seconds=workflow.timeout_seconds,
        )


class EstimateView(BaseModel):
    """What the chain would charge where the wallet has staked for neither energy nor bandwidth."""

    energy: int
    bandwidth: Annotated[int, Field(description="Bytes.")]
    fee_trx: TrxAmount

    @classmethod
    def of(cls, estimate: Estimate) -> Self:
        """Render an estimate."""
        return cls(
            energy=estimate.energy,
            bandwidth=estimate.bandwidth,
            fee_trx=format_amount(estimate.fee_sun),
        )


class RefusalView(BaseModel):
    """Why the payout would be refused: what the create would answer."""

    code: Annotated[str, Field(examples=["P402"])]
    message: str
    field: Annotated[str | None, Field(description="The field at fault.")]
    extra: Annotated[dict[str, Any], Field(description="Figures that help, such as a limit.")]

    @classmethod
    def of(cls, error: PayoutError) -> Self:
        """Render a refusal."""
        return cls(code=error.code, message=error.message, field=error.field, extra=error.extra)


class DecisionView(BaseModel):
    """What rules, routes, approvals and the clock say. `findings` are those that the payout would
    show."""

    ranked: Annotated[list[RankedView], Field(description="Routes that take it, best first.")]
    refused: Annotated[list[RefusedView], Field(description="The others, the nearest first.")]
    findings: list[FindingView]
    hold: Annotated[HoldView | None, Field(description="What would hold it until released.")]
    approval: WorkflowView | None
    release_at: Annotated[datetime | None, Field(description="Until when it would wait at most.")]

    @classmethod
    def of(cls, decision: Decision, route: RouteName | None) -> Self:
        """Render a decision about a payout that would go by that route."""
        hold, workflow = decision.screening.hold, decision.workflow
        said = decision.said if route is None else decision.findings_on(route)
        return cls(
            ranked=[RankedView.of(each) for each in decision.choice.ranked],
            refused=[RefusedView.of(each) for each in decision.choice.refused],
            findings=[FindingView.of(each) for each in said],
            hold=hold and HoldView.of(hold),
            approval=workflow and WorkflowView.of(workflow),
            release_at=None if route is None else decision.times[route].release_at,
        )


class QuoteView(BaseModel):
    """What would become of a payout that is created now. Nothing is kept, and nothing reserved.

    Where it would be refused, `route`, `estimate` and the times are null, and so is `decision`
    where it would be refused before a rule is asked.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "accepted": True,
                    "refusal": None,
                    "route": "v0",
                    "decision": {
                        "ranked": [
                            {
                                "route": "v0",
                                "points": 560,
                                "text": "the route v0 has 560 of 1000 points by optimal: amount "
                                "12 × 25 %, priority 500 × 25 %, load 1000 × 20 %, success "
                                "1000 × 15 %, cost 550 × 15 %",
                            }
                        ],
                        "refused": [
                            {
                                "route": "kyc",
                                "reasons": [
                                    {
                                        "rule": "routes.kyc.min_amount",
                                        "effect": "refuse",
                                        "text": "12.50 USDT is below the route's minimum of "
                                        "1000.000001",
                                        "code": "P101",
                                    }
                                ],
                            }
                        ],
                        "findings": [
                            {
                                "rule": "first_payout",
                                "effect": "note",
                                "text": "the first payout to this recipient",
                                "code": None,
                            }
                        ],
                        "hold": None,
                        "approval": None,
                        "release_at": None,
                    },
                    "estimate": {"energy": 64285, "bandwidth": 345, "fee_trx": "6.7735"},
                    "sent_by": "2026-03-01T12:01:00Z",
                    "expected_at": "2026-03-01T12:01:12Z",
                }
            ]
        }
    )

    accepted: bool
    refusal: RefusalView | None
    route: RouteName | None
    decision: DecisionView | None
    estimate: Annotated[EstimateView | None, Field(description="Null while no node answers.")]
    sent_by: Annotated[datetime | None, Field(description="Until when it is meant to be sent.")]
    expected_at: Annotated[
        datetime | None,
        Field(description="When it is completed if it takes as long as half of its route's."),
    ]

    @classmethod
    def of(cls, quote: Quote) -> Self:
        """Render a quote."""
        decision, estimate, refusal = quote.decision, quote.estimate, quote.refusal
        return cls(
            accepted=refusal is None,
            refusal=None if refusal is None else RefusalView.of(refusal),
            route=quote.route,
            decision=decision and DecisionView.of(decision, quote.route),
            estimate=estimate and EstimateView.of(estimate),
            sent_by=quote.sent_by,
            expected_at=quote.expected_at,
        )
