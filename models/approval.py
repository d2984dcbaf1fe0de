"""Approvals: whose consent a payout needs before it is paid, and whether it has it.

A person is a token's subject: whatever role or tenant their tokens carry, they count once, and
what they made themselves they cannot approve.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Final

from models.duration import in_words
from models.errors import PayoutError
from models.findings import Effect, Finding
from models.money import Currency, format_amount
from models.order import PayoutType

_NEEDED: Final = "P602"
_TOO_LATE: Final = "P603"


@dataclass(frozen=True, slots=True)
class Workflow:
    """Whose consent is asked for: that of `needed` people (0: nobody), each with one of `roles`,
    within `timeout_seconds`."""

    name: str
    needed: int
    roles: tuple[str, ...]
    timeout_seconds: int


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """When a workflow applies: `always`, from an amount (base units, by currency), from a number
    of payouts that come in one request, to types of payouts. Any one of them is enough; without
    all of them it applies where another rule demands it by name."""

    workflow: Workflow
    always: bool = False
    from_amount: Mapping[Currency, int] = field(default_factory=dict)
    from_items: int | None = None
    payout_types: frozenset[PayoutType] = frozenset()


@dataclass(frozen=True, slots=True)
class Consent:
    """One approval: by which subject under which role, when (database clock), and their comment."""

    by: str
    role: str
    at: datetime
    comment: str


@dataclass(frozen=True, slots=True)
class Approval:
    """What a payout waits for, and what it has been given; over at `expires_at`."""

    workflow: str
    needed: int
    roles: tuple[str, ...]
    timeout_seconds: int
    expires_at: datetime
    given: tuple[Consent, ...] = ()


def required(
    *,
    amount: int,
    currency: Currency,
    payout_type: PayoutType,
    batch_items: int,
    forced: Collection[str],
    policy: Sequence[ApprovalRule],
) -> tuple[Workflow | None, tuple[Finding, ...]]:
    """The workflow that a payout needs, None for none, and a finding for each one that asks for it.

    `batch_items` is how many payouts came in the same request, `forced` the workflows that other
    rules demand. Where several apply, the result satisfies all of them: the most approvals, the
    roles that all accept, the shortest time. Raises ValueError when `forced` names a workflow that
    asks nobody.
    """
    asking = [rule for rule in policy if rule.workflow.needed > 0]
    unknown = set(forced) - {rule.workflow.name for rule in asking}
    if unknown:
        raise ValueError(f"no workflow asks anybody under these names: {sorted(unknown)}")
    applying = [
        (rule.workflow, why)
        for rule in asking
        if (why := _why(rule, amount, currency, payout_type, batch_items, forced))
    ]
    if not applying:
        return None, ()
    findings = tuple(
        Finding(workflow.name, Effect.APPROVE, f"{why}: {_demand(workflow)}", _NEEDED)
        for workflow, why in applying
    )
    return reduce(_both, (workflow for workflow, _ in applying)), findings


def opened(workflow: Workflow, now: datetime) -> Approval:
    """The approval that a payout waits for from `now` on."""
    seconds = workflow.timeout_seconds
    expires_at = now + timedelta(seconds=seconds)
    return Approval(workflow.name, workflow.needed, workflow.roles, seconds, expires_at)


def missing(approval: Approval) -> str:
    """What it waits for, in words."""
    left = approval.needed - len(_people(approval))
    people = "approval" if left == 1 else "approvals by different people"
    return (
        f"needs {left} more {people} ({_either(approval.roles)}) until "
        f"{approval.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    )


def restarted(approval: Approval, now: datetime) -> Approval:
    """The approval of a payout that nobody could approve until `now`: its time begins then."""
    return replace(approval, expires_at=now + timedelta(seconds=approval.timeout_seconds))


def complete(approval: Approval) -> bool:
    """Whether enough different people have approved."""
    return len(_people(approval)) >= approval.needed


def approve(
    approval: Approval, *, maker: str, subject: str, role: str, comment: str, now: datetime
) -> Approval:
    """The approval with the consent of one more person. `maker` is the subject that created the
    payout, `now` the database's clock.

    Raises PayoutError: P500 when it is complete, or this person has approved; P603 when its time
    is over; P002 for a role that is not asked, and for the maker.
    """
    if complete(approval):
        raise PayoutError("P500", "this payout has all the approvals that it needs")
    if now >= approval.expires_at:
        raise PayoutError(
            _TOO_LATE, f"the time to approve was over at {approval.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        )
    check_decider(approval.roles, maker=maker, subject=subject, role=role)
    if subject in _people(approval):
        raise PayoutError("P500", "you have approved this payout; another person must too")
    consent = Consent(by=subject, role=role, at=now, comment=comment)
    return replace(approval, given=(*approval.given, consent))


def check_decider(roles: Sequence[str], *, maker: str, subject: str, role: str) -> None:
    """Raise PayoutError P002 unless the role is one that may decide, and the subject is not the
    maker of the payout."""
    if role not in roles:
        raise PayoutError("P002", f"this decision is for {_either(roles)}, not for {role}")
    if subject == maker:
        raise PayoutError("P002", "whoever created a payout cannot decide about it")


def _people(approval: Approval) -> frozenset[str]:
    return frozenset(consent.by for consent in approval.given)


def _why(
    rule: ApprovalRule,
    amount: int,
    currency: Currency,
    payout_type: PayoutType,
    batch_items: int,
    forced: Collection[str],
) -> str:
    """Why a rule's workflow applies; empty if it does not."""
    floor = rule.from_amount.get(currency)
    reasons: list[str] = []
    if rule.always:
        reasons.append("every payout")
    if floor is not None and amount >= floor:
        reasons.append(f"{format_amount(amount)} {currency} is not below {format_amount(floor)}")
    if rule.from_items is not None and batch_items >= rule.from_items:
        reasons.append(f"{batch_items} payouts in one request, {rule.from_items} or more")
    if payout_type in rule.payout_types:
        reasons.append(f"the type is {payout_type}")
    if rule.workflow.name in forced:
        reasons.append("another rule demands it")
    return ", ".join(reasons)


def _both(one: Workflow, other: Workflow) -> Workflow:
    """The workflow that whoever satisfies it satisfies both."""
    return Workflow(
        name=f"{one.name}+{other.name}",
        needed=max(one.needed, other.needed),
        roles=tuple(role for role in one.roles if role in other.roles),
        timeout_seconds=min(one.timeout_seconds, other.timeout_seconds),
    )


def _demand(workflow: Workflow) -> str:
    people = "approval" if workflow.needed == 1 else "approvals by different people"
    within = in_words(workflow.timeout_seconds)
    return f"{workflow.needed} {people} ({_either(workflow.roles)}) within {within}"


def _either(roles: Sequence[str]) -> str:
    return " or ".join(roles)
