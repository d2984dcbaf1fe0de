"""Compliance: what the rules of the policy file say of a payout, its recipient and its client.

The same function serves intake and dispatch. All rules are asked, so that every reason shows, and
none of them stops at another's answer.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from models.duration import in_words
from models.errors import PayoutError
from models.findings import Effect, Finding, Hold
from models.money import Currency, format_amount
from models.order import Order
from models.registry import AddressList, KycRecord, Velocity


class RuleKind(StrEnum):
    """What a rule looks at."""

    SANCTIONS = "sanctions"
    DENY_LIST = "deny_list"
    ALLOW_LIST_ONLY = "allow_list_only"
    TOKEN_BLACKLIST = "token_blacklist"  # noqa: S105  a list of the token's contract
    KYC_REQUIRED = "kyc_required"
    AMOUNT_REVIEW = "amount_review"
    VELOCITY = "velocity"
    NEW_RECIPIENT = "new_recipient"


class Per(StrEnum):
    """Whose payouts a velocity rule counts: those to a recipient, or those of a client."""

    RECIPIENT = "recipient"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the policy file.

    It is asked for amounts from `from_amount` on (base units; a currency without one: all). `level`
    is of `kyc_required`; `per`, `count` and `window_seconds` are of `velocity`. `roles` release or
    reject what it holds, `workflow` is the approval that it demands with the effect `approve`.
    """

    name: str
    kind: RuleKind
    effect: Effect
    roles: tuple[str, ...] = ()
    workflow: str | None = None
    at_dispatch: bool = False
    from_amount: Mapping[Currency, int] = field(default_factory=dict)
    level: int = 0
    per: Per = Per.RECIPIENT
    count: int = 0
    window_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules are held against.

    `lists` are those that the recipient is on; `blacklisted` is what the token's contract says of
    it (nothing, for TRX). `velocity` counts the payouts before this one, in the windows and up to
    the number that `velocity_asked` gives; None at dispatch, where it is not asked.
    """

    lists: Collection[AddressList] = ()
    blacklisted: bool = False
    kyc: KycRecord | None = None
    velocity: Velocity | None = None


@dataclass(frozen=True, slots=True)
class Screening:
    """What the rules say: all of it, the first that refuses, one hold for all that hold, and the
    approval workflows that are demanded."""

    findings: tuple[Finding, ...] = ()
    refusal: Finding | None = None
    hold: Hold | None = None
    workflows: tuple[str, ...] = ()


_Test = Callable[[Rule, Order, Facts, datetime], str | None]
"""Why a rule applies to a payout, in words; None if it does not."""


def screen(
    order: Order,
    facts: Facts,
    rules: Sequence[Rule],
    now: datetime,
    *,
    at_dispatch: bool = False,
    released: Collection[str] = (),
) -> Screening:
    """Ask the rules, in their order; at dispatch only those that are marked for it.

    A rule that holds and is among `released` (a person has let the payout pass) only notes.
    Raises ValueError when a velocity rule is asked without its counts.
    """
    said = [
        (rule, text)
        for rule in rules
        if (rule.at_dispatch or not at_dispatch)
        and order.amount >= rule.from_amount.get(order.currency, 0)
        and (text := _ABOUT[rule.kind][1](rule, order, facts, now))
    ]
    findings = tuple(_finding(rule, text, released) for rule, text in said)
    return Screening(
        findings=findings,
        refusal=next((each for each in findings if each.effect is Effect.REFUSE), None),
        hold=_one_hold([(rule, text) for rule, text in said if _holds(rule, released)]),
        workflows=tuple(rule.workflow for rule, _ in said if rule.workflow is not None),
    )


def velocity_asked(rules: Sequence[Rule]) -> tuple[frozenset[int], int]:
    """The windows (seconds) in which payouts are to be counted, and up to which number."""
    asked = [rule for rule in rules if rule.kind is RuleKind.VELOCITY]
    windows = frozenset(rule.window_seconds for rule in asked)
    return windows, max((rule.count for rule in asked), default=1)


def kyc_level(record: KycRecord | None, now: datetime) -> int:
    """To which level (1 to 3) an address is verified at that moment; 0 for not."""
    valid = record is not None and record.verified_at <= now < record.expires_at
    return record.level if record is not None and valid else 0


def kyc_record(
    address: str,
    level: int,
    verified_at: datetime,
    validity: Mapping[int, timedelta],
    now: datetime,
) -> KycRecord:
    """The record of a verification, which counts for as long as its level says.

    Raises PayoutError P003 for a level that does not exist, and a verification that lies in the
    future or counts no more.
    """
    if level not in validity:
        levels = ", ".join(str(each) for each in sorted(validity))
        raise PayoutError("P003", f"level must be one of the KYC levels {levels}", field="level")
    if verified_at > now:
        raise PayoutError("P003", "verified_at must not be in the future", field="verified_at")
    expires_at = verified_at + validity[level]
    if expires_at <= now:
        days = validity[level].days
        raise PayoutError(
            "P003",
            f"verified_at is too long ago: level {level} counts for {days} days",
            field="verified_at",
        )
    return KycRecord(address, level, verified_at, expires_at)


def _finding(rule: Rule, text: str, released: Collection[str]) -> Finding:
    if rule.effect is Effect.HOLD and rule.name in released:
        return Finding(rule.name, Effect.NOTE, f"{text} (released by a person)")
    code = _APPROVAL if rule.effect is Effect.APPROVE else _ABOUT[rule.kind][0]
    speaks = rule.effect in (Effect.REFUSE, Effect.HOLD, Effect.APPROVE)
    return Finding(rule.name, rule.effect, text, code if speaks else None)


def _holds(rule: Rule, released: Collection[str]) -> bool:
    return rule.effect is Effect.HOLD and rule.name not in released


def _one_hold(holding: Sequence[tuple[Rule, str]]) -> Hold | None:
    """One hold for all rules that hold: only who may release each of them may release it."""
    if not holding:
        return None
    first = holding[0][0]
    return Hold(
        rules=tuple(rule.name for rule, _ in holding),
        text="; ".join(text for _, text in holding),
        code=_ABOUT[first.kind][0],
        roles=tuple(role for role in first.roles if all(role in rule.roles for rule, _ in holding)),
    )


def _sanctions(rule: Rule, order: Order, facts: Facts, now: datetime) -> str | None:
    on_list = AddressList.SANCTIONS in facts.lists
    return "the recipient is on the sanctions list" if on_list else None


def _deny_list(rule: Rule, order: Order, facts: Facts, now: datetime) -> str | None:
    on_list = AddressList.DENY in facts.lists
    return "the recipient is on the deny list" if on_list else None


def _allow_list_only(rule: Rule, order: Order, facts: Facts, now: datetime) -> str | None:
    on_list = AddressList.ALLOW in facts.lists
    return None if on_list else "the recipient is not on the allow list"


def _token_blacklist(rule: Rule, order: Order, facts: Facts, now: datetime) -> str | None:
    text = f"the {order.currency} contract has the recipient on its blacklist"
    return text if facts.blacklisted else None


def _kyc_required(rule: Rule, order: Order, facts: Facts, now: datetime) -> str | None:
    if kyc_level(facts.kyc, now) >= rule.level:
        return None
    return f"{_amount(rule, order)} needs KYC level {rule.level}; {_known(facts, now)}"


def _amount_review(rule: Rule, order: Order, facts: Facts, now: datetime) -> str | None:
    return f"{_amount(rule, order)} is looked at before it is paid"


def _velocity(rule: Rule, order: Order, facts: Facts, now: datetime) -> str | None:
    if facts.velocity is None:
        raise ValueError("a velocity rule is asked without counts")
    counts, whose = {
        Per.RECIPIENT: (facts.velocity.to_recipient, "to this recipient"),
        Per.CLIENT: (facts.velocity.by_client, "of this client"),
    }[rule.per]
    if counts[rule.window_seconds] + 1 < rule.count:
        return None
    window = in_words(rule.window_seconds)
    return f"with this one, {rule.count} payouts or more {whose} within {window}"


def _new_recipient(rule: Rule, order: Order, facts: Facts, now: datetime) -> str | None:
    if facts.velocity is None:
        raise ValueError("a rule on new recipients is asked without counts")
    return None if facts.velocity.recipient_known else "the first payout to this recipient"


def _amount(rule: Rule, order: Order) -> str:
    floor = rule.from_amount.get(order.currency, 0)
    amount = f"{format_amount(order.amount)} {order.currency}"
    return f"{amount} (from {format_amount(floor)} on)" if floor else amount


def _known(facts: Facts, now: datetime) -> str:
    """What the KYC registry says of the recipient, in words."""
    if facts.kyc is None:
        return "the recipient is not verified"
    if not kyc_level(facts.kyc, now):
        return f"the recipient's verification ended on {facts.kyc.expires_at:%Y-%m-%d}"
    return f"the recipient has level {facts.kyc.level}"


_BLOCKED: Final = "P107"
_UNVERIFIED: Final = "P402"
_SUSPICIOUS: Final = "P600"
_SANCTIONED: Final = "P601"
_APPROVAL: Final = "P602"

_ABOUT: Final[Mapping[RuleKind, tuple[str, _Test]]] = {
    RuleKind.SANCTIONS: (_SANCTIONED, _sanctions),
    RuleKind.DENY_LIST: (_BLOCKED, _deny_list),
    RuleKind.ALLOW_LIST_ONLY: (_BLOCKED, _allow_list_only),
    RuleKind.TOKEN_BLACKLIST: (_BLOCKED, _token_blacklist),
    RuleKind.KYC_REQUIRED: (_UNVERIFIED, _kyc_required),
    RuleKind.AMOUNT_REVIEW: (_SUSPICIOUS, _amount_review),
    RuleKind.VELOCITY: (_SUSPICIOUS, _velocity),
    RuleKind.NEW_RECIPIENT: (_SUSPICIOUS, _new_recipient),
}
"""For each kind: the P-code of what it refuses or holds, and what says why it applies."""
