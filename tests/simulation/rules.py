"""What must be true of a payout when an attempt of it is recorded: worked out from the policy, the
order and the payout's history, and not by the code that decides."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.approval import Workflow
from models.compliance import Rule, RuleKind
from models.decision import DecisionPolicy
from models.findings import Effect
from models.order import BatchWindow, Order, PayoutType, RouteChoice, RouteName
from models.payout import Event, Payout, PayoutStatus
from models.routes import RoutePolicy
from models.transaction import Attempt

SLACK = timedelta(seconds=6)
"""So long, at most, a client waits for its answer: a payout may be counted so much later than it
says that it was created."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONDAY = EPOCH + timedelta(days=4)

STRETCHES: Mapping[BatchWindow, tuple[datetime, timedelta]] = {
    BatchWindow.HOURLY: (EPOCH, timedelta(hours=1)),
    BatchWindow.DAILY: (EPOCH, timedelta(days=1)),
    BatchWindow.WEEKLY: (MONDAY, timedelta(weeks=1)),
}
"""Where one of the windows began, and how long each of them is."""


SCHEDULER = "scheduler"

Move = tuple[Event, RouteName, RouteName]
"""What the history tells of a change of routes: from which, to which."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the policies demand. `default_wallet` pays on routes that have none of their own;
    `batch_items` is how many payouts each batch brings."""

    policy: DecisionPolicy
    default_wallet: str
    batch_items: int = 1

    def against(self, payout: Payout, attempt: Attempt, now: datetime, *, first: bool) -> str:
        """What is wrong with an attempt of that payout, recorded `now` (the store's clock). `first`
        says that no payout to its recipient was there before it."""
        found = (
            self._wallet(payout, attempt),
            self._consents(payout, self._workflows(payout, first=first)),
            self._hold(payout),
            self._too_early(payout, now),
            self._route(payout),
        )
        return next((text for text in found if text), "")

    def _wallet(self, payout: Payout, attempt: Attempt) -> str:
        wallet = self._policy_of(payout.route).wallet or self.default_wallet
        if attempt.owner == wallet:
            return ""
        return f"it pays from {attempt.owner}, and {payout.route} from {wallet}"

    def _consents(self, payout: Payout, asked: Sequence[Workflow]) -> str:
        """Enough people, each of whom may, none of them the maker, each in time."""
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

    def _workflows(self, payout: Payout, *, first: bool) -> Sequence[Workflow]:
        order = payout.order
        forced = self._forced(order, first=first)
        return [
            rule.workflow
            for rule in self.policy.approvals
            if order.payout_type in rule.payout_types
            or order.amount >= rule.from_amount.get(order.currency, order.amount + 1)
            or rule.workflow.name in forced
            or (rule.from_items is not None and self._together(payout) >= rule.from_items)
        ]

    def _together(self, payout: Payout) -> int:
        """With how many it came in one request, itself included, by the key that was asked with."""
        return 1 if batch_item(payout) is None else self.batch_items

    def _forced(self, order: Order, *, first: bool) -> Collection[str | None]:
        """The workflows that rules demand."""
        applies: Mapping[RuleKind, Callable[[Rule], bool]] = {
            RuleKind.AMOUNT_REVIEW: lambda rule: order.amount >= rule.from_amount[order.currency],
            RuleKind.NEW_RECIPIENT: lambda rule: first,
        }
        return {
            rule.workflow
            for rule in self.policy.rules
            if rule.effect is Effect.APPROVE and applies[rule.kind](rule)
        }

    def _hold(self, payout: Payout) -> str:
        """What a rule held, one who may has released; what a rule must hold, was held."""
        if payout.hold is not None:
            return f"{payout.hold.rules} hold it"
        order = payout.order
        held = {
            rule.name
            for rule in self.policy.rules
            if rule.kind is RuleKind.AMOUNT_REVIEW
            and rule.effect is Effect.HOLD
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

    def _route(self, payout: Payout) -> str:
        """The route that was asked for, unless a person chose another; and no route but by way of
        those that its history names."""
        asked, moves = payout.order.route, moves_of(payout)
        chosen = any(event.by != SCHEDULER for event, _, _ in moves)
        if asked is not RouteChoice.SMART and payout.route != asked and not chosen:
            return f"it asked for the route {asked}, and goes by {payout.route}"
        return ""

    def moved_wrongly(self, payout: Payout) -> str:
        """What is wrong with how it came from route to route."""
        moves, by_itself = moves_of(payout), 0
        for number, (event, old, new) in enumerate(moves):
            if number and moves[number - 1][2] is not old:
                return f"it left {old}, and was on {moves[number - 1][2]}"
            if event.by != SCHEDULER:
                continue
            by_itself += 1
            wrong = self._fell_wrongly(payout, event, new, moves[:number])
            if wrong:
                return f"it fell back on {new}, though {wrong}"
        if moves and moves[-1][2] is not payout.route:
            return f"it was moved to {moves[-1][2]}, and goes by {payout.route}"
        times = self.policy.routing.fallback.times
        return f"it fell back {by_itself} times" if by_itself > times else ""

    def _fell_wrongly(
        self, payout: Payout, event: Event, new: RouteName, before: Sequence[Move]
    ) -> str:
        order, last = payout.order, payout.history[payout.history.index(event) - 1]
        seconds = self.policy.routing.fallback.after_seconds
        faults = {
            f"it asked for {order.route}": order.route is not RouteChoice.SMART,
            "a person had chosen": any(each.by != SCHEDULER for each, _, _ in before),
            "that is for emergencies": new is RouteName.DIRECT
            and order.payout_type is not PayoutType.EMERGENCY,
            "it did not wait": event.from_status is not PayoutStatus.PENDING,
            "something had just happened to it": event.at - last.at < timedelta(seconds=seconds),
        }
        return next((text for text, wrong in faults.items() if wrong), "")

    def not_for(self, payout: Payout, name: RouteName, level: int) -> str:
        """Why a route does not take a payout whose recipient has that KYC level."""
        route = self._policy_of(name)
        limits, amount = route.limits[payout.order.currency], payout.order.amount
        if not route.enabled:
            return "it is switched off"
        if amount < limits.minimum or (limits.maximum is not None and amount > limits.maximum):
            return f"it does not take {amount}"
        needed = self._level_on(name, payout)
        return "" if level >= needed else f"it needs the level {needed}, not {level}"

    def kyc_level(self, payout: Payout) -> int:
        """How well the recipient must be known for the route that the payout was given."""
        return 0 if payout.route is None else self._level_on(payout.route, payout)

    def _level_on(self, name: RouteName, payout: Payout) -> int:
        steps = self._policy_of(name).limits[payout.order.currency].kyc
        amount = payout.order.amount
        fitting = [step for step in steps if step.up_to is None or amount <= step.up_to]
        return fitting[0].level if fitting else 0

    def _policy_of(self, name: RouteName | None) -> RoutePolicy:
        return next(each for each in self.policy.routes if each.name is name)

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
        interval = EPOCH, timedelta(seconds=self.policy.schedule.batch_interval_seconds)
        began, each = STRETCHES.get(order.batch_window, interval)
        return began + ((payout.created_at - began) // each + 1) * each

    def turn(self, payout: Payout) -> datetime:
        """Payouts are paid in the order of this: from when each may be paid, but each step of
        priority counts as so many seconds of waiting; an emergency stands above all steps."""
        order = payout.order
        since = order.scheduled_at or self.window_end(payout) or payout.created_at
        step = 11 if order.payout_type is PayoutType.EMERGENCY else order.priority
        return since - step * timedelta(seconds=self.policy.schedule.ageing_seconds)

    def early_release(self, payout: Payout) -> datetime | None:
        """When a batch was released before its window ended, if it was: it must have been full."""
        ends = self.window_end(payout)
        at = next((event.at for event in payout.history if _released(event)), None)
        return at if at is not None and ends is not None and at < ends else None

    def gathered(
        self, payouts: Sequence[Payout], window: BatchWindow, since: datetime, until: datetime
    ) -> int:
        """How many payouts gathered in windows of that kind at some time between these."""
        return sum(
            began <= until and ended >= since
            for payout in payouts
            if payout.order.payout_type is PayoutType.BATCH and payout.order.batch_window is window
            for began, ended in _gathering(payout.history, until)
        )


def _who(event: Event) -> tuple[str, str]:
    """Role and subject; whatever the tenant, a subject is one person."""
    role, _, owner = event.by.partition(":")
    return role, owner.rpartition("/")[2]


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


def batch_item(payout: Payout) -> tuple[str, int] | None:
    """Of which batch it is, by the key that was sent with it, and which one of it; None for a
    payout that came alone."""
    key, _, number = (payout.idempotency_key or "").rpartition(" ")
    return (key, int(number)) if key.startswith("batch-") else None


def moves_of(payout: Payout) -> Sequence[Move]:
    """How it came from route to route."""
    acts = [(event, (event.act or "").partition("route ")[2]) for event in payout.history]
    names = [(event, act.split("→")) for event, act in acts if act]
    return [(event, RouteName(old), RouteName(new)) for event, (old, new) in names]


def _first_route(payout: Payout) -> RouteName | None:
    """The route that it was given at first, by what its history says of others."""
    moves = moves_of(payout)
    return moves[0][1] if moves else payout.route


def _released(event: Event) -> bool:
    return event.from_status is PayoutStatus.SCHEDULED and event.to_status is PayoutStatus.PENDING


def _full(history: Sequence[Event]) -> bool:
    """Whether the scheduler let it go; `early_release` says whether it might."""
    return any(_released(event) and event.by == SCHEDULER for event in history)


def _gathering(history: Sequence[Event], until: datetime) -> Sequence[tuple[datetime, datetime]]:
    """From when to when a payout was scheduled."""
    ends: Mapping[int, datetime] = {n: event.at for n, event in enumerate(history)}
    return [
        (event.at, ends.get(n + 1, until))
        for n, event in enumerate(history)
        if event.to_status is PayoutStatus.SCHEDULED
    ]
