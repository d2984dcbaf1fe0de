"""Compliance rules as the policy file has them."""

from datetime import timedelta
from typing import Any

import pytest

from models.compliance import Per, Rule, RuleKind
from models.findings import Effect
from models.money import Currency
from settings.compliance import ComplianceConfig
from tests.unit.settings_of import read, refused

KYC = {"basic_days": 180, "enhanced_days": 365, "advanced_days": 90}
AMOUNTS = {"USDT": "100000", "TRX": "300000"}
UNITS = {Currency.USDT: 100_000_000_000, Currency.TRX: 300_000_000_000}
DENY = {"name": "deny", "kind": "deny_list", "effect": "refuse", "at_dispatch": True}
LEVEL = {"name": "level", "kind": "kyc_required", "effect": "refuse", "level": 2}
LARGE = {
    "name": "large",
    "kind": "amount_review",
    "effect": "hold",
    "roles": ["ADMIN", "SUPER_ADMIN"],
    "from_amount": AMOUNTS,
}
BURST = {
    "name": "burst",
    "kind": "velocity",
    "effect": "hold",
    "roles": ["APPROVER", "ADMIN"],
    "per": "recipient",
    "count": 5,
    "window_seconds": 600,
}
BUSY = BURST | {"name": "busy", "per": "client", "effect": "alert", "roles": []}
FIRST = {"name": "first", "kind": "new_recipient", "effect": "approve", "workflow": "high_value"}


def section(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"kyc": KYC, "rules": list(rules)}


def test_rules_become_what_the_domain_decides_by() -> None:
    config = read(ComplianceConfig, section(DENY, LEVEL, LARGE, BURST, BUSY, FIRST))
    burst = Rule(
        "burst",
        RuleKind.VELOCITY,
        Effect.HOLD,
        ("APPROVER", "ADMIN"),
        per=Per.RECIPIENT,
        count=5,
        window_seconds=600,
    )
    assert config.policy == (
        Rule("deny", RuleKind.DENY_LIST, Effect.REFUSE, at_dispatch=True),
        Rule("level", RuleKind.KYC_REQUIRED, Effect.REFUSE, level=2),
        Rule(
            "large",
            RuleKind.AMOUNT_REVIEW,
            Effect.HOLD,
            ("ADMIN", "SUPER_ADMIN"),
            from_amount=UNITS,
        ),
        burst,
        Rule(
            "busy",
            RuleKind.VELOCITY,
            Effect.ALERT,
            per=Per.CLIENT,
            count=5,
            window_seconds=600,
        ),
        Rule("first", RuleKind.NEW_RECIPIENT, Effect.APPROVE, workflow="high_value"),
    )
    assert config.demanded == {"high_value"}
    assert config.kyc.validity == {
        level: timedelta(days=days) for level, days in ((1, 180), (2, 365), (3, 90))
    }


@pytest.mark.parametrize("kind", RuleKind)
def test_every_kind_can_be_written(kind: RuleKind) -> None:
    parameters: dict[str, Any] = {
        RuleKind.KYC_REQUIRED: {"level": 1},
        RuleKind.AMOUNT_REVIEW: {"from_amount": AMOUNTS},
        RuleKind.VELOCITY: {"per": "client", "count": 2, "window_seconds": 1},
        RuleKind.NEW_RECIPIENT: {},
    }.get(kind, {"at_dispatch": False})
    rule = {"name": "one", "kind": kind, "effect": "refuse"} | parameters
    (read_rule,) = read(ComplianceConfig, section(rule)).policy
    assert read_rule.kind is kind


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (DENY | {"kind": "astrology"}, "rules.0"),
        (DENY | {"effect": "alert"}, "effect"),
        (DENY | {"from_amount": AMOUNTS}, "from_amount"),
        (DENY | {"name": "Deny list"}, "name"),
        (DENY | {"effect": "hold"}, "exactly for the effect hold"),
        (DENY | {"roles": ["ADMIN"]}, "exactly for the effect hold"),
        (DENY | {"workflow": "high_value"}, "exactly for the effect approve"),
        (FIRST | {"workflow": None}, "exactly for the effect approve"),
        (LEVEL | {"level": 4}, "level"),
        (LEVEL | {"level": 0}, "level"),
        (LEVEL | {"at_dispatch": True}, "at_dispatch"),
        (LEVEL | {"from_amount": {"USDT": "1"}}, "each of USDT, TRX"),
        (LARGE | {"from_amount": {}}, "from_amount"),
        (BURST | {"count": 1}, "count"),
        (BURST | {"window_seconds": 0}, "window_seconds"),
        (BURST | {"per": "planet"}, "per"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(rule: dict[str, Any], complaint: str) -> None:
    assert complaint in refused(ComplianceConfig, section(rule))


def test_each_name_once() -> None:
    assert "each rule name once" in refused(ComplianceConfig, section(DENY, DENY))


def test_someone_can_release_whatever_is_held() -> None:
    nobody = LARGE | {"roles": ["SUPER_ADMIN"]}
    assert "may release what any rule holds" in refused(ComplianceConfig, section(nobody, BURST))


def test_a_verification_counts_for_a_day_at_least() -> None:
    data = {"kyc": KYC | {"basic_days": 0}, "rules": []}
    assert "kyc.basic_days" in refused(ComplianceConfig, data)
