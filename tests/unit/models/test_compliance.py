"""What the rules say of a payout, in which words, and what follows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.compliance import (
    Facts,
    Per,
    Rule,
    RuleKind,
    Screening,
    kyc_level,
    kyc_record,
    screen,
    velocity_asked,
)
from models.errors import PayoutError
from models.findings import Effect, Finding, Hold
from models.money import Currency
from models.registry import AddressList, KycRecord, Velocity
from tests.factories import RECIPIENT, an_order

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ONE = 1_000_000
ORDER = an_order(amount=5_000 * ONE)
FROM_5000 = {Currency.USDT: 5_000 * ONE, Currency.TRX: 15_000 * ONE}
QUIET = Velocity(to_recipient={600: 0, 3600: 0}, by_client={600: 0, 3600: 0}, recipient_known=True)
VALIDITY = {1: 180 * DAY, 2: 365 * DAY, 3: 180 * DAY}


def a_rule(kind: RuleKind, effect: Effect = Effect.REFUSE, **parameters: Any) -> Rule:
    usual: dict[str, Any] = {"name": str(kind), "roles": ("ADMIN",), "workflow": None}
    return Rule(kind=kind, effect=effect, **usual | parameters)


def verified(level: int, *, until: datetime = NOW + DAY) -> KycRecord:
    return KycRecord(RECIPIENT, level, NOW - 30 * DAY, until)


def said(rule: Rule, facts: Facts, **order: Any) -> str | None:
    """What a rule says of an order of 5,000 USDT; None for nothing."""
    findings = screen(replace(ORDER, **order), facts, [rule], NOW).findings
    return findings[0].text if findings else None


KYC_2 = a_rule(RuleKind.KYC_REQUIRED, level=2, from_amount=FROM_5000)
BURST = a_rule(RuleKind.VELOCITY, count=5, window_seconds=600)
BUSY_CLIENT = a_rule(RuleKind.VELOCITY, per=Per.CLIENT, count=100, window_seconds=3600)


@pytest.mark.parametrize(
    ("rule", "facts", "text"),
    [
        (a_rule(RuleKind.DENY_LIST), Facts(), None),
        (a_rule(RuleKind.DENY_LIST), Facts(lists={AddressList.ALLOW}), None),
        (
            a_rule(RuleKind.DENY_LIST),
            Facts(lists={AddressList.DENY, AddressList.ALLOW}),
            "the recipient is on the deny list",
        ),
        (a_rule(RuleKind.SANCTIONS), Facts(lists={AddressList.DENY}), None),
        (
            a_rule(RuleKind.SANCTIONS),
            Facts(lists={AddressList.SANCTIONS}),
            "the recipient is on the sanctions list",
        ),
        (a_rule(RuleKind.ALLOW_LIST_ONLY), Facts(lists={AddressList.ALLOW}), None),
        (
            a_rule(RuleKind.ALLOW_LIST_ONLY),
            Facts(lists={AddressList.DENY}),
            "the recipient is not on the allow list",
        ),
        (a_rule(RuleKind.TOKEN_BLACKLIST), Facts(), None),
        (
            a_rule(RuleKind.TOKEN_BLACKLIST),
            Facts(blacklisted=True),
            "the USDT contract has the recipient on its blacklist",
        ),
        (KYC_2, Facts(kyc=verified(2)), None),
        (KYC_2, Facts(kyc=verified(3)), None),
        (
            KYC_2,
            Facts(),
            "5000.00 USDT (from 5000.00 on) needs KYC level 2; the recipient is not verified",
        ),
        (
            KYC_2,
            Facts(kyc=verified(1)),
            "5000.00 USDT (from 5000.00 on) needs KYC level 2; the recipient has level 1",
        ),
        (
            KYC_2,
            Facts(kyc=verified(3, until=NOW)),
            "5000.00 USDT (from 5000.00 on) needs KYC level 2; the recipient's verification ended "
            "on 2026-03-01",
        ),
        (
            a_rule(RuleKind.AMOUNT_REVIEW, from_amount=FROM_5000),
            Facts(),
            "5000.00 USDT (from 5000.00 on) is looked at before it is paid",
        ),
        (BURST, Facts(velocity=replace(QUIET, to_recipient={600: 3})), None),
        (BURST, Facts(velocity=replace(QUIET, by_client={600: 99})), None),
        (
            BURST,
            Facts(velocity=replace(QUIET, to_recipient={600: 4})),
            "with this one, 5 payouts or more to this recipient within 10 minutes",
        ),
        (BUSY_CLIENT, Facts(velocity=replace(QUIET, by_client={3600: 98})), None),
        (
            BUSY_CLIENT,
            Facts(velocity=replace(QUIET, by_client={3600: 100})),
            "with this one, 100 payouts or more of this client within 1 hour",
        ),
        (a_rule(RuleKind.NEW_RECIPIENT), Facts(velocity=QUIET), None),
        (
            a_rule(RuleKind.NEW_RECIPIENT),
            Facts(velocity=replace(QUIET, recipient_known=False)),
            "the first payout to this recipient",
        ),
    ],
)
def test_what_a_rule_says(rule: Rule, facts: Facts, text: str | None) -> None:
    assert said(rule, facts) == text


def test_an_amount_below_is_not_looked_at() -> None:
    for rule in (KYC_2, a_rule(RuleKind.AMOUNT_REVIEW, from_amount=FROM_5000)):
        assert said(rule, Facts(), amount=5_000 * ONE - 1) is None
        trx = {"currency": Currency.TRX}
        assert said(rule, Facts(), amount=15_000 * ONE - 1, **trx) is None
        assert said(rule, Facts(), amount=15_000 * ONE, **trx) is not None


def test_a_rule_without_an_amount_is_for_all() -> None:
    assert said(a_rule(RuleKind.KYC_REQUIRED, level=1), Facts(), amount=1) == (
        "0.000001 USDT needs KYC level 1; the recipient is not verified"
    )


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (RuleKind.SANCTIONS, "P601"),
        (RuleKind.DENY_LIST, "P107"),
        (RuleKind.ALLOW_LIST_ONLY, "P107"),
        (RuleKind.TOKEN_BLACKLIST, "P107"),
        (RuleKind.KYC_REQUIRED, "P402"),
        (RuleKind.AMOUNT_REVIEW, "P600"),
        (RuleKind.VELOCITY, "P600"),
        (RuleKind.NEW_RECIPIENT, "P600"),
    ],
)
def test_what_follows_is_what_the_policy_says(kind: RuleKind, code: str) -> None:
    """Every kind with every effect."""
    rule = a_rule(kind, level=1, count=1, window_seconds=600, roles=("ADMIN", "SUPER_ADMIN"))
    lists = () if kind is RuleKind.ALLOW_LIST_ONLY else tuple(AddressList)
    facts = Facts(lists, blacklisted=True, velocity=replace(QUIET, recipient_known=False))
    text = said(rule, facts)
    assert text is not None

    def outcome(effect: Effect, workflow: str | None = None) -> Screening:
        return screen(ORDER, facts, [replace(rule, effect=effect, workflow=workflow)], NOW)

    refused = Finding(kind, Effect.REFUSE, text, code)
    assert outcome(Effect.REFUSE) == Screening((refused,), refusal=refused)
    assert outcome(Effect.HOLD) == Screening(
        (Finding(kind, Effect.HOLD, text, code),),
        hold=Hold((kind.value,), text, code, ("ADMIN", "SUPER_ADMIN")),
    )
    assert outcome(Effect.APPROVE, "high_value") == Screening(
        (Finding(kind, Effect.APPROVE, text, "P602"),), workflows=("high_value",)
    )
    for effect in (Effect.ALERT, Effect.NOTE):
        assert outcome(effect) == Screening((Finding(kind, effect, text),))


def test_without_rules_nothing_is_said() -> None:
    assert screen(ORDER, Facts(lists=tuple(AddressList)), [], NOW) == Screening()


EVERYBODY = ("APPROVER", "ADMIN", "SUPER_ADMIN")
HOLDING = (
    a_rule(RuleKind.AMOUNT_REVIEW, Effect.HOLD, name="large", roles=EVERYBODY),
    a_rule(RuleKind.DENY_LIST, Effect.HOLD, name="denied", roles=("SUPER_ADMIN", "ADMIN")),
)
DENIED = Facts(lists={AddressList.DENY})


def test_one_hold_for_all_rules_that_hold() -> None:
    """Whoever may release one of them but not the other releases nothing."""
    screening = screen(ORDER, DENIED, HOLDING, NOW)
    assert [finding.rule for finding in screening.findings] == ["large", "denied"]
    assert screening.hold == Hold(
        rules=("large", "denied"),
        text="5000.00 USDT is looked at before it is paid; the recipient is on the deny list",
        code="P600",
        roles=("ADMIN", "SUPER_ADMIN"),
    )


def test_what_a_person_released_is_not_held_again() -> None:
    screening = screen(ORDER, DENIED, HOLDING, NOW, released={"denied"})
    assert screening.hold is not None
    assert screening.hold.rules == ("large",)
    assert screening.findings[1] == Finding(
        "denied", Effect.NOTE, "the recipient is on the deny list (released by a person)"
    )
    assert screen(ORDER, DENIED, HOLDING, NOW, released={"denied", "large"}).hold is None


def test_nobody_releases_a_refusal() -> None:
    rule = a_rule(RuleKind.DENY_LIST)
    assert screen(ORDER, DENIED, [rule], NOW, released={rule.name}).refusal is not None


def test_at_dispatch_only_what_is_marked_is_asked() -> None:
    marked = a_rule(RuleKind.DENY_LIST, at_dispatch=True)
    rules = [BURST, a_rule(RuleKind.NEW_RECIPIENT), a_rule(RuleKind.ALLOW_LIST_ONLY), marked]
    screening = screen(ORDER, DENIED, rules, NOW, at_dispatch=True)
    assert [finding.rule for finding in screening.findings] == [marked.name]
    assert screening.refusal == screening.findings[0]


@pytest.mark.parametrize("rule", [BURST, a_rule(RuleKind.NEW_RECIPIENT)])
def test_a_rule_that_lacks_its_counts_is_an_error_and_not_passed(rule: Rule) -> None:
    with pytest.raises(ValueError, match="without counts"):
        screen(ORDER, Facts(), [rule], NOW)


def test_what_is_to_be_counted() -> None:
    assert velocity_asked([BURST, KYC_2, BUSY_CLIENT]) == (frozenset({600, 3600}), 100)
    assert velocity_asked([KYC_2]) == (frozenset(), 1)


rule_lists = st.lists(
    st.builds(
        a_rule,
        st.sampled_from(RuleKind),
        st.sampled_from([Effect.REFUSE, Effect.HOLD, Effect.ALERT, Effect.NOTE]),
        name=st.uuids().map(str),
        roles=st.lists(st.sampled_from(EVERYBODY), unique=True).map(tuple),
        level=st.integers(1, 3),
        per=st.sampled_from(Per),
        count=st.integers(2, 8),
        window_seconds=st.sampled_from([600, 3600]),
        from_amount=st.dictionaries(st.just(Currency.USDT), st.integers(1, 10_000 * ONE)),
    ),
    max_size=6,
)
facts = st.builds(
    Facts,
    lists=st.frozensets(st.sampled_from(AddressList)),
    blacklisted=st.booleans(),
    kyc=st.none() | st.builds(verified, st.integers(1, 3)),
    velocity=st.builds(
        Velocity,
        st.fixed_dictionaries({600: st.integers(0, 8), 3600: st.integers(0, 8)}),
        st.fixed_dictionaries({600: st.integers(0, 8), 3600: st.integers(0, 8)}),
        st.booleans(),
    ),
)


@given(rule_lists, facts)
def test_the_whole_is_what_the_rules_say_one_by_one(rules: Sequence[Rule], known: Facts) -> None:
    together = screen(ORDER, known, rules, NOW)
    alone = [screen(ORDER, known, [rule], NOW) for rule in rules]
    assert together.findings == tuple(finding for each in alone for finding in each.findings)
    refusals = [each.refusal for each in alone if each.refusal]
    assert together.refusal == (refusals[0] if refusals else None)
    holds = [each.hold for each in alone if each.hold]
    assert (together.hold is None) == (not holds)
    if together.hold is not None:
        assert together.hold.rules == tuple(name for hold in holds for name in hold.rules)
        assert set(together.hold.roles) == set.intersection(*(set(hold.roles) for hold in holds))


@given(rule_lists, facts, st.randoms(use_true_random=False))
def test_the_order_of_rules_changes_no_outcome(
    rules: list[Rule], known: Facts, random: Any
) -> None:
    before = screen(ORDER, known, rules, NOW)
    random.shuffle(rules)
    after = screen(ORDER, known, rules, NOW)
    assert (before.refusal is None, before.hold is None) == (
        after.refusal is None,
        after.hold is None,
    )
    if before.hold is not None and after.hold is not None:
        assert set(before.hold.roles) == set(after.hold.roles)


@pytest.mark.parametrize(
    ("moment", "level"),
    [
        (NOW - timedelta(microseconds=1), 0),
        (NOW, 2),
        (NOW + DAY - timedelta(microseconds=1), 2),
        (NOW + DAY, 0),
    ],
)
def test_a_verification_counts_from_when_it_was_made_until_it_expires(
    moment: datetime, level: int
) -> None:
    assert kyc_level(KycRecord(RECIPIENT, 2, NOW, NOW + DAY), moment) == level
    assert kyc_level(None, moment) == 0


@pytest.mark.parametrize(("level", "days"), [(1, 180), (2, 365), (3, 180)])
def test_a_level_says_how_long_a_verification_counts(level: int, days: int) -> None:
    record = kyc_record(RECIPIENT, level, NOW, VALIDITY, NOW)
    assert record == KycRecord(RECIPIENT, level, NOW, NOW + timedelta(days=days))
    assert kyc_level(record, NOW) == level


@pytest.mark.parametrize(
    ("level", "verified_at", "field"),
    [
        (0, NOW, "level"),
        (4, NOW, "level"),
        (1, NOW + timedelta(microseconds=1), "verified_at"),
        (1, NOW - 180 * DAY, "verified_at"),
    ],
)
def test_a_verification_that_cannot_count(level: int, verified_at: datetime, field: str) -> None:
    with pytest.raises(PayoutError) as refusal:
        kyc_record(RECIPIENT, level, verified_at, VALIDITY, NOW)
    assert (refusal.value.code, refusal.value.field) == ("P003", field)
