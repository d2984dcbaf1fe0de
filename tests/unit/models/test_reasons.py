"""What is not known yet ends nothing: P202 and P203 are never the reason of a terminal state."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from models.payout import TERMINAL, PayoutStatus
from models.settlement import after_death, after_wrong_death
from tests.factories import LONG_AGO, a_cursor, a_hit, a_payout, an_attempt, an_order

ROOT = Path(__file__).parents[3]
NEVER_FINAL = {"P202", "P203"}
WHERE_THEY_ARE = {
    ("models/settlement.py", "after_death"),
    ("models/settlement.py", "after_wrong_death"),
}
"""The functions that give one of them as a reason; each has a test below."""


def mentions() -> Iterator[tuple[str, str]]:
    """(file, function) of every place in the sources that names one of the codes."""
    for folder in ("adapters", "api", "models", "services", "workers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for function in ast.walk(tree):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and any(
                    isinstance(node, ast.Constant) and node.value in NEVER_FINAL
                    for node in ast.walk(function)
                ):
                    yield str(path.relative_to(ROOT)), function.name


def test_no_other_place_gives_these_reasons() -> None:
    assert set(mentions()) == WHERE_THEY_ARE


@given(
    deaths=st.integers(0, 5),
    most=st.integers(1, 5),
    expires_in=st.none() | st.integers(-5, 5),
    beyond=st.booleans(),
)
def test_a_death_ends_a_payout_only_by_its_expiry(
    deaths: int, most: int, expires_in: int | None, beyond: bool
) -> None:
    now = LONG_AGO
    expires: datetime | None = None if expires_in is None else now + timedelta(seconds=expires_in)
    payout = a_payout(
        order=an_order(expires_at=expires), status=PayoutStatus.PROCESSING, counted_deaths=deaths
    )
    attempt = an_attempt(payout)
    cursor = a_cursor(2_000 if beyond else 1_100)
    change = after_death(replace(payout, live_attempt=attempt), attempt, cursor, now, most)
    assert change.why is not None
    if change.to_status in TERMINAL:
        assert change.why.code not in NEVER_FINAL
        assert expires is not None
        assert expires <= now


@given(status=st.sampled_from(PayoutStatus))
def test_an_inclusion_after_a_death_ends_no_payout(status: PayoutStatus) -> None:
    payout = a_payout(status=status)
    change = after_wrong_death(payout, a_hit())
    assert change is None or change.to_status is PayoutStatus.NEEDS_REVIEW
