"""Batches as JSON: what became of each of their payouts."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import BaseModel, Field

from api.problems import Refusal
from api.views import PayoutView, StatusReason, TotalView
from services.batches import BatchReport

_PARTLY_FAILED = "P303"


class BatchItemView(BaseModel):
    """One payout of a batch; with a `problem`, what was asked did not happen to it."""

    index: Annotated[int, Field(description="Which one of `payouts` of the request, from 0.")]
    payout: Annotated[PayoutView | None, Field(description="As it is now, if there is one.")]
    problem: Annotated[Refusal | None, Field(description="As in the answer to a single request.")]


class BatchView(BaseModel):
    """Several payouts that came in one request, and what became of each."""

    batch_id: Annotated[str, Field(examples=["batch_0196e4a1b2c37d4e8f90a1b2c3d4e5f6"])]
    status_reason: Annotated[
        StatusReason | None, Field(description="P303 where some have a `problem`.")
    ]
    totals: Annotated[list[TotalView], Field(description="Of the payouts that there are.")]
    items: list[BatchItemView]

    @classmethod
    def of(cls, report: BatchReport, items: Sequence[BatchItemView]) -> Self:
        """Render a report, of which these are the items."""
        return cls(
            batch_id=report.batch_id,
            status_reason=_reason(report),
            totals=[TotalView.of(total) for total in report.totals],
            items=list(items),
        )


def _reason(report: BatchReport) -> StatusReason | None:
    if not report.refused:
        return None
    text = (
        f"to {report.refused} of {len(report.items)} payouts it did not happen; the problem of "
        "each says why, and the same request tries these again"
    )
    return StatusReason(code=_PARTLY_FAILED, message=text)
