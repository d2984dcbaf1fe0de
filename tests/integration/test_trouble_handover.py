"""A settler that dies after it wrote hits leaves them for the next one to judge."""

import pytest

from models.payout import PayoutStatus
from tests.harness import House
from tests.trouble import replica_of, troubled


async def dies_before_it_judges(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settler reads all blocks, writes what it finds, and is no more."""

    async def die() -> None:
        raise ConnectionError("this replica is no more")

    monkeypatch.setattr(house.services.settlement, "settle_hits", die)
    house.mine(5)
    with pytest.raises(ConnectionError):
        await house.read()


@pytest.mark.parametrize("followed", [False, True], ids=["just started", "followed so far"])
async def test_the_next_settler_judges_them_though_it_finds_no_new_block(
    followed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await troubled()
    heir = await replica_of(house)
    await heir.services.identity.ensure()
    if followed:
        await heir.services.settlement.advance()
        await heir.services.settlement.follow()
    payout = await house.create()
    await house.dispatch()
    await dies_before_it_judges(house, monkeypatch)
    assert (await house.get(payout)).status is PayoutStatus.PROCESSING
    await heir.services.settlement.advance()
    assert (await house.get(payout)).status is PayoutStatus.COMPLETED
