"""A small storm: some of the troubles, others each time."""

import secrets
from pathlib import Path

from tests.chaos.cluster import FAST
from tests.chaos.storm import Storm, go_through


def test_a_small_storm_pays_each_payout_once(tmp_path: Path) -> None:
    seed = secrets.randbelow(1 << 32)
    print(f"to repeat: python -m tests.chaos --pace fast --payouts 60 --troubles 12 --seed {seed}")
    figures = go_through(Storm(60, 12, seed, FAST, patience_seconds=60), tmp_path)
    assert figures.payouts == figures.transfers == 60
    assert figures.troubles.total() == 12
