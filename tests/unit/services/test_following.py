"""How far the chain is known to have come, on the replica that reads it and on the others."""

import pytest

from tests.harness import SOLID_LAG, open_house
from tests.trouble import replica_of


async def test_nothing_is_known_before_anything_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    house = await open_house()
    monkeypatch.setattr(house.chain, "newest_seen", lambda: 0)
    assert house.services.settlement.newest_seen() == 0
    await house.services.settlement.follow()
    assert house.services.settlement.newest_seen() == 0


async def test_the_newest_block_known_is_what_was_read_or_what_any_answer_showed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = await open_house()
    house.mine(SOLID_LAG + 4)
    await house.read()
    cursor = await house.store.cursor()
    assert cursor.block.number > 1
    for shown in (0, cursor.block.number + 2):
        monkeypatch.setattr(house.chain, "newest_seen", lambda shown=shown: shown)
        assert house.services.settlement.newest_seen() == max(cursor.block.number, shown)


async def test_a_replica_that_follows_knows_how_far_the_other_has_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = await open_house()
    house.mine(SOLID_LAG + 4)
    await house.read()
    other = await replica_of(house)
    monkeypatch.setattr(other.chain, "newest_seen", lambda: 0)
    await other.services.settlement.follow()
    cursor = await house.store.cursor()
    assert other.services.settlement.newest_seen() == cursor.block.number
