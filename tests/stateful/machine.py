"""Random sequences of requests by everybody, while the loops turn, blocks are made, transactions
fail and days pass.
"""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from devnet.faults import Fault
from models.money import Currency
from models.order import RouteName
from tests.stateful.book import FULL, Draft, Known, KnownBatch
from tests.stateful.desk import OUT_OF_ORDER, Desk
from tests.stateful.drafts import (
    DAY,
    HOUR,
    MINUTE,
    admins,
    approvers,
    drafts,
    makers,
    ordinary_drafts,
    people,
    recipients,
)
from tests.stateful.policies import PEOPLE, RECIPIENTS, ROOT, SECOND, UNIT, WALLETS, Person

WAITING = ("awaiting_approval", "needs_review")
VERBS = ("approve", "approve", "approve", "reject")
UNSENT = ("pending", "scheduled", *WAITING)


class Router(Desk):
    """The machine."""

    # ---- creating ----

    @initialize(
        asked=st.lists(st.tuples(makers, ordinary_drafts()), min_size=2, max_size=3),
        together=st.lists(ordinary_drafts(), max_size=4),
    )
    def open_the_desk(
        self, asked: Sequence[tuple[Person, Draft]], together: Sequence[Draft]
    ) -> None:
        """Some recipients are known, and some of them are to be paid."""
        for level, address in ((2, RECIPIENTS[0]), (1, RECIPIENTS[1])):
            body = {"level": level, "verified_at": self.now.isoformat(), "reason": "seen"}
            self.ask(ROOT, "PUT", "/kyc/{address}", (), at={"address": address}, json=body)
            self.book.verify(address, level, self.now)
        for who, draft in asked:
            self.try_to_create(who, draft, self.fresh_key())
        if together:
            self.try_to_create_batch(asked[0][0], together, self.fresh_key())

    @rule(who=makers, draft=ordinary_drafts())
    def create_an_ordinary_one(self, who: Person, draft: Draft) -> None:
        self.try_to_create(who, draft, self.fresh_key())

    @rule(who=makers, draft=drafts())
    def create(self, who: Person, draft: Draft) -> None:
        self.try_to_create(who, draft, self.fresh_key())

    @precondition(lambda self: self.book.keys)
    @rule(who=makers, draft=ordinary_drafts())
    def create_with_a_key_of_others(self, who: Person, draft: Draft) -> None:
        """Keys are each client's own."""
        keys = {key for client, key in self.book.keys if client != who.client}
        mine = {key for client, key in self.book.keys if client == who.client}
        free = sorted(keys - mine)
        self.try_to_create(who, draft, free[-1] if free else self.fresh_key())

    @rule(who=makers, draft=drafts() | ordinary_drafts())
    def create_what_was_quoted(self, who: Person, draft: Draft) -> None:
        """A quote says what the same create then answers, and keeps nothing."""
        before = self.limits([draft.recipient])
        codes = {"P002"} if who.role == "APPROVER" else set()
        body = draft.body(self.now)
        answer = self.ask(who, "POST", "/payouts/quote", codes, json=body)
        assert self.limits([draft.recipient]) == before
        created = self.try_to_create(who, draft, self.fresh_key())
        if codes:
            return
        quote, made = answer.json(), created.json()
        assert quote["accepted"] is created.is_success, (quote, made)
        if not created.is_success:
            assert quote["refusal"]["code"] == made["code"], (quote, made)
            return
        decision = quote["decision"]
        assert (quote["route"], decision["findings"]) == (made["route"], made["findings"])
        assert (decision["hold"], decision["release_at"]) == (made["hold"], made["release_at"])
        wanted, needs = decision["approval"], made["approval"]
        assert (wanted is None) is (needs is None)
        if wanted is not None:
            assert (wanted["needed"], wanted["roles"]) == (needs["needed"], needs["roles"])

    @rule(
        who=makers,
        draft=drafts() | ordinary_drafts(),
        number=st.integers(2, 5),
        same_key=st.booleans(),
    )
    def create_many_at_once(self, who: Person, draft: Draft, number: int, same_key: bool) -> None:
        """However many come at once, one is made of each key, and the limits hold."""
        now, body = self.now, draft.body(self.now)
        codes = self.book.against_order(who, draft, now)
        keys = (
            [self.fresh_key()] * number if same_key else [self.fresh_key() for _ in range(number)]
        )
        answers = self.run(self.stage.ask_at_once(who, "POST", "/payouts", body, keys))
        maybe = {*self.full(who, draft), *FULL, *OUT_OF_ORDER, "P006"}
        for key, answer in zip(keys, answers, strict=True):
            self.check_answer(who, "POST", "/payouts", answer, codes, maybe)
            if answer.status_code == 201:
                self.accept(who, draft, key, answer.json(), exact=False)
        made = {answer.json()["payout_id"] for answer in answers if answer.is_success}
        assert len(made) <= len(set(keys))
        assert sum(answer.status_code == 201 for answer in answers) == len(made)

    @precondition(lambda self: self.book.keys)
    @rule(data=st.data(), draft=drafts())
    def ask_again(self, data: st.DataObject, draft: Draft) -> None:
        """The same key gives the same payout, or is refused for another body."""
        (_, key), payout_id = data.draw(st.sampled_from(sorted_keys(self.book.keys)))
        known = self.book.payouts[payout_id]
        same = data.draw(st.booleans())
        first = known.draft.body(known.created_at)
        body = first if same else draft.body(self.now)
        answer = self.ask(
            known.maker,
            "POST",
            "/payouts",
            () if body == first else {"P005"},
            json=body,
            headers={"Idempotency-Key": key},
        )
        if body == first:
            assert (answer.status_code, answer.json()["payout_id"]) == (200, payout_id)

    @rule(who=makers, asked=st.lists(drafts() | ordinary_drafts(), min_size=1, max_size=4))
    def create_a_batch(self, who: Person, asked: Sequence[Draft]) -> None:
        self.try_to_create_batch(who, asked, self.fresh_key())

    @precondition(lambda self: self.book.batches)
    @rule(data=st.data(), draft=ordinary_drafts(), same=st.sampled_from([True, True, False]))
    def ask_for_a_batch_again(self, data: st.DataObject, draft: Draft, same: bool) -> None:
        """What was taken is found, the rest tried again; another body is refused as a whole."""
        key = data.draw(st.sampled_from(sorted(self.book.batches)))
        batch = self.book.batches[key]
        since = (self.now - batch.created_at).total_seconds()
        before = {**batch.payouts}
        if not same:
            self.ask_for_batch(batch.maker, [*batch.drafts, draft], key, {"P005"})
            return
        again = [each.aged(since) for each in batch.drafts]
        answer = self.ask_for_batch(batch.maker, again, key, ())
        self.take_batch(batch, key, answer.json())
        whole, new = len(batch.payouts) == len(again), batch.payouts != before
        assert answer.status_code == ((201 if new else 200) if whole else 207)

    @precondition(lambda self: self.book.batches)
    @rule(data=st.data(), who=people)
    def look_at_a_batch(self, data: st.DataObject, who: Person) -> None:
        """Whoever may see some of its payouts sees these, and no others."""
        batch = self.some_batch(data)
        codes = self.book.against_batch(who, batch, "batch:view")
        at = {"batch_id": batch.batch_id}
        answer = self.ask(who, "GET", "/batches/{batch_id}", codes, at=at)
        if answer.is_success:
            seen = {item["index"]: item["payout"]["payout_id"] for item in answer.json()["items"]}
            reached = self.book.reached(who, batch, "batch:view")
            assert seen == {number: known.payout_id for number, known in reached.items()}

    # ---- deciding ----

    @precondition(lambda self: self.book.batches)
    @rule(data=st.data(), who=people, verb=st.sampled_from(VERBS))
    def meddle_with_a_batch(self, data: st.DataObject, who: Person, verb: str) -> None:
        self.say_of_batch(who, self.some_batch(data), verb)

    @precondition(lambda self: self.waiting_batches())
    @rule(data=st.data(), verb=st.sampled_from(VERBS))
    def decide_about_a_batch(self, data: st.DataObject, verb: str) -> None:
        batch = data.draw(st.sampled_from(self.waiting_batches()))
        fits = [
            who
            for who in PEOPLE
            if any(
                not self.book.against_approval(who, known, self.now)
                for known in batch.payouts.values()
            )
        ]
        self.say_of_batch(data.draw(st.sampled_from(fits or PEOPLE) | approvers), batch, verb)

    def some_batch(self, data: st.DataObject) -> KnownBatch:
        """A batch of which something was taken."""
        return data.draw(st.sampled_from([*self.book.batches.values()]))

    def waiting_batches(self) -> list[KnownBatch]:
        """Those of which something awaits approval."""
        return [
            batch
            for batch in self.book.batches.values()
            if any(known.status == "awaiting_approval" for known in batch.payouts.values())
        ]

    @precondition(lambda self: self.book.open("awaiting_approval"))
    @rule(data=st.data())
    def approve(self, data: st.DataObject) -> None:
        known = self.pick(data, "awaiting_approval")
        fits = [who for who in PEOPLE if not self.book.against_approval(who, known, self.now)]
        close = {known.maker.subject, *known.consents}
        again = [who for who in PEOPLE if who.subject in close]
        who = data.draw(st.sampled_from(fits or again) | st.sampled_from(again) | approvers)
        self.say_approve(who, known)

    @precondition(lambda self: self.book.open("needs_review"))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        known = self.pick(data, "needs_review")
        fits = [who for who in PEOPLE if not self.book.against_release(who, known)]
        self.say_release(data.draw(st.sampled_from(fits or PEOPLE) | approvers), known)

    @precondition(lambda self: self.book.open(*WAITING))
    @rule(data=st.data(), who=approvers)
    def reject(self, data: st.DataObject, who: Person) -> None:
        self.say_reject(who, self.pick(data, *WAITING))

    @precondition(lambda self: self.book.open(*UNSENT))
    @rule(data=st.data(), who=people)
    def cancel(self, data: st.DataObject, who: Person) -> None:
        known = self.pick(data, *UNSENT)
        self.say_cancel(data.draw(st.sampled_from([known.maker, who])), known)

    @precondition(lambda self: self.book.open(*UNSENT))
    @rule(data=st.data(), who=admins, route=st.sampled_from(RouteName))
    def reroute(self, data: st.DataObject, who: Person, route: RouteName) -> None:
        self.say_route(who, self.pick(data, *UNSENT), route)

    @precondition(lambda self: self.book.open("needs_review"))
    @rule(data=st.data(), who=admins, action=st.sampled_from(["retry", "fail"]))
    def resolve(self, data: st.DataObject, who: Person, action: str) -> None:
        self.say_resolve(who, self.pick(data, "needs_review"), action)

    @precondition(lambda self: self.book.payouts)
    @rule(data=st.data(), who=people, route=st.sampled_from(RouteName))
    def meddle(self, data: st.DataObject, who: Person, route: RouteName) -> None:
        """Anybody decides anything about any payout."""
        known = data.draw(st.sampled_from([*self.book.payouts.values()]))
        say = [self.say_approve, self.say_release, self.say_reject, self.say_cancel]
        say += [partial(self.say_route, route=route), partial(self.say_resolve, action="retry")]
        data.draw(st.sampled_from(say))(who, known)

    def pick(self, data: st.DataObject, *statuses: str) -> Known:
        """A payout in one of these statuses."""
        return data.draw(st.sampled_from(self.book.open(*statuses)))

    # ---- compliance ----

    @rule(
        who=admins,
        address=recipients,
        level=st.integers(1, 3),
        days_ago=st.sampled_from([0, 0, 0.5, 1, 1.5, 3, -1]),
    )
    def verify(self, who: Person, address: str, level: int, days_ago: float) -> None:
        codes = self.book.against_acting(who, "compliance:edit") or self.book.against_kyc(
            level, days_ago
        )
        verified_at = self.book.days_before(self.now, days_ago)
        body = {"level": level, "verified_at": verified_at.isoformat(), "reason": "seen"}
        self.ask(who, "PUT", "/kyc/{address}", codes, at={"address": address}, json=body)
        if not codes:
            self.book.verify(address, level, verified_at)

    @rule(who=admins, address=recipients)
    def forget(self, who: Person, address: str) -> None:
        codes = self.book.against_acting(who, "compliance:edit")
        if not codes and address not in self.book.kyc:
            codes = {"P010"}
        at, why = {"address": address}, {"reason": "a mistake"}
        if self.ask(who, "DELETE", "/kyc/{address}", codes, at=at, params=why).is_success:
            del self.book.kyc[address]

    @precondition(lambda self: self.book.open(*UNSENT))
    @rule(data=st.data(), who=st.sampled_from([p for p in PEOPLE if p.role == "SUPER_ADMIN"]))
    def list_a_recipient(self, data: st.DataObject, who: Person) -> None:
        """Whoever waits for money comes on the list of those who get none."""
        known = self.pick(data, *UNSENT)
        name = data.draw(st.sampled_from(["deny", "sanctions"]))
        self.change_a_list(who=who, address=known.draft.recipient, name=name, on=True)

    @rule(
        who=admins,
        address=recipients,
        name=st.sampled_from(["deny", "allow", "allow", "sanctions"]),
        on=st.booleans(),
    )
    def change_a_list(self, who: Person, address: str, name: str, on: bool) -> None:
        codes = self.book.against_acting(who, "compliance:edit")
        if not codes and not on and address not in self.book.lists[name]:
            codes = {"P010"}
        request = {"json": {"reason": "case 4711"}} if on else {"params": {"reason": "cleared"}}
        at = {"list_name": name, "address": address}
        template = "/lists/{list_name}/{address}"
        answer = self.ask(who, "PUT" if on else "DELETE", template, codes, at=at, **request)
        if answer.is_success:
            change = self.book.lists[name].add if on else self.book.lists[name].remove
            change(address)

    # ---- stopping ----

    @rule(
        who=admins,
        pause=st.sampled_from(
            [
                ("intake", None),
                ("intake", "TRX"),
                ("dispatch", None),
                ("dispatch", "USDT"),
                ("dispatch", WALLETS[0].address),
            ]
        ),
        on=st.booleans(),
    )
    def stop_or_go_on(self, who: Person, pause: tuple[str, str | None], on: bool) -> None:
        codes = self.book.against_acting(who, "system:pause")
        if not codes and not on and pause not in self.book.pauses:
            codes = {"P010"}
        template = "/admin/pause" if on else "/admin/resume"
        if self.ask(who, "POST", template, codes, json=pausing(pause)).is_success:
            (self.book.pauses.add if on else self.book.pauses.remove)(pause)

    @precondition(lambda self: self.movable())
    @rule(data=st.data())
    def stop_a_wallet_for_long(self, data: st.DataObject) -> None:
        """What waits for it and left the choice to us may go by another route."""
        wallet = data.draw(st.sampled_from(self.movable())).wallet
        self.stop_or_go_on(who=ROOT, pause=("dispatch", wallet), on=True)
        self.wait(seconds=3 * MINUTE)
        self.keep_time()

    def movable(self) -> list[Known]:
        """What waits to be paid on one route, and could be on another one that is not urgent."""
        return [
            known
            for known in self.book.open("pending")
            if known.draft.route == "smart"
            and not known.chosen
            and self.book.routes_for(known.draft, self.now) - {known.route, RouteName.DIRECT}
        ]

    # ---- the world ----

    @rule(wallet=st.sampled_from(WALLETS), currency=st.sampled_from(Currency))
    def fund(self, wallet: Any, currency: Currency) -> None:
        name = "token_units" if currency is Currency.USDT else "trx_sun"
        self.stage.house.net.fund(wallet.address, **{name: 300 * UNIT})

    @precondition(lambda self: self.book.open("pending"))
    @rule(
        kind=st.sampled_from(
            [
                ("force_result", "REVERT"),
                ("force_result", "OUT_OF_ENERGY"),
                ("swallow", None),
                ("refuse", "SERVER_BUSY"),
                ("misreport", "SERVER_BUSY"),
                ("transfer_log", "wrong_amount"),
            ]
        ),
        data=st.data(),
    )
    def spoil(self, kind: tuple[str, str | None], data: st.DataObject) -> None:
        """The next transaction to somebody who waits for one goes wrong on the chain."""
        recipient = self.pick(data, "pending").draft.recipient
        fault = Fault(kind=kind[0], value=kind[1], count=1, recipient=recipient)
        self.stage.house.net.faults.add(fault)

    @rule(seconds=st.sampled_from([3 * MINUTE, 6 * MINUTE, 25 * MINUTE, HOUR, DAY, 9 * DAY]))
    def wait(self, seconds: float) -> None:
        self.stage.pass_time(seconds)

    @rule()
    def dispatch(self) -> None:
        self.run(self.stage.house.read())
        self.look()
        self.run(self.stage.house.dispatch())

    @rule(blocks=st.integers(1, 6))
    def settle(self, blocks: int) -> None:
        self.run(self.stage.house.settle(blocks))

    @rule()
    def keep_time(self) -> None:
        """The loops that time moves: the scheduler's, the housekeeper's, the sequencer's."""
        self.book.release_batches(self.now)
        self.run(self.stage.keep_time())
        self.swept()
        self.check_limits()
        waiting = self.book.open("scheduled")
        assert all(known.waits_for(self.now) == "scheduled" for known in waiting), waiting

    def swept(self) -> None:
        """Housekeeping gave back what ended payouts had reserved."""
        self.look()
        for known in self.book.payouts.values():
            known.swept(self.now)

    @rule()
    def turn(self) -> None:
        """All loops, one after the other, long enough to pay what can be paid."""
        self.dispatch()
        self.look()
        self.settle(6)
        self.keep_time()

    # ---- the end ----

    def teardown(self) -> None:
        """Everything is let go, paid and settled; then the books are closed."""
        try:
            if sys.exception() is None:
                self.let_go()
                self.close_the_books()
        finally:
            self.stage.close()

    def let_go(self) -> None:
        for pause in sorted(self.book.pauses, key=str):
            self.ask(ROOT, "POST", "/admin/resume", (), json=pausing(pause))
        self.book.pauses.clear()
        self.stage.house.net.faults.clear()
        for wallet in WALLETS:
            amounts = {"token_units": 10_000 * UNIT, "trx_sun": 10_000 * UNIT}
            self.stage.house.net.fund(wallet.address, **amounts)
        for seconds in (0, 20 * MINUTE, HOUR, DAY, 9 * DAY, 31 * DAY, HOUR, HOUR):
            if not self.book.open():
                break
            self.stage.pass_time(seconds)
            self.look()
            self.let_everybody_pass(last=seconds == HOUR)
            self.turn()
            self.look()

    def let_everybody_pass(self, *, last: bool) -> None:
        for known in self.book.open("needs_review"):
            if known.holds and not known.paid:
                self.say_release(ROOT, known)
            else:
                self.say_resolve(ROOT, known, "fail" if last else "retry")
        for known in self.book.open("awaiting_approval"):
            for who in (ROOT, SECOND):
                self.say_approve(who, known)

    def close_the_books(self) -> None:
        """The ledger is the completed payouts, wallet by wallet; limits hold what was paid; the
        audit log is whole."""
        assert not self.book.open(), self.book.open()
        self.stage.pass_time(HOUR)
        self.run(self.stage.keep_time())
        self.run(self.stage.keep_time())
        self.swept()
        completed = sorted(
            (known.wallet, known.draft.recipient, known.draft.currency, known.draft.amount)
            for known in self.book.payouts.values()
            if known.status == "completed"
        )
        ledger = sorted(
            (each.sender, each.recipient, each.currency, each.amount)
            for each in self.stage.transfers(0)
        )
        assert completed == ledger
        self.check_limits()
        self.run(self.stage.check_windows())
        answer = self.ask(ROOT, "GET", "/audit/verify", ())
        assert answer.json()["ok"], answer.text
        assert answer.json()["head"]["number"] >= len(self.book.payouts)


def pausing(pause: tuple[str, str | None]) -> dict[str, str]:
    what, which = pause
    name = "currency" if which in tuple(Currency) else "wallet"
    return {"what": what, "reason": "to be sure"} | ({name: which} if which else {})


def sorted_keys(keys: dict[Any, str]) -> list[Any]:
    return sorted(keys.items(), key=lambda item: item[1])
