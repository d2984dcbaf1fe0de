"""Which block follows which."""

from dataclasses import replace

import pytest

from models.chain import BlockRef, SolidBlock, follows
from tests.factories import a_block

PARENT = a_block(1_000)
NEXT = SolidBlock(a_block(1_001), PARENT.block_id, ())


def test_the_next_block_follows() -> None:
    assert follows(PARENT, NEXT)


@pytest.mark.parametrize(
    "block",
    [
        SolidBlock(a_block(1_002), PARENT.block_id, ()),
        SolidBlock(PARENT, PARENT.block_id, ()),
        SolidBlock(a_block(999), PARENT.block_id, ()),
        replace(NEXT, parent_id=a_block(1_000, fork="other").block_id),
        replace(NEXT, parent_id=""),
        replace(NEXT, ref=replace(NEXT.ref, time_ms=PARENT.time_ms)),
        replace(NEXT, ref=replace(NEXT.ref, time_ms=PARENT.time_ms - 3_000)),
    ],
    ids=["gap", "itself", "before", "fork", "no parent", "same time", "back in time"],
)
def test_nothing_else_follows(block: SolidBlock) -> None:
    assert not follows(PARENT, block)


def test_skipped_slots_leave_no_gap_in_numbers() -> None:
    late = BlockRef(1_001, NEXT.ref.block_id, PARENT.time_ms + 9_000)
    assert follows(PARENT, replace(NEXT, ref=late))
