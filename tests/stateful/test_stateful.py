"""Sequences of requests against the real service and devnet, over both stores: 500 with
HYPOTHESIS_PROFILE=full, and otherwise the same few each time."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import Router
from tests.stateful.stage import Opener, Stage, StillLoop, in_memory, in_mongodb

FULL = os.environ.get("HYPOTHESIS_PROFILE") == "full"
STEPS = 40 if FULL else 30

WORTHWHILE = {
    "paid",
    *("accepted pending", "accepted scheduled", "accepted awaiting_approval"),
    *("accepted needs_review", "became rejected", "became expired"),
    *("P002", "P103", "P402", "P500"),
    "POST /payouts/{payout_id}/approve 200",
    "POST /payouts/{payout_id}/release 200",
    *("POST /batches 201", "POST /batches 207", "approve in a batch", "fell back"),
}
"""What sequences must have led to, or else they show nothing."""


@pytest.fixture
def loop() -> Iterator[StillLoop]:
    """One loop for all sequences of a test."""
    still = StillLoop()
    yield still
    still.close()


def play(loop: StillLoop, opener: Opener, sequences: int) -> dict[str, int]:
    """Let so many sequences happen; how often each thing was seen."""
    happened: dict[str, int] = {}

    class Played(Router):
        open_stage = staticmethod(lambda: Stage(loop, opener))
        seen = happened

    run_state_machine_as_test(
        Played,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=STEPS,
            derandomize=not FULL,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=tuple(HealthCheck),
        ),
    )
    print(*sorted(happened.items()), sep="\n")
    return happened


def test_over_memory(loop: StillLoop) -> None:
    happened = play(loop, in_memory, 450 if FULL else 40)
    assert happened.keys() >= WORTHWHILE


def test_over_mongodb(loop: StillLoop, mongodb_url: str) -> None:
    happened = play(loop, in_mongodb(mongodb_url), 50 if FULL else 3)
    assert happened["paid"]
