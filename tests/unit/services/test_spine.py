"""One payout from intake to a solid block, over the in-memory store and the devnet."""

from models.money import Currency
from models.payout import PayoutStatus
from tests.harness import open_house


async def test_usdt_is_paid_once() -> None:
    house = await open_house()
    await house.start()
    payout = await house.create()
    done = await house.pay(payout)
    assert done.status is PayoutStatus.COMPLETED, done
    assert house.paid(payout) == 1


async def test_trx_to_a_new_account_is_paid_once() -> None:
    house = await open_house()
    await house.start()
    payout = await house.create(currency=Currency.TRX)
    done = await house.pay(payout)
    assert done.status is PayoutStatus.COMPLETED, done
    assert house.paid(payout) == 1
