"""Whether the newest block keeps getting newer, judged by how long we looked."""

import asyncio
from collections.abc import Sequence

import pytest

from models.chain import BlockRef
from services.heads import HeadWatch
from tests.factories import a_block

STALE_SECONDS = 30.0


class Heads:
    """A chain that shows one head after another."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = iter(numbers)

    async def head(self) -> BlockRef:
        return a_block(next(self._numbers))


@pytest.mark.parametrize(
    ("looks", "fresh"),
    [
        ([(0, 10)], [True]),
        ([(0, 10), (30, 10)], [True, True]),
        ([(0, 10), (31, 10)], [True, False]),
        ([(0, 10), (29, 11), (58, 11)], [True, True, True]),
        ([(0, 10), (29, 11), (60, 11)], [True, True, False]),
        ([(0, 10), (31, 10), (34, 11), (37, 11)], [True, False, True, True]),
        ([(0, 10), (20, 9), (31, 9)], [True, True, False]),
        ([(0, 10), (9_999, 3_000)], [True, True]),
    ],
    ids=[
        "first look",
        "just not stale",
        "stale",
        "newer in between",
        "stale since then",
        "alive again",
        "an endpoint that lags is not newer",
        "nobody looked for long",
    ],
)
async def test_a_head_that_stands_still_goes_stale(
    monkeypatch: pytest.MonkeyPatch, looks: list[tuple[float, int]], fresh: list[bool]
) -> None:
    seconds = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: seconds)
    watch = HeadWatch(Heads([number for _, number in looks]), STALE_SECONDS)  # type: ignore[arg-type]
    seen = []
    for moment, number in looks:
        seconds = moment
        head = await watch.fresh()
        assert head in (None, a_block(number))
        seen.append(head is not None)
    assert seen == fresh
