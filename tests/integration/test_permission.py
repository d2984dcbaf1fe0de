"""A wallet whose key may only transfer: its owner permission is another key's, kept elsewhere."""

from dataclasses import replace

import pytest

from devnet import messages
from devnet.devnet import Devnet
from models.money import Currency
from models.payout import PayoutStatus
from tests.harness import POLICIES, House, open_house
from tests.unit.devnet.scene import HOT, Bench, bench, raw, wallet

COLD = wallet("cold")
TRANSFERS = "02000080" + "0" * 56
"""Bits of the contract types TransferContract (1) and TriggerSmartContract (31)."""


def permission(key: str, name: str, **fields: object) -> dict[str, object]:
    """A permission of one key."""
    keys = [{"address": raw(key).hex(), "weight": 1}]
    return {"permission_name": name, "threshold": 1, "keys": keys, **fields}


def restricted(b: Bench) -> Devnet:
    """A network on which the hot wallet's key may only transfer, under permission 2."""
    kind = "AccountPermissionUpdateContract"
    values = {
        "owner_address": raw(HOT.address).hex(),
        "owner": permission(COLD.address, "owner"),
        "actives": [permission(HOT.address, "active", type="Active", operations=TRANSFERS)],
    }
    b.put(b.build(kind, messages.from_json(messages.CONTRACTS[kind], values), HOT))
    b.net.mine(b.net.settings.solid_lag)  # in a solid block, before the house looks
    return b.net


async def house_under(permission_id: int) -> House:
    """A started house that signs under that permission of a restricted wallet."""
    attempts = replace(POLICIES.attempts, permission_id=permission_id)
    net = restricted(bench(nodes=1))
    house = await open_house(net=net, policies=replace(POLICIES, attempts=attempts))
    await house.start()
    return house


@pytest.mark.parametrize("currency", list(Currency))
async def test_it_pays_under_an_active_permission(currency: Currency) -> None:
    house = await house_under(2)
    payout = await house.create(currency=currency)
    assert (await house.pay(payout)).status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


async def test_the_owner_permission_is_out_of_its_reach() -> None:
    house = await house_under(0)
    payout = await house.create()
    assert (await house.pay(payout)).status is not PayoutStatus.COMPLETED
    assert house.paid(payout) == 0
