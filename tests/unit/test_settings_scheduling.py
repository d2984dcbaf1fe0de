"""Types, batches and priorities as the policy file has them."""

from typing import Any

import pytest

from models.order import PayoutType
from models.schedule import SchedulePolicy
from settings.scheduling import SchedulingConfig
from tests.unit.settings_of import read, refused

TARGETS = {"critical": 3600, "high": 7200, "normal": 21_600, "low": 86_400}
SECTION = {
    "max_ahead_days": 30,
    "batch_interval_seconds": 300,
    "batch_size": 50,
    "immediate_seconds": 60,
    "emergency_seconds": 30,
    "ageing_seconds": 1800,
    "priority_seconds": TARGETS,
}


def test_the_section_becomes_a_policy() -> None:
    assert read(SchedulingConfig, SECTION).policy == SchedulePolicy(
        max_ahead_days=30,
        batch_interval_seconds=300,
        batch_size=50,
        ageing_seconds=1800,
        targets={PayoutType.IMMEDIATE: 60, PayoutType.EMERGENCY: 30},
        priority_targets=((10, 3600), (8, 7200), (5, 21_600), (1, 86_400)),
    )


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"max_ahead_days": 0}, "max_ahead_days"),
        ({"batch_interval_seconds": "300"}, "batch_interval_seconds"),
        ({"batch_interval_seconds": 0}, "batch_interval_seconds"),
        ({"batch_size": 0}, "batch_size"),
        ({"ageing_seconds": 0}, "ageing_seconds"),
        ({"ageing_seconds": 3601}, "each priority has its turn"),
        ({"emergency_seconds": 61}, "emergency_seconds ≤ immediate_seconds"),
        ({"priority_seconds": TARGETS | {"normal": 7199}}, "critical ≤ high ≤ normal ≤ low"),
        ({"priority_seconds": TARGETS | {"low": 16_199, "normal": 9000}}, "has its turn"),
        ({"types": {}}, "types"),
    ],
)
def test_a_section_that_cannot_be_is_refused(changed: dict[str, Any], complaint: str) -> None:
    assert complaint in refused(SchedulingConfig, SECTION | changed)


@pytest.mark.parametrize("changed", [{"ageing_seconds": 3600}, {"emergency_seconds": 60}])
def test_the_slowest_that_does(changed: dict[str, int]) -> None:
    config = read(SchedulingConfig, SECTION | changed)
    assert config.model_dump(include=set(changed)) == changed
