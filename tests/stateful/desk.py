"""Requests whose outcome the book knows, and what it writes down of them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import httpx

from models.order import RouteName
from tests.access import reach_of
from tests.stateful.book import FULL, Draft, Known, KnownBatch
from tests.stateful.policies import KNOWN_RULES, Person
from tests.stateful.watch import Watch

OUT_OF_ORDER = frozenset({"P401"})
"""A route whose breaker is open, or that is full."""


class Desk(Watch):
    """Creates payouts and decides about them as anybody."""

    def fresh_key(self) -> str:
        self.names += 1
        return f"key-{self.names}"

    def try_to_create(self, who: Person, draft: Draft, key: str) -> httpx.Response:
        codes = self.book.against_order(who, draft, self.now)
        maybe = {*self.full(who, draft), *OUT_OF_ORDER}
        answer = self.ask(
            who,
            "POST",
            "/payouts",
            codes,
            maybe,
            json=draft.body(self.now),
            headers={"Idempotency-Key": key},
        )
        if answer.is_success:
            self.accept(who, draft, key, answer.json(), exact=True)
        return answer

    def try_to_create_batch(self, who: Person, drafts: Sequence[Draft], key: str) -> None:
        """Several at once: of each becomes what would if they came one after the other."""
        may = all(reach_of(who.role, each) for each in ("batch:create", "payout:create"))
        answer = self.ask_for_batch(who, drafts, key, () if may else {"P002"})
        if not answer.is_success:
            return
        batch = KnownBatch(answer.json()["batch_id"], who, drafts, self.now)
        self.take_batch(batch, key, answer.json())
        if batch.payouts:
            self.book.batches[key] = batch
        assert answer.status_code == (201 if len(batch.payouts) == len(drafts) else 207)

    def ask_for_batch(
        self, who: Person, drafts: Sequence[Draft], key: str, codes: Collection[str]
    ) -> httpx.Response:
        body = {"payouts": [draft.body(self.now) for draft in drafts]}
        headers = {"Idempotency-Key": key}
        return self.ask(who, "POST", "/batches", codes, json=body, headers=headers)

    def take_batch(self, batch: KnownBatch, key: str, answer: dict[str, Any]) -> None:
        """What is said of each payout that was not there before fits what speaks against it."""
        items, since = len(batch.drafts), (self.now - batch.created_at).total_seconds()
        assert answer["batch_id"] == batch.batch_id
        assert [item["index"] for item in answer["items"]] == [*range(items)]
        for number, item in enumerate(answer["items"]):
            if number in batch.payouts:
                assert item["payout"]["payout_id"] == batch.payouts[number].payout_id, item
                continue
            draft = batch.drafts[number].aged(since)
            codes = self.book.against_order(batch.maker, draft, self.now)
            if item["problem"] is not None:
                assert item["payout"] is None
                maybe = {*self.full(batch.maker, draft), *OUT_OF_ORDER}
                self.check_problem(item["problem"], codes, maybe)
                continue
            assert not codes, (codes, item)
            item_key, view = f"{key} {number}", item["payout"]
            known = self.accept(batch.maker, draft, item_key, view, exact=True, items=items)
            assert view["batch_id"] == batch.batch_id
            batch.payouts[number] = known
        self.count("batch")

    def say_of_batch(self, who: Person, batch: KnownBatch, verb: str) -> None:
        """Somebody decides about a whole batch: each payout of it, as if it were asked alone."""
        action = f"payout:{verb}"
        codes = self.book.against_batch(who, batch, action)
        answer = self.ask(
            who,
            "POST",
            f"/batches/{{batch_id}}/{verb}",
            codes,
            at={"batch_id": batch.batch_id},
            json={"comment": "all of them"},
        )
        if not answer.is_success:
            return
        reached = self.book.reached(who, batch, action)
        items = {item["index"]: item for item in answer.json()["items"]}
        assert items.keys() == reached.keys(), answer.text
        for number, known in reached.items():
            item = items[number]
            asked = known.status == "awaiting_approval"
            if verb == "approve":
                asked = asked and who.subject not in known.consents
                against = self.book.against_approval(who, known, self.now) if asked else set()
            else:
                against = self.book.against_rejection(who, known) if asked else set()
            assert bool(against) is (item["problem"] is not None), (against, item)
            if against:
                self.check_problem(item["problem"], against, ())
            elif asked:
                self.count(f"{verb} in a batch")
                self.take_word(who, known, verb)
            assert item["payout"]["status"] == known.status, (known, item)

    def take_word(self, who: Person, known: Known, verb: str) -> None:
        """Write down what was decided."""
        if verb == "approve":
            known.consents.append(who.subject)
            known.status = known.waits_for(self.now)
        else:
            known.status = "rejected"

    def full(self, who: Person, draft: Draft) -> set[str]:
        """The codes of limits that one more payout may exceed, whichever route it takes."""
        codes: set[str] = set()
        for route in self.book.routes_for(draft, self.now, who):
            codes |= self.book.full_for(who, draft, route, self.now)
        return codes

    def accept(
        self,
        who: Person,
        draft: Draft,
        key: str,
        view: dict[str, Any],
        *,
        exact: bool,
        items: int | None = None,
    ) -> Known:
        """Everything about a new payout is as the policies have it. One of several that came at
        once may have been judged before those that the book has by now (not `exact`); one of the
        `items` of a batch, after those before it."""
        route = RouteName(view["route"])
        assert route in self.book.routes_for(draft, self.now, who), view
        known = self.book.accept(view["payout_id"], who, draft, route, self.now, items or 1)
        if items is None:
            self.book.keys[who.client, key] = known.payout_id
        hold, approval = view["hold"], view["approval"]
        if not exact:
            known.holds = tuple(hold["rules"]) if hold else ()
            known.status = known.waits_for(self.now)
        assert view["status"] == known.status, (known, view)
        assert (hold["rules"] if hold else []) == [*known.holds], (known, view)
        assert (set(hold["roles"]) if hold else set()) == (known.hold_roles if hold else set())
        assert (approval is not None) is (known.need is not None), (known, view)
        if known.need is not None:
            asked = (approval["needed"], tuple(approval["roles"]), moment(approval["expires_at"]))
            assert asked == (known.need.needed, known.need.roles, known.deadline), (known, view)
        released = view["release_at"] and moment(view["release_at"])
        assert released == known.waits_until, (known, view)
        assert view["wallet"] == known.wallet
        assert self.book.overdrawn_by(known) is None, (known, self.book.overdrawn_by(known))
        self.count(f"accepted {known.status}")
        self.count(f"accepted on {route}")
        self.check_findings(known, view)
        return known

    def check_findings(self, known: Known, view: dict[str, Any]) -> None:
        """Its reasons are there in words, each with the name of its rule."""
        said = {(finding["rule"], finding["effect"]) for finding in view["findings"]}
        for finding in view["findings"]:
            rule = finding["rule"]
            assert finding["text"], view
            assert rule in KNOWN_RULES or rule.startswith(("routing.", "routes.", "route_chosen"))
        assert any(known.route in f["text"] for f in view["findings"] if "rout" in f["rule"]), view
        assert {(rule, "hold") for rule in known.holds} <= said, view
        if known.need is not None:
            assert {(each, "approve") for each in known.need.name.split("+")} <= said, view

    def say_approve(self, who: Person, known: Known) -> None:
        codes = self.book.against_approval(who, known, self.now)
        answer = self.decide(who, known, "approve", codes, comment="fine")
        if answer.is_success:
            known.consents.append(who.subject)
            given = [each["by"] for each in answer.json()["approval"]["given"]]
            assert given == known.consents
            self.goes_on(known, answer)

    def say_release(self, who: Person, known: Known) -> None:
        codes = self.book.against_release(who, known)
        answer = self.decide(who, known, "release", codes, comment="known to us")
        if answer.is_success:
            known.let_pass(self.now)
            self.goes_on(known, answer)

    def goes_on(self, known: Known, answer: httpx.Response) -> None:
        """It waits for what is left to wait for."""
        known.status = known.waits_for(self.now)
        assert answer.json()["status"] == known.status, (known, answer.text)

    def say_reject(self, who: Person, known: Known) -> None:
        codes = self.book.against_rejection(who, known)
        if self.decide(who, known, "reject", codes, comment="not this one").is_success:
            known.status = "rejected"

    def say_cancel(self, who: Person, known: Known) -> None:
        codes = self.book.against_cancelling(who, known)
        if self.decide(who, known, "cancel", codes, reason="not needed").is_success:
            known.status = "cancelled"

    def say_route(self, who: Person, known: Known, route: RouteName) -> None:
        codes = self.book.against_route(who, known, route, self.now)
        certain = () if codes <= FULL else codes
        maybe = {*codes, *OUT_OF_ORDER}
        body = {"route": route, "reason": "the other one is slow"}
        granted = self.decide(who, known, "route", certain, maybe, **body).is_success
        known.left(known.route if granted else route, self.now)
        if granted:
            known.route, known.chosen = route, True
            assert self.book.overdrawn() is None

    def say_resolve(self, who: Person, known: Known, action: str) -> None:
        """Nobody says that something was paid, or was not, unless it is so."""
        action = "complete" if known.paid else action
        codes = self.book.against_resolving(who, known, action)
        if self.decide(who, known, "resolve", codes, action=action, reason="decided").is_success:
            known.status = {"retry": "pending", "fail": "failed", "complete": "completed"}[action]
            known.holds = ()

    def decide(
        self,
        who: Person,
        known: Known,
        verb: str,
        codes: Collection[str],
        maybe: Collection[str] = (),
        **body: Any,
    ) -> httpx.Response:
        template = f"/payouts/{{payout_id}}/{verb}"
        at = {"payout_id": known.payout_id}
        return self.ask(who, "POST", template, codes, maybe, at=at, json=body)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
