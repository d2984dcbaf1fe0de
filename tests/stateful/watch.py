"""Asks as anybody, and after each step holds what the service says, and what is on the chain,
against the book."""

from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import datetime
from typing import Any, ClassVar

import httpx
from hypothesis.stateful import RuleBasedStateMachine, invariant

from models.money import Currency
from models.order import RouteName
from tests.front import usual_settings
from tests.stateful.book import ENDED, FULL, Book, Known
from tests.stateful.policies import KNOWN_RULES, RECIPIENTS, ROOT, UNIT, Person
from tests.stateful.stage import Stage, edge


class Watch(RuleBasedStateMachine):
    """`open_stage` opens a service to ask; `seen` counts what happened in all sequences."""

    open_stage: ClassVar[Callable[[], Stage]]
    seen: ClassVar[dict[str, int]]

    def __init__(self) -> None:
        super().__init__()
        self.stage = type(self).open_stage()
        self.book = Book()
        self.names = 0
        self.read_blocks = 0
        self.count("sequences")

    @property
    def now(self) -> datetime:
        """The store's clock."""
        return self.stage.clock()

    def count(self, what: str) -> None:
        """One more of these."""
        self.seen[what] = self.seen.get(what, 0) + 1

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        """Let something happen."""
        return self.stage.run(step)

    # ---- asking ----

    def ask(
        self,
        who: Person,
        method: str,
        template: str,
        codes: Collection[str],
        maybe: Collection[str] = (),
        **request: Any,
    ) -> httpx.Response:
        """A request that must be granted if there are no `codes` against it, or else be refused
        with one of them; it may be refused with one of `maybe`."""
        path = template.format(**request.pop("at", {}))
        answer: httpx.Response = self.run(self.stage.ask(who, method, path, **request))
        self.check_answer(who, method, template, answer, codes, maybe)
        return answer

    def check_answer(
        self,
        who: Person,
        method: str,
        template: str,
        answer: httpx.Response,
        codes: Collection[str],
        maybe: Collection[str],
    ) -> None:
        told = f"{who} {method} {answer.request.url}: {answer.status_code} {answer.text}"
        self.count(f"{method} {template} {answer.status_code}")
        documented = edge().openapi()["paths"][template][method.lower()]["responses"]
        assert str(answer.status_code) in documented, f"not documented: {told}"
        if answer.is_success:
            assert not codes, f"against it speaks {codes}: {told}"
            return
        problem = answer.json()
        assert problem["status"] == answer.status_code, told
        self.check_problem(problem, codes, maybe)

    def check_problem(
        self, problem: dict[str, Any], codes: Collection[str], maybe: Collection[str]
    ) -> None:
        """A refusal is a declared one, with reasons, and one of those that there may be."""
        known = usual_settings().error_codes.codes[problem["code"]]
        assert (known.http_status, known.retryable) == (problem["status"], problem["retryable"])
        assert problem["detail"], problem
        assert problem["code"] in {*codes, *maybe}, f"only {codes} speak against it: {problem}"
        self.count(problem["code"])
        self.check_reasons(problem)

    def check_reasons(self, problem: dict[str, Any]) -> None:
        """A refusal by a rule, a route or a limit says which, and why."""
        code, extra = problem["code"], problem.get("extra", {})
        if code in ("P107", "P601") or "rule" in extra:
            assert extra["rule"] in KNOWN_RULES, problem
        if code in FULL:
            assert {"limit", "left", "resets_at"} <= extra.keys(), problem
            assert extra["limit"] in problem["detail"], problem
        if "routes" in extra:
            assert all(texts and all(texts) for texts in extra["routes"].values()), problem

    # ---- looking ----

    def views(self) -> dict[str, dict[str, Any]]:
        answer = self.run(self.stage.ask(ROOT, "GET", "/payouts", params={"limit": 200}))
        return {view["payout_id"]: view for view in answer.json()["items"]}

    @invariant()
    def look(self) -> None:
        """Everything is as people and policies have it, in what the service says and on chain."""
        views = self.views()
        assert views.keys() == self.book.payouts.keys()
        self.read_ledger()
        for payout_id, known in self.book.payouts.items():
            self.follow(known, views[payout_id])
        full = self.book.overdrawn()
        assert full is None, full

    def read_ledger(self) -> None:
        """Each transfer out of our wallets is one payout's, the very one that it asked for."""
        net = self.stage.house.net
        for transfer in self.stage.transfers(self.read_blocks):
            found = self.run(
                self.stage.ask(ROOT, "GET", "/payouts", params={"txid": transfer.txid})
            ).json()["items"]
            assert len(found) == 1, transfer
            known = self.book.payouts[found[0]["payout_id"]]
            asked = (known.draft.recipient, known.draft.amount, known.draft.currency, known.wallet)
            made = (transfer.recipient, transfer.amount, transfer.currency, transfer.sender)
            assert asked == made, (known, transfer)
            assert not known.paid, f"paid twice: {known} {transfer}"
            known.paid.append(transfer.txid)
            self.count("paid")
        self.read_blocks = net.head.number

    def follow(self, known: Known, view: dict[str, Any]) -> None:
        """What the service says has become of a payout may have become of it."""
        if view["route"] != known.route:
            self.fell_back(known, view)
        if view["attempts"] > known.attempts:
            assert view["attempts"] == known.attempts + 1, view
            against = self.book.against_paying(known, self.now)
            assert not against, (against, known, view)
            known.attempts = view["attempts"]
        status, before = view["status"], known.status
        if status != before:
            assert before not in ENDED, (known, view)
            check = MOVES[status]
            assert check(self, known, view), (known, view)
            known.status = status
            known.maybe_held = status in ENDED
            self.count(f"became {status}")
        if status in ENDED:
            assert (status == "completed") <= bool(known.paid), (known, view)
        if known.need is not None:
            given = [each["by"] for each in view["approval"]["given"]]
            assert given == known.consents, (known, view)

    def fell_back(self, known: Known, view: dict[str, Any]) -> None:
        """A payout that goes by another route without a person's word may, and says why."""
        route = RouteName(view["route"])
        against = self.book.against_falling(known, route, self.now)
        assert not against, (against, known, view)
        told = [each["text"] for each in view["findings"] if each["rule"] == "routing.fallback"]
        known.fallen += 1
        assert len(told) == known.fallen, view
        assert known.route in told[-1], view
        assert route in told[-1], view
        known.left(known.route, self.now)
        known.route = route
        assert view["wallet"] == known.wallet, view
        self.count("fell back")

    def limits(self, recipients: Sequence[str]) -> list[dict[str, Any]]:
        """The windows of now: those that all share, of the routes, and of these recipients."""
        windows: dict[str, dict[str, Any]] = {}
        for recipient in recipients:
            params = {"recipient": recipient}
            answer = self.run(self.stage.ask(ROOT, "GET", "/limits", params=params))
            windows |= {repr(window): window for window in answer.json()["windows"]}
        return [*windows.values()]

    def check_limits(self) -> None:
        """What is used of each limit is what is alive or paid; nothing else,
        but for what a choice of routes left behind a moment ago."""
        for window in self.limits(RECIPIENTS):
            owner = (window["scope"], None, window["owner"] or "")
            currency = Currency(window["currency"])
            if owner[0] == "client":
                continue  # its own: nobody else's payouts count there
            where = owner, window["period"], currency, self.now
            least, most = self.book.used(*where), self.book.used(*where, maybe=True)
            if window["amount"]:
                used = round(float(window["amount"]["used"]) * UNIT)
                assert least[0] <= used <= most[0], (window, least, most)
            if window["count"]:
                assert least[1] <= window["count"]["used"] <= most[1], (window, least, most)


def _expired(machine: Watch, known: Known, view: dict[str, Any]) -> bool:
    ends = [known.expires_at, known.deadline if known.status == "awaiting_approval" else None]
    return any(end is not None and end <= machine.now for end in ends)


def _stopped(machine: Watch, known: Known, view: dict[str, Any]) -> bool:
    """A rule that was asked again at dispatch ended it."""
    names = {rule.name for rule in machine.book.said_at_dispatch(known) if not rule.roles}
    told = {f["rule"] for f in view["findings"] if f["effect"] == "refuse"}
    return known.status == "pending" and bool(names) and names <= told


def _held(machine: Watch, known: Known, view: dict[str, Any]) -> bool:
    """A rule that was asked again at dispatch holds it, or its attempts come to nothing."""
    if view["hold"] is None:
        return known.status in ("pending", "processing")
    names = {rule.name for rule in machine.book.said_at_dispatch(known)}
    known.holds = tuple(view["hold"]["rules"])
    return known.status == "pending" and bool(known.holds) and {*known.holds} <= names


def _due(machine: Watch, known: Known, view: dict[str, Any]) -> bool:
    if known.status == "scheduled":
        return known.waits_for(machine.now) == "pending"
    return known.status == "processing"


MOVES: dict[str, Callable[[Watch, Known, dict[str, Any]], bool]] = {
    "pending": _due,
    "processing": lambda machine, known, view: known.status == "pending",
    "completed": lambda machine, known, view: bool(known.paid),
    "failed": lambda machine, known, view: known.attempts > 0 and not known.paid,
    "expired": _expired,
    "rejected": _stopped,
    "needs_review": _held,
}
"""What a payout may become by itself, and when; all else follows from what a person said."""
