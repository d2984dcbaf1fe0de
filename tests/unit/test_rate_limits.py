"""The rates of payout-security-policies.yaml: complete, sane, and enough for honest work."""

import pytest
from pydantic import ValidationError

from models.permission import ACTIONS
from settings.roles import Role
from settings.security import RolePolicy
from settings.throttling import CLASS_OF, ActionClass, RateLimit
from tests.unit.test_declared_is_used import settings

ALL_ACTIONS = {f"{noun}:{name}" for noun, names in ACTIONS.items() for name in names}
FEW = {"permits": 1, "per_seconds": 1, "burst": 1}


def test_every_action_has_a_class() -> None:
    assert set(CLASS_OF) == ALL_ACTIONS


@pytest.mark.parametrize("action", sorted(ALL_ACTIONS))
def test_what_only_looks_is_read_and_nothing_else_is(action: str) -> None:
    looks = action.partition(":")[2] in {"view", "list", "stats"}
    assert (CLASS_OF[action] is ActionClass.READ) == looks


@pytest.mark.parametrize("role", Role)
def test_what_a_role_may_do_goes_by_its_own_class(role: Role) -> None:
    policy = settings().security.roles[role]
    for action in policy.grants:
        assert policy.rate_limits.of(action).name == CLASS_OF[action]


def test_what_a_role_may_not_do_counts_as_reading() -> None:
    rates = settings().security.roles[Role.APPROVER].rate_limits
    assert rates.of("payout:create") == rates.of("payout:view") == rates.of(None)
    assert rates.of(None).name == "read"


def test_a_permission_without_a_rate_is_refused() -> None:
    with pytest.raises(ValidationError, match="rate_limits for create, which"):
        RolePolicy.model_validate(
            {"permissions": ["payout:create:own"], "rate_limits": {"read": FEW, "act": FEW}}
        )


@pytest.mark.parametrize(
    "wrong", [{"permits": 0}, {"per_seconds": 0}, {"burst": 0}, {"burst": 2}, {"permits": 10**7}]
)
def test_figures_that_make_no_rate_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        RateLimit.model_validate({**FEW, **wrong})


def test_a_user_creates_ten_an_hour_and_can_look_far_more_often() -> None:
    rates = settings().security.roles[Role.USER].rate_limits
    create, read = rates.of("payout:create"), rates.of("payout:view")
    assert (create.permits, create.per_seconds) == (10, 3600)
    # Each of the payouts of an hour, every 3 s for the minute or two that one takes.
    assert read.permits / read.per_seconds >= create.permits / 3
    assert read.burst >= 2 * create.burst


def test_the_platform_creates_faster_than_an_endpoint_takes_payouts() -> None:
    found = settings()
    create = found.security.roles[Role.SERVICE].rate_limits.of("payout:create")
    assert create.permits / create.per_seconds > 2 * found.router.tron.requests_per_second
