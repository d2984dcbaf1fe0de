"""What must be so, reckoned from the policies and from what people said; nothing of it is asked of
the code under test. `Book` knows every payout, list, verification and pause; its questions come
back as the P-codes that a refusal may have, and none where the request must be granted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from models.approval import Workflow
from models.compliance import Per, Rule, RuleKind
from models.findings import Effect
from models.money import Currency
from models.order import RouteName
from models.routes import RoutePolicy
from models.spending import Ceiling, Period
from tests.access import reach_of
from tests.stateful.policies import (
    AMOUNTS,
    BATCH_INTERVAL,
    BATCH_SIZE,
    FROZEN,
    KYC_DAYS,
    ROUTES,
    RULES,
    SPENDING,
    TIGHT,
    WALLETS,
    WORKFLOWS,
    Person,
)

FALLBACK = TIGHT.decisions.routing.fallback
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ENDED = frozenset({"completed", "failed", "cancelled", "rejected", "expired"})
ORPHAN_SECONDS = 600
"""After so long, what is reserved for nothing is given back."""

BATCH_WINDOWS = ("interval", "hourly", "daily", "weekly")
NO_ROUTE = frozenset({"P400", "P101", "P102", "P402"})
FULL = frozenset({"P103", "P104", "P105"})

Owner = tuple[str, str | None, str]
"""Whose window: its scope, and the tenant and name of whom it belongs to."""


@dataclass(frozen=True)
class Draft:
    """What somebody asks for. Times are seconds from when it is asked."""

    currency: Currency
    amount: int
    recipient: str
    payout_type: str = "immediate"
    route: str = "smart"
    priority: int = 5
    batch_window: str = "interval"
    scheduled_in: float | None = None
    expires_in: float | None = None

    def aged(self, seconds: float) -> "Draft":
        """The same request so much later: its moments have come nearer."""
        return replace(
            self,
            scheduled_in=None if self.scheduled_in is None else self.scheduled_in - seconds,
            expires_in=None if self.expires_in is None else self.expires_in - seconds,
        )

    @property
    def gathers_in(self) -> str | None:
        """In which kind of window it gathers with others, if it does."""
        return self.batch_window if self.payout_type == "batch" else None

    def body(self, now: datetime) -> dict[str, Any]:
        """The request."""
        times = {"scheduled_at": self.scheduled_in, "expires_at": self.expires_in}
        return {
            "recipient_address": self.recipient,
            "amount": f"{self.amount // 10**6}.{self.amount % 10**6:06}",
            "currency": self.currency,
            "reason": "custom",
            "payout_type": self.payout_type,
            "route": self.route,
            "priority": self.priority,
            "batch_window": self.batch_window,
            **{
                name: (now + timedelta(seconds=seconds)).isoformat()
                for name, seconds in times.items()
                if seconds is not None
            },
        }


@dataclass
class Known:
    """A payout that was accepted: what was asked, what it waits for, and how it was last seen."""

    payout_id: str
    maker: Person
    draft: Draft
    created_at: datetime
    route: RouteName
    need: Workflow | None
    deadline: datetime | None
    holds: tuple[str, ...]
    waits_until: datetime | None
    expires_at: datetime | None
    consents: list[str] = field(default_factory=list)
    released: set[str] = field(default_factory=set)
    chosen: bool = False
    fallen: int = 0
    let_go: bool = False
    status: str = ""
    attempts: int = 0
    paid: list[str] = field(default_factory=list)
    maybe_held: bool = False
    tried: dict[RouteName, datetime] = field(default_factory=dict)
    """The routes in whose limits it may still count, though it does not go by them: since when."""

    @property
    def wallet(self) -> str:
        """Which wallet its route pays from."""
        return _route(self.route).wallet or WALLETS[0].address

    @property
    def approved(self) -> bool:
        """Whether it has the consents that it needs."""
        return self.need is None or len(set(self.consents)) >= self.need.needed

    @property
    def counts(self) -> bool:
        """Whether it takes room in its limits for certain."""
        return self.status not in ENDED or bool(self.paid)

    @property
    def hold_roles(self) -> frozenset[str]:
        """Who may release it: the roles that every rule names which holds it."""
        return frozenset.intersection(
            *(frozenset(rule.roles) for rule in RULES if rule.name in self.holds)
        )

    def left(self, route: RouteName, now: datetime) -> None:
        """It does not go by that route (any more), which is given back later."""
        self.tried[route] = now

    def swept(self, now: datetime) -> None:
        """Housekeeping gave back what can be."""
        self.maybe_held = False
        late = now - timedelta(seconds=ORPHAN_SECONDS)
        self.tried = {route: since for route, since in self.tried.items() if since >= late}

    def waits_for(self, now: datetime) -> str:
        """Its status as long as it has no attempt."""
        if self.holds:
            return "needs_review"
        if not self.approved:
            return "awaiting_approval"
        if self.waits_until is not None and self.waits_until > now and not self.let_go:
            return "scheduled"
        return "pending"

    def let_pass(self, now: datetime) -> None:
        """A person released it; the time to approve it begins."""
        self.released |= {*self.holds}
        self.holds = ()
        if self.need is not None:
            self.deadline = now + timedelta(seconds=self.need.timeout_seconds)

    def counts_for(self, owner: Owner, *, maybe: bool) -> bool:
        """Whether it takes room in that one's windows; with `maybe`, whether it may do so."""
        if any(each == owner for each, _ in self.owners()):
            return self.counts or (maybe and self.maybe_held)
        return maybe and owner in [("route", None, str(route)) for route in self.tried]

    def owners(self) -> Iterator[tuple[Owner, Mapping[Period, Ceiling]]]:
        """Everybody in whose windows it counts, and the ceilings there; a client's are by role."""
        yield from _owners(self.maker, self.route, self.draft)


@dataclass
class KnownBatch:
    """A request for several payouts: whose, when, for what, and which of them were taken."""

    batch_id: str
    maker: Person
    drafts: Sequence[Draft]
    created_at: datetime
    payouts: dict[int, Known] = field(default_factory=dict)


class Book:
    """Everything that happened, as the test did it."""

    def __init__(self) -> None:
        self.payouts: dict[str, Known] = {}
        self.keys: dict[tuple[tuple[str | None, str], str], str] = {}
        self.batches: dict[str, KnownBatch] = {}
        """By idempotency key, which no other batch has."""
        self.lists: dict[str, set[str]] = {"deny": set(), "allow": set(), "sanctions": set()}
        self.kyc: dict[str, tuple[int, datetime]] = {}
        self.pauses: set[tuple[str, str | None]] = set()

    def open(self, *statuses: str) -> list[Known]:
        """The payouts in these statuses; without any, those that have not ended."""
        return [
            known
            for known in self.payouts.values()
            if (known.status in statuses if statuses else known.status not in ENDED)
        ]

    # ---- who may do what ----

    def walls(self, who: Person, action: str, known: Known) -> set[str]:
        """Why somebody may not do this to a payout, whatever its state."""
        if reach_of(who.role, action) is None:
            return {"P002"}
        if not _reaches(who, action, known) and not _reaches(who, "payout:view", known):
            return {"P501"}
        return set() if _reaches(who, action, known) else {"P002"}

    def against_batch(self, who: Person, batch: KnownBatch, action: str) -> set[str]:
        """Why somebody may not do this to any payout of a batch."""
        if reach_of(who.role, action) is None:
            return {"P002"}
        return set() if self.reached(who, batch, action) else {"P010"}

    def reached(self, who: Person, batch: KnownBatch, action: str) -> dict[int, Known]:
        """The payouts of a batch within somebody's reach, by number."""
        found = batch.payouts.items()
        return {number: known for number, known in found if _reaches(who, action, known)}

    def against_acting(self, who: Person, action: str) -> set[str]:
        """Why somebody may not do what belongs to nobody."""
        return set() if reach_of(who.role, action) and who.tenant is None else {"P002"}

    # ---- intake ----

    def against_order(self, who: Person, draft: Draft, now: datetime) -> set[str]:
        """Every code that a refusal of a new payout could have, but for full limits (FULL) and a
        route that is out of order (P401)."""
        if reach_of(who.role, "payout:create") is None:
            return {"P002"}
        codes = {"P002"} if self._too_urgent(who, draft) else set()
        if {("intake", None), ("intake", str(draft.currency))} & self.pauses:
            codes.add("P017")
        if draft.recipient == WALLETS[1].address:
            codes.add("P100")
        codes |= _amount_codes(who, draft) | _time_codes(draft, now)
        refusing = {
            rule.kind
            for rule in self.said(who, draft, now)
            if rule.effect is Effect.REFUSE and rule.kind is not RuleKind.TOKEN_BLACKLIST
        }
        codes |= {_REFUSALS[kind] for kind in refusing}
        if not self.routes_for(draft, now, who):
            codes |= NO_ROUTE
        return codes

    def _too_urgent(self, who: Person, draft: Draft) -> bool:
        urgent = draft.route == "direct" or draft.payout_type == "emergency"
        return urgent and reach_of(who.role, "payout:urgent") is None

    def said(self, who: Person, draft: Draft, now: datetime) -> list[Rule]:
        """The rules that have something to say about a new payout."""
        return [
            rule
            for rule in RULES
            if draft.amount >= rule.from_amount.get(draft.currency, 0)
            and self._applies(rule, who, draft, now)
        ]

    def said_at_dispatch(self, known: Known) -> list[Rule]:
        """The rules that stop a payout which is about to be sent."""
        draft = known.draft
        return [
            rule
            for rule in RULES
            if rule.at_dispatch
            and rule.name not in known.released
            and draft.amount >= rule.from_amount.get(draft.currency, 0)
            and self._applies(rule, known.maker, draft, EPOCH)
        ]

    def _applies(self, rule: Rule, who: Person, draft: Draft, now: datetime) -> bool:
        match rule.kind:
            case RuleKind.SANCTIONS:
                return draft.recipient in self.lists["sanctions"]
            case RuleKind.DENY_LIST:
                return draft.recipient in self.lists["deny"]
            case RuleKind.ALLOW_LIST_ONLY:
                return draft.recipient not in self.lists["allow"]
            case RuleKind.TOKEN_BLACKLIST:
                return draft.recipient == FROZEN and draft.currency is Currency.USDT
            case RuleKind.KYC_REQUIRED:
                return self.level(draft.recipient, now) < rule.level
            case RuleKind.AMOUNT_REVIEW:
                return True
            case RuleKind.VELOCITY:
                return self._lately(rule, who, draft, now) + 1 >= rule.count
            case RuleKind.NEW_RECIPIENT:
                return all(k.draft.recipient != draft.recipient for k in self.payouts.values())

    def _lately(self, rule: Rule, who: Person, draft: Draft, now: datetime) -> int:
        since = now - timedelta(seconds=rule.window_seconds)
        return sum(
            known.created_at >= since
            and (
                known.draft.recipient == draft.recipient
                if rule.per is Per.RECIPIENT
                else known.maker.client == who.client
            )
            for known in self.payouts.values()
        )

    def level(self, recipient: str, now: datetime) -> int:
        """To which level a recipient is verified."""
        level, until = self.kyc.get(recipient, (0, EPOCH))
        return level if now < until else 0

    def routes_for(self, draft: Draft, now: datetime, who: Person | None = None) -> set[RouteName]:
        """The routes that would take it if they were in order; `who` asks for it, or an operator
        chooses."""
        level = self.level(draft.recipient, now)
        urgent = who is None or reach_of(who.role, "payout:urgent") is not None
        return {
            route.name
            for route in ROUTES
            if (who is None or draft.route in ("smart", route.name))
            and (urgent or route.name is not RouteName.DIRECT)
            and _takes(route, draft, level)
        }

    def workflow(self, draft: Draft, forced: Sequence[str], items: int) -> Workflow | None:
        """Whose consent a new payout needs, one of so many that come in one request."""
        asking = [
            rule.workflow
            for rule in WORKFLOWS
            if draft.amount >= rule.from_amount.get(draft.currency, draft.amount + 1)
            or draft.payout_type in rule.payout_types
            or rule.workflow.name in forced
            or (rule.from_items is not None and items >= rule.from_items)
        ]
        if not asking:
            return None
        return Workflow(
            name="+".join(each.name for each in asking),
            needed=max(each.needed for each in asking),
            roles=tuple(r for r in asking[0].roles if all(r in each.roles for each in asking)),
            timeout_seconds=min(each.timeout_seconds for each in asking),
        )

    def accept(
        self,
        payout_id: str,
        who: Person,
        draft: Draft,
        route: RouteName,
        now: datetime,
        items: int = 1,
    ) -> Known:
        """Write down a payout that was accepted now, on that route, one of so many at once."""
        said = self.said(who, draft, now)
        need = self.workflow(draft, [rule.workflow for rule in said if rule.workflow], items)
        known = Known(
            payout_id=payout_id,
            maker=who,
            draft=draft,
            created_at=now,
            route=route,
            need=need,
            deadline=None if need is None else _after(now, need.timeout_seconds),
            holds=tuple(rule.name for rule in said if rule.effect is Effect.HOLD),
            waits_until=_waits_until(draft, route, now),
            expires_at=_after(now, draft.expires_in),
        )
        known.status = known.waits_for(now)
        self.payouts[payout_id] = known
        return known

    # ---- limits ----

    def used(
        self, owner: Owner, period: Period, currency: Currency, at: datetime, *, maybe: bool = False
    ) -> tuple[int, int]:
        """Amount and number of the payouts in a window; with `maybe`, those as well that may not
        have been given back yet."""
        amounts = [
            known.draft.amount
            for known in self.payouts.values()
            if known.draft.currency is currency
            and _stretch(period, known.created_at) == _stretch(period, at)
            and known.counts_for(owner, maybe=maybe)
        ]
        return sum(amounts), len(amounts)

    def full_for(self, who: Person, draft: Draft, route: RouteName, at: datetime) -> set[str]:
        """The codes of the windows that may be too full for one more payout of that route."""
        codes = set()
        for owner, ceilings in _owners(who, route, draft):
            for period, ceiling in ceilings.items():
                amount, number = self.used(owner, period, draft.currency, at, maybe=True)
                if _over(ceiling, amount + draft.amount, number + 1):
                    codes.add(_window_code(owner, period))
        return codes

    def overdrawn_by(self, known: Known) -> str | None:
        """A window of its own that a new payout has overdrawn, if there is one."""
        for owner, ceilings in known.owners():
            for period, ceiling in ceilings.items():
                if _over(
                    ceiling, *self.used(owner, period, known.draft.currency, known.created_at)
                ):
                    return f"{owner} {period}"
        return None

    def overdrawn(self) -> str | None:
        """A window that holds more than it may, if there is one."""
        for known in self.payouts.values():
            for owner, ceilings in known.owners():
                for period, ceiling in ceilings.items():
                    at, currency = known.created_at, known.draft.currency
                    if owner[0] != "client" and _over(
                        ceiling, *self.used(owner, period, currency, at)
                    ):
                        return f"{owner} {period} {currency} of {at}"
        return None

    # ---- decisions ----

    def against_approval(self, who: Person, known: Known, now: datetime) -> set[str]:
        """Why this consent is not taken."""
        if codes := self.walls(who, "payout:approve", known):
            return codes
        if known.status != "awaiting_approval" or known.need is None or known.deadline is None:
            return {"P500"}
        codes = self._against_decider(who, known, frozenset(known.need.roles))
        if now >= known.deadline:
            codes.add("P603")
        if who.subject in known.consents:
            codes.add("P500")
        return codes

    def against_rejection(self, who: Person, known: Known) -> set[str]:
        """Why a payout is not rejected."""
        if codes := self.walls(who, "payout:reject", known):
            return codes
        if known.status == "awaiting_approval" and known.need is not None:
            return self._against_decider(who, known, frozenset(known.need.roles))
        if known.status == "needs_review" and known.holds and not known.paid:
            return self._against_decider(who, known, known.hold_roles)
        return {"P500"}

    def against_release(self, who: Person, known: Known) -> set[str]:
        """Why a payout is not released."""
        if codes := self.walls(who, "payout:release", known):
            return codes
        if known.status != "needs_review" or not known.holds or known.paid:
            return {"P500"}
        return self._against_decider(who, known, known.hold_roles)

    def _against_decider(self, who: Person, known: Known, roles: frozenset[str]) -> set[str]:
        fits = who.role in roles and who.subject != known.maker.subject
        return set() if fits else {"P002"}

    def against_cancelling(self, who: Person, known: Known) -> set[str]:
        """Why a payout is not cancelled."""
        if codes := self.walls(who, "payout:cancel", known):
            return codes
        if known.status == "completed":
            return {"P502"}
        stuck = known.status in (ENDED - {"cancelled"}) | {"processing"} or known.paid
        return {"P500"} if stuck else set()

    def against_route(self, who: Person, known: Known, route: RouteName, now: datetime) -> set[str]:
        """Why a payout does not get that route, but for one that is out of order (P401)."""
        if codes := self.walls(who, "payout:route", known):
            return codes
        if known.status in ENDED or known.status == "processing":
            return {"P500"}
        if known.route == route:
            return set()
        if route not in self.routes_for(known.draft, now):
            return set(NO_ROUTE)
        owner = ("route", None, str(route))
        for period, ceiling in SPENDING.routes[route].get(known.draft.currency, {}).items():
            amount, number = self.used(
                owner, period, known.draft.currency, known.created_at, maybe=True
            )
            if _over(ceiling, amount + known.draft.amount, number + 1):
                return set(FULL)
        return set()

    def against_falling(self, known: Known, route: RouteName, now: datetime) -> list[str]:
        """Everything for which a payout may not have come onto that route by itself."""
        reasons = {
            "it asked for another": known.draft.route != "smart",
            "a person had chosen": known.chosen,
            "it fell back before": known.fallen >= FALLBACK.times,
            "it had just come": now < _after(known.created_at, FALLBACK.after_seconds),
            "it does not take it": route not in self.routes_for(known.draft, now),
            "that is for emergencies": route is RouteName.DIRECT
            and known.draft.payout_type != "emergency",
            "it was not waiting to be paid": known.waits_for(now) != "pending",
            "an attempt was live": known.status == "processing" or bool(known.paid),
        }
        return [text for text, holds in reasons.items() if holds]

    def against_resolving(self, who: Person, known: Known, action: str) -> set[str]:
        """Why a person's word on a payout that needs review does not count."""
        if codes := self.walls(who, "payout:resolve", known):
            return codes
        if known.status != "needs_review" or (known.holds and not known.paid):
            return {"P500"}
        return {"P500"} if action == "retry" and known.paid else set()

    # ---- paying ----

    def against_paying(self, known: Known, now: datetime) -> list[str]:
        """Everything for which no attempt may be made at a payout now."""
        waits = known.waits_for(now)
        stopped = {("dispatch", None), ("dispatch", str(known.draft.currency))}
        stopped.add(("dispatch", known.wallet))
        found = [f"{rule.name} stops it" for rule in self.said_at_dispatch(known)]
        if waits != "pending":
            found.append(f"it is {waits}: {known.holds} {known.consents} {known.waits_until}")
        if known.expires_at is not None and known.expires_at <= now:
            found.append(f"it expired at {known.expires_at}")
        if stopped & self.pauses:
            found.append("dispatch is paused")
        if known.status in ENDED:
            found.append(f"it has ended: {known.status}")
        if known.paid:
            found.append("it is paid")
        return found

    def release_batches(self, now: datetime) -> None:
        """Let payouts go before their window ends where enough gather in it, the oldest first."""
        gathered = sorted(self.open("scheduled"), key=lambda known: known.payout_id)
        while True:
            full = [
                known
                for window in BATCH_WINDOWS
                for batch in [[k for k in gathered if k.draft.gathers_in == window]]
                for known in batch[: BATCH_SIZE if len(batch) >= BATCH_SIZE else 0]
            ]
            if not full:
                return
            for known in full:
                known.let_go = True
            gathered = [known for known in gathered if known.waits_for(now) == "scheduled"]

    # ---- compliance ----

    def against_kyc(self, level: int, days_ago: float) -> set[str]:
        """Why a verification is not kept."""
        return {"P003"} if not 0 <= days_ago < KYC_DAYS[level] else set()

    def days_before(self, now: datetime, days: float) -> datetime:
        """A moment so many days ago."""
        return now - timedelta(days=days)

    def verify(self, address: str, level: int, verified_at: datetime) -> None:
        """Write down a verification, which counts for the days of its level."""
        self.kyc[address] = (level, verified_at + timedelta(days=KYC_DAYS[level]))


def _owners(
    who: Person, route: RouteName, draft: Draft
) -> Iterator[tuple[Owner, Mapping[Period, Ceiling]]]:
    currency = draft.currency
    of_role = SPENDING.clients.get(who.role, {}).get(currency)
    yield ("all", None, ""), SPENDING.all.get(currency, {})
    yield ("route", None, str(route)), SPENDING.routes[route].get(currency, {})
    yield ("client", *who.client), {} if of_role is None else of_role.ceilings
    yield ("recipient", None, draft.recipient), SPENDING.recipients.get(currency, {})


def _over(ceiling: Ceiling, amount: int, number: int) -> bool:
    return (ceiling.amount is not None and amount > ceiling.amount) or (
        ceiling.count is not None and number > ceiling.count
    )


def _window_code(owner: Owner, period: Period) -> str:
    if owner[0] == "recipient":
        return "P105"
    return "P104" if period is Period.MONTH else "P103"


def _stretch(period: Period, at: datetime) -> str:
    return at.strftime({"hour": "%Y-%m-%d %H", "day": "%Y-%m-%d", "month": "%Y-%m"}[period])


def _route(name: RouteName) -> RoutePolicy:
    return next(route for route in ROUTES if route.name is name)


def _takes(route: RoutePolicy, draft: Draft, level: int) -> bool:
    limits = route.limits.get(draft.currency)
    if limits is None or draft.amount < limits.minimum:
        return False
    if limits.maximum is not None and draft.amount > limits.maximum:
        return False
    least = route.urgent_from_priority
    if least is not None and draft.priority < least and draft.payout_type != "emergency":
        return False
    for step in limits.kyc:
        if step.up_to is None or draft.amount <= step.up_to:
            return level >= step.level
    return True


def _reaches(who: Person, action: str, known: Known) -> bool:
    reach = reach_of(who.role, action)
    if reach == "all":
        return who.tenant in (None, known.maker.tenant)
    return reach is not None and who.client == known.maker.client


def _amount_codes(who: Person, draft: Draft) -> set[str]:
    limits = AMOUNTS[draft.currency]
    mine = SPENDING.clients.get(who.role, {}).get(draft.currency)
    maximum = limits.maximum if mine is None or mine.maximum is None else mine.maximum
    codes = {"P101"} if draft.amount < limits.minimum else set()
    return codes | ({"P102"} if draft.amount > min(maximum, limits.maximum) else set())


def _time_codes(draft: Draft, now: datetime) -> set[str]:
    scheduled, ahead = draft.payout_type == "scheduled", draft.scheduled_in
    wrong = (
        scheduled is (ahead is None),
        ahead is not None and not 0 < ahead <= TIGHT.decisions.schedule.max_ahead_days * 86_400,
        draft.batch_window != "interval" and draft.payout_type != "batch",
    )
    if any(wrong):
        return {"P003"}
    if draft.expires_in is None:
        return set()
    if draft.expires_in <= 0:
        return {"P503"}
    released, expires = _waits_until(draft, RouteName.V0, now), _after(now, draft.expires_in)
    return {"P003"} if released and expires and expires <= released else set()


def _after(now: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)


def _waits_until(draft: Draft, route: RouteName, now: datetime) -> datetime | None:
    if draft.payout_type == "scheduled":
        return _after(now, draft.scheduled_in)
    if draft.payout_type != "batch" or route is RouteName.DIRECT:
        return None
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    seconds = int((now - midnight).total_seconds())
    return {
        "interval": midnight + timedelta(seconds=(seconds // BATCH_INTERVAL + 1) * BATCH_INTERVAL),
        "hourly": midnight + timedelta(hours=now.hour + 1),
        "daily": midnight + timedelta(days=1),
        "weekly": midnight + timedelta(days=7 - now.weekday()),
    }[draft.batch_window]


_REFUSALS = {
    RuleKind.SANCTIONS: "P601",
    RuleKind.DENY_LIST: "P107",
    RuleKind.KYC_REQUIRED: "P402",
}
