"""What must be true of a payout when an attempt of it is recorded: worked out from the policy, the
order and the payout's history, and not by the code that decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.approval import Workflow
from models.compliance import RuleKind
from models.decision import DecisionPolicy
from models.findings import Effect
from models.order import PayoutType, RouteName
from models.payout import Event, Payout, PayoutStatus
from models.transaction import Attempt

SLACK = timedelta(seconds=6)
"""So long, at most, a client waits for its answer: a payout may be counted so much later than it
says that it was created."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the policies demand. `default_wallet` pays on routes that have none of their own."""

    policy: DecisionPolicy
    default_wallet: str

    def against(self, payout: Payout, attempt: Attempt, now: datetime) -> str:
        """What is wrong with an attempt of that payout, recorded `now` (the store's clock)."""
        found = (
            self._wallet(payout, attempt),
            self._consents(payout),
            self._hold(payout),
            self._too_early(payout, now),
        )
        return next((text for text in found if text), "")

    def _wallet(self, payout: Payout, attempt: Attempt) -> str:
        route = next(each for each in self.policy.routes if each.name is payout.route)
        wallet = route.wallet or self.default_wallet
        if attempt.owner == wallet:
            return ""
        return f"it pays from {attempt.owner}, and {payout.route} from {wallet}"

    def _consents(self, payout: Payout) -> str:
        """Enough people, each of whom may, none of them the maker, each in time."""
        asked = self._workflows(payout)
        given = [*_consented(payout.history)]
        needed = max((each.needed for each in asked), default=0)
        if not needed and not given:
            return ""
        if payout.approval is None:
            return "it has no approval"
        people = {_who(event)[1] for event in given}
        if len(people) < needed:
            return f"{needed} people must consent, and {sorted(people)} did"
        if payout.client in people:
            return "its maker consented"
        for event in given:
            role, subject = _who(event)
            if any(role not in each.roles for each in asked):
                return f"{event.by} may not consent"
            said = [c.at for c in payout.approval.given if c.by == subject]
            seconds = min(each.timeout_seconds for each in asked)
            late = _asked_at(payout.history, event) + timedelta(seconds=seconds)
            if len(said) != 1 or not said[0] < late:
                return f"{event.by} consented at {said}, which is too late or not once"
        return ""

    def _workflows(self, payout: Payout) -> Sequence[Workflow]:
        order = payout.order
        return [
            rule.workflow
            for rule in self.policy.approvals
            if order.payout_type in rule.payout_types
            or order.amount >= rule.from_amount.get(order.currency, order.amount + 1)
        ]

    def _hold(self, payout: Payout) -> str:
        """What a rule held, one who may has released; what a rule must hold, was held."""
        if payout.hold is not None:
            return f"{payout.hold.rules} hold it"
        order = payout.order
        held = {
            rule.name
            for rule in self.policy.rules
            if rule.kind is RuleKind.AMOUNT_REVIEW
            and order.amount >= rule.from_amount[order.currency]
        }
        roles = {rule.name: rule.roles for rule in self.policy.rules}
        for name in held | {*payout.released}:
            allowed = [
                event
                for event in payout.history
                if event.from_status is PayoutStatus.NEEDS_REVIEW
                and _who(event)[0] in roles[name]
                and _who(event)[1] != payout.client
            ]
            if not allowed:
                return f"{name} holds it, and nobody who may released it"
        return ""

    def _too_early(self, payout: Payout, now: datetime) -> str:
        due = payout.order.scheduled_at
        if due is not None and now < due:
            return f"it is for {due}"
        ends = self.window_end(payout)
        if ends is None or now >= ends or _full(payout.history):
            return ""
        return f"its batch gathers until {ends}, and nobody found it full"

    def kyc_level(self, payout: Payout) -> int:
        """How well the recipient must be known for the route that the payout was given."""
        route = next(each for each in self.policy.routes if each.name is payout.route)
        steps, amount = route.limits[payout.order.currency].kyc, payout.order.amount
        fitting = [step for step in steps if step.up_to is None or amount <= step.up_to]
        return fitting[0].level if fitting else 0

    def bursts(self, payout: Payout, before: Sequence[Payout]) -> bool:
        """Whether so many payouts went to its recipient before that it must be held."""
        recipient = payout.order.recipient_address
        ages = [
            payout.created_at - each.created_at
            for each in before
            if each.order.recipient_address == recipient and each.payout_id != payout.payout_id
        ]
        return any(
            sum(age < timedelta(seconds=rule.window_seconds) - SLACK for age in ages) + 1
            >= rule.count
            for rule in self.policy.rules
            if rule.kind is RuleKind.VELOCITY and rule.effect is Effect.HOLD
        )

    def window_end(self, payout: Payout) -> datetime | None:
        """Until when a batch gathers; None for what is in none."""
        order = payout.order
        if order.payout_type is not PayoutType.BATCH or _first_route(payout) is RouteName.DIRECT:
            return None
        interval = timedelta(seconds=self.policy.schedule.batch_interval_seconds)
        return EPOCH + ((payout.created_at - EPOCH) // interval + 1) * interval

    def early_release(self, payout: Payout) -> datetime | None:
        """When a batch was released before its window ended, if it was: it must have been full."""
        ends = self.window_end(payout)
        at = next((event.at for event in payout.history if _released(event)), None)
        return at if at is not None and ends is not None and at < ends else None

    def gathered(self, payouts: Sequence[Payout], since: datetime, until: datetime) -> int:
        """How many payouts gathered in batches at some time between these."""
        return sum(
            began <= until and ended >= since
            for payout in payouts
            if payout.order.payout_type is PayoutType.BATCH
            for began, ended in _gathering(payout.history, until)
        )


def _who(event: Event) -> tuple[str, str]:
    role, _, subject = event.by.partition(":")
    return role, subject


def _consented(history: Sequence[Event]) -> Sequence[Event]:
    goes_on = (PayoutStatus.PENDING, PayoutStatus.SCHEDULED)
    return [
        event
        for event in history
        if event.from_status is PayoutStatus.AWAITING_APPROVAL
        and (event.act == "approved" or event.to_status in goes_on)
    ]


def _asked_at(history: Sequence[Event], consent: Event) -> datetime:
    """Since when the payout waited for that consent."""
    into = PayoutStatus.AWAITING_APPROVAL
    before = reversed(history[: history.index(consent)])
    return next(e.at for e in before if e.to_status is into and e.from_status is not into)


def _first_route(payout: Payout) -> RouteName | None:
    """The route that it was given at first, by what its history says of others."""
    chosen = [event.act for event in payout.history if event.act and event.act.startswith("route ")]
    return RouteName(chosen[0].removeprefix("route ").partition("→")[0]) if chosen else payout.route


def _released(event: Event) -> bool:
    return event.from_status is PayoutStatus.SCHEDULED and event.to_status is PayoutStatus.PENDING


def _full(history: Sequence[Event]) -> bool:
    """Whether the scheduler let it go; `early_release` says whether it might."""
    return any(_released(event) and event.by == "scheduler" for event in history)


def _gathering(history: Sequence[Event], until: datetime) -> Sequence[tuple[datetime, datetime]]:
    """From when to when a payout was scheduled."""
    ends: Mapping[int, datetime] = {n: event.at for n, event in enumerate(history)}
    return [
        (event.at, ends.get(n + 1, until))
        for n, event in enumerate(history)
        if event.to_status is PayoutStatus.SCHEDULED
    ]
