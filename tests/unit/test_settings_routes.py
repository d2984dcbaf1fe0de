"""The sections `routes` and `routing`: what is taken, what is refused, and what becomes of it."""

from copy import deepcopy
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from models.money import BASE_UNITS, Currency
from models.order import RouteName
from models.routes import FallbackPolicy, KycStep, Merit, RouteBreakerPolicy, RouteLimits, Strategy
from settings.routes import RoutesConfig, RoutingConfig, route_policies

WALLET = "TXfSUNjtKhWSbY9ZJB4FdFqFYFJkjh2GGU"
SECTIONS = f"""
routes:
  v0:
    enabled: true
    currencies:
      USDT: {{min_amount: "0.01", max_amount: "1000"}}
      TRX: {{min_amount: "0.01", max_amount: "3000"}}
    fee_cap_trx: "100"
    capacity: 1000
    priority: 5
  kyc:
    enabled: false
    wallet: {WALLET}
    currencies:
      USDT:
        min_amount: "1000.000001"
        kyc: [{{up_to: "5000", level: 1}}, {{level: 2}}]
    fee_cap_trx: "100"
    capacity: 500
    priority: 6
  direct:
    enabled: true
    urgent_from_priority: 8
    currencies:
      USDT:
        min_amount: "0.01"
        max_amount: "10000"
        hourly_limit: "10000"
        daily_limit: "50000"
        monthly_limit: "500000"
    fee_cap_trx: "200.5"
    capacity: 100
    priority: 9
routing:
  strategy: optimal
  weights:
    optimal: {{amount: 25, priority: 25, load: 20, success: 15, cost: 15}}
    balanced: {{load: 25, success: 25, cost: 25, speed: 25}}
    fast: {{speed: 70, load: 20, success: 10}}
    cost_efficient: {{cost: 70, success: 20, load: 10}}
  breaker:
    window_seconds: 600
    min_volume: 10
    failure_percent: 50
    recovery_seconds: 60
    trial_payouts: 3
  fallback: {{after_seconds: 60, times: 2}}
  sample_payouts: 200
  slow_seconds: 300
  dear_fee_trx: "30"
  healthy_percent: 95
  busy_percent: 80
"""


class File(BaseModel):
    """The two sections as parts of a file."""

    model_config = ConfigDict(extra="forbid")

    routes: RoutesConfig
    routing: RoutingConfig


def sections() -> dict[str, Any]:
    return yaml.safe_load(SECTIONS)


def edited(path: str, value: object) -> dict[str, Any]:
    """The sections with a dotted key set; None removes it."""
    data = deepcopy(sections())
    *parents, last = path.split(".")
    place = data
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return data


def test_routes_become_the_rules_of_the_domain() -> None:
    v0, kyc, direct = route_policies(File.model_validate(sections()).routes)
    assert (v0.name, kyc.name, direct.name) == tuple(RouteName)
    assert v0.limits == {
        Currency.USDT: RouteLimits(10_000, 1000 * BASE_UNITS),
        Currency.TRX: RouteLimits(10_000, 3000 * BASE_UNITS),
    }
    assert (v0.enabled, v0.wallet, v0.urgent_from_priority) == (True, None, None)
    assert (v0.capacity, v0.priority, v0.fee_cap_sun) == (1000, 5, 100 * BASE_UNITS)
    assert (kyc.enabled, kyc.wallet) == (False, WALLET)
    assert kyc.limits[Currency.USDT] == RouteLimits(
        1000 * BASE_UNITS + 1, kyc=(KycStep(5000 * BASE_UNITS, 1), KycStep(None, 2))
    )
    assert (direct.urgent_from_priority, direct.fee_cap_sun) == (8, 200_500_000)
    assert direct.limits[Currency.USDT] == RouteLimits(
        minimum=10_000,
        maximum=10_000 * BASE_UNITS,
        hourly=10_000 * BASE_UNITS,
        daily=50_000 * BASE_UNITS,
        monthly=500_000 * BASE_UNITS,
    )


def test_routing_becomes_the_policy_of_the_domain() -> None:
    policy = File.model_validate(sections()).routing.policy
    assert policy.strategy is Strategy.OPTIMAL
    assert set(policy.weights) == set(Strategy)
    assert policy.weights[Strategy.FAST] == {Merit.SPEED: 70, Merit.LOAD: 20, Merit.SUCCESS: 10}
    assert policy.breaker == RouteBreakerPolicy(600, 10, 50, 60, 3)
    assert policy.fallback == FallbackPolicy(60, 2)
    assert (policy.slow_seconds, policy.dear_fee_sun) == (300, 30 * BASE_UNITS)
    assert (policy.healthy_percent, policy.busy_percent) == (95, 80)


ASCENDING = "min_amount ≤ max_amount ≤ hourly_limit ≤ daily_limit ≤ monthly_limit"
STEPS = "ascending up_to and level"
USDT = "currencies.USDT"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (f"routes.direct.{USDT}.min_amount", "10000.01", ASCENDING),
        (f"routes.direct.{USDT}.max_amount", "10000.01", ASCENDING),
        (f"routes.direct.{USDT}.hourly_limit", "50000.01", ASCENDING),
        (f"routes.direct.{USDT}.daily_limit", "500000.01", ASCENDING),
        (f"routes.direct.{USDT}.monthly_limit", "49999.99", ASCENDING),
        (f"routes.v0.{USDT}.daily_limit", "999", ASCENDING),
        (f"routes.v0.{USDT}.min_amount", 0.01, "in quotes"),
        (f"routes.v0.{USDT}.min_amount", "0", "greater than 0"),
        (f"routes.v0.{USDT}.min_amount", None, "required"),
        (f"routes.v0.{USDT}.yearly_limit", "1", "not permitted"),
        (f"routes.kyc.{USDT}.kyc", [{"up_to": "5000", "level": 1}], STEPS),
        (f"routes.kyc.{USDT}.kyc", [{"level": 1}, {"level": 2}], STEPS),
        (
            f"routes.kyc.{USDT}.kyc",
            [{"up_to": "5", "level": 1}, {"up_to": "5", "level": 2}, {"level": 3}],
            STEPS,
        ),
        (f"routes.kyc.{USDT}.kyc", [{"up_to": "5000", "level": 2}, {"level": 1}], STEPS),
        (f"routes.kyc.{USDT}.kyc", [{"level": 4}], "less than or equal to 3"),
        ("routes.kyc.wallet", "TXfSUNjtKhWSbY9ZJB4FdFqFYFJkjh2GGV", "a TRON address"),
        ("routes.kyc.currencies", {}, "at least 1 item"),
        ("routes.kyc.currencies", {"EUR": {"min_amount": "1"}}, "'USDT' or 'TRX'"),
        ("routes.v0.fee_cap_trx", "0", "greater than 0"),
        ("routes.v0.capacity", 0, "greater than or equal to 1"),
        ("routes.v0.priority", 11, "less than or equal to 10"),
        ("routes.v0.priority", 0, "greater than or equal to 1"),
        ("routes.v0.enabled", None, "required"),
        ("routes.direct.urgent_from_priority", 11, "less than or equal to 10"),
        ("routes.direct", None, "v0, kyc, direct"),
        ("routes.night", {}, "'v0', 'kyc' or 'direct'"),
        ("routing.strategy", "cheapest", "'cost_efficient'"),
        ("routing.weights.fast", None, "optimal, balanced, fast, cost_efficient"),
        ("routing.weights.fast", {"speed": 99}, "add up to 100"),
        ("routing.weights.fast", {"speed": 101, "load": -1}, "less than or equal to 100"),
        ("routing.weights.fast", {"luck": 100}, "'speed'"),
        ("routing.breaker.recovery_seconds", 601, "recovery_seconds ≤ window_seconds"),
        ("routing.breaker.min_volume", 0, "greater than or equal to 1"),
        ("routing.breaker.failure_percent", 0, "greater than or equal to 1"),
        ("routing.breaker.failure_percent", 101, "less than or equal to 100"),
        ("routing.breaker.trial_payouts", 0, "greater than or equal to 1"),
        ("routing.fallback.after_seconds", 0, "greater than 0"),
        ("routing.fallback.times", -1, "greater than or equal to 0"),
        ("routing.sample_payouts", 0, "greater than or equal to 1"),
        ("routing.healthy_percent", 101, "less than or equal to 100"),
        ("routing.dear_fee_trx", "0", "greater than 0"),
    ],
)
def test_every_figure_is_checked(path: str, value: object, expected: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        File.model_validate(edited(path, value))
    assert expected in str(refusal.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"routes.v0.{USDT}.min_amount", "1000"),
        (f"routes.v0.{USDT}.kyc", [{"level": 1}]),
        (f"routes.v0.{USDT}.kyc", [{"up_to": "5", "level": 1}, {"level": 1}]),
        ("routing.breaker.recovery_seconds", 600),
        ("routing.weights.fast", {"speed": 100}),
        ("routing.fallback.times", 0),
    ],
)
def test_what_is_just_right_is_taken(path: str, value: object) -> None:
    File.model_validate(edited(path, value))
