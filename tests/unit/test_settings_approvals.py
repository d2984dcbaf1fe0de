"""Approval workflows as the policy file has them."""

from typing import Any

import pytest

from models.approval import ApprovalRule, Workflow
from models.money import Currency
from models.order import PayoutType
from settings.approvals import ApprovalsConfig
from tests.unit.settings_of import read, refused

HIGH_VALUE = {
    "needed": 1,
    "roles": ["APPROVER", "ADMIN"],
    "timeout_minutes": 30,
    "from_amount": {"USDT": "5000", "TRX": "15000.5"},
}
EMERGENCY = {
    "needed": 2,
    "roles": ["ADMIN"],
    "timeout_minutes": 5,
    "payout_types": ["emergency"],
    "from_items": 20,
}


def workflows(**changed: Any) -> dict[str, Any]:
    usual = {"default": {"needed": 0}, "high_value": HIGH_VALUE, "emergency": EMERGENCY}
    return {"workflows": usual | changed}


def test_workflows_become_rules() -> None:
    config = read(ApprovalsConfig, workflows())
    assert config.rules == (
        ApprovalRule(Workflow("default", 0, (), 3600), always=True),
        ApprovalRule(
            Workflow("high_value", 1, ("APPROVER", "ADMIN"), 1800),
            from_amount={Currency.USDT: 5_000_000_000, Currency.TRX: 15_000_500_000},
        ),
        ApprovalRule(
            Workflow("emergency", 2, ("ADMIN",), 300),
            from_items=20,
            payout_types=frozenset({PayoutType.EMERGENCY}),
        ),
    )
    assert set(config.asking) == {"high_value", "emergency"}


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"high_value": HIGH_VALUE | {"roles": []}}, "roles exactly where someone is needed"),
        ({"high_value": HIGH_VALUE | {"needed": 0}}, "roles exactly where someone is needed"),
        ({"high_value": HIGH_VALUE | {"roles": ["BOSS"]}}, "high_value.roles.0"),
        ({"high_value": HIGH_VALUE | {"from_amount": {"USDT": "5"}}}, "each of USDT, TRX"),
        ({"high_value": HIGH_VALUE | {"from_amount": {"USDT": 5, "TRX": "5"}}}, "in quotes"),
        ({"high_value": HIGH_VALUE | {"timeout_minutes": 0}}, "timeout_minutes"),
        ({"emergency": EMERGENCY | {"payout_types": ["urgent"]}}, "payout_types"),
        ({"emergency": EMERGENCY | {"from_items": 1}}, "from_items"),
        ({"emergency": EMERGENCY | {"roles": ["SUPER_ADMIN"]}}, "every workflow accepts"),
        ({"emergency": EMERGENCY | {"approvers": 2}}, "emergency.approvers"),
        ({"a+b": EMERGENCY}, "a+b"),
    ],
)
def test_a_workflow_that_cannot_be_is_refused(changed: dict[str, Any], complaint: str) -> None:
    assert complaint in refused(ApprovalsConfig, workflows(**changed))


def test_the_default_is_always_there() -> None:
    assert "default" in refused(ApprovalsConfig, {"workflows": {"high_value": HIGH_VALUE}})
