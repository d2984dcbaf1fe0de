"""What becomes of a payout when it is accepted: by which route, under whose consent, and when.

One pure function puts together what the rules, the routes, the approvals and the clock say. It
serves intake and quotes, and every part of it comes with a sentence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from models.approval import ApprovalRule, Workflow, required
from models.compliance import Facts, Rule, Screening, kyc_level, screen
from models.errors import PayoutError
from models.findings import Effect, Finding
from models.order import Order, PayoutType, RouteChoice, RouteName
from models.routes import Route, RoutePolicy, RouteState, RoutingPolicy
from models.routing import Choice, Wanted, choose
from models.schedule import SchedulePolicy, check_expiry, rank_at, release_at


@dataclass(frozen=True, slots=True)
class DecisionPolicy:
    """Everything from the policy files that decides about a payout."""

    rules: Sequence[Rule]
    routes: Sequence[RoutePolicy]
    routing: RoutingPolicy
    approvals: Sequence[ApprovalRule]
    schedule: SchedulePolicy

    def route(self, name: RouteName) -> RoutePolicy:
        """The rules of one route; every route has some."""
        return next(policy for policy in self.routes if policy.name is name)


@dataclass(frozen=True, slots=True)
class Times:
    """Until when a payout waits (None: for nothing), and what it is paid in the order of."""

    release_at: datetime | None
    rank_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided about an order, with all reasons. `refusal` is the answer if it is not taken.

    `choice` ranks the routes: the first one that its limits allow is taken, and `times` are those
    on each of them. `said` is what everybody else said.
    """

    choice: Choice
    screening: Screening
    workflow: Workflow | None
    said: tuple[Finding, ...]
    refusal: PayoutError | None
    times: Mapping[RouteName, Times]

    def findings_on(self, route: RouteName) -> tuple[Finding, ...]:
        """All findings for a payout that takes that route, one of those that are ranked."""
        taken = next(each.finding for each in self.choice.ranked if each.name is route)
        return (taken, *self.said)


def decide(
    order: Order,
    facts: Facts,
    routes: Sequence[Route],
    policy: DecisionPolicy,
    now: datetime,
    batch_items: int = 1,
) -> Decision:
    """Ask everybody. `now` is the database's clock; `batch_items` is how many payouts come in the
    same request.

    Raises PayoutError for times that cannot be (`models/schedule.py`) on one of the routes.
    """
    screening = screen(order, facts, policy.rules, now)
    choice, waiting = _chosen(wanted(order, kyc_level(facts.kyc, now)), routes, policy.routing)
    workflow, asked = required(
        amount=order.amount,
        currency=order.currency,
        payout_type=order.payout_type,
        batch_items=batch_items,
        forced=screening.workflows,
        policy=policy.approvals,
    )
    names = [each.name for each in choice.ranked] or [RouteName.V0]
    return Decision(
        choice=choice,
        screening=screening,
        workflow=workflow,
        said=(*screening.findings, *waiting, *asked),
        refusal=_refusal(screening, choice),
        times={name: _times(order, name, policy.schedule, now) for name in names},
    )


def _times(order: Order, route: RouteName, policy: SchedulePolicy, now: datetime) -> Times:
    release = release_at(
        payout_type=order.payout_type,
        batch_window=order.batch_window,
        scheduled_at=order.scheduled_at,
        route=route,
        now=now,
        policy=policy,
    )
    check_expiry(order.expires_at, release, now)
    return Times(release, rank_at(order.payout_type, order.priority, release or now, policy))


def wanted(order: Order, level: int) -> Wanted:
    """What an order wants of a route; `level` is the valid KYC level of its recipient."""
    asked = order.route
    return Wanted(
        currency=order.currency,
        amount=order.amount,
        priority=order.priority,
        emergency=order.payout_type is PayoutType.EMERGENCY,
        route=None if asked is RouteChoice.SMART else RouteName(asked),
        kyc_level=level,
    )


def _chosen(
    what: Wanted, routes: Sequence[Route], policy: RoutingPolicy
) -> tuple[Choice, Sequence[Finding]]:
    """The choice; where a route would take the payout but for its wallet (too little money, a
    closed gate, a pause), as if that were over: the payout is taken, and waits as it would when
    that came after it was taken."""
    choice = choose(what, routes, policy)
    if choice.ranked:
        return choice, ()
    able = {route.name: replace(route, state=_ready(route.state)) for route in routes}
    anyway = choose(what, able.values(), policy)
    why = next((each for each in choice.refused if each.name is anyway.chosen), None)
    if why is None:
        return choice, ()
    return anyway, [
        Finding(each.rule, Effect.NOTE, f"the payout waits: {each.text}") for each in why.findings
    ]


def _ready(state: RouteState) -> RouteState:
    return replace(state, funds=None, paused=None, closed=None)


def _refusal(screening: Screening, choice: Choice) -> PayoutError | None:
    """Why the payout is not taken: a rule's refusal goes before a route's."""
    refused = screening.refusal
    if refused is not None:
        code = refused.code or "P107"
        return PayoutError(code, refused.text, field="recipient_address", rule=refused.rule)
    return None if choice.ranked else choice.refusal()
