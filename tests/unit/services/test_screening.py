"""What is asked again before a payout is sent, and from which wallet it is paid."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.signer.local import LocalSigner
from devnet.settings import DEVNET_KEYS
from models.compliance import Rule, RuleKind
from models.findings import Effect
from models.order import RouteChoice, RouteName
from models.payout import Payout, PayoutStatus
from models.registry import AddressList
from services.dispatch import LOOK_SECONDS
from tests.harness import DECISIONS, POLICIES, SERVICE, House, fresh_address, open_house

WALLETS = [LocalSigner(bytes.fromhex(key)) for key in DEVNET_KEYS[:2]]
DENY = Rule("deny_list", RuleKind.DENY_LIST, Effect.REFUSE, at_dispatch=True)
SANCTIONS = Rule("sanctions", RuleKind.SANCTIONS, Effect.HOLD, ("SERVICE",), at_dispatch=True)


async def a_house() -> House:
    """Two rules that are asked again, and two routes with a wallet each."""
    first, second, third = DECISIONS.routes
    routes = (first, replace(second, enabled=True, wallet=WALLETS[1].address), third)
    decisions = replace(DECISIONS, routes=routes, rules=(DENY, SANCTIONS))
    house = await open_house(policies=replace(POLICIES, decisions=decisions), signers=WALLETS)
    await house.start()
    return house


async def listed_after(house: House, on: AddressList) -> Payout:
    """A payout whose recipient came onto a list when it had been accepted."""
    payout = await house.create()
    assert payout.status is PayoutStatus.PENDING
    await house.store.put_listed(on, {payout.order.recipient_address: None}, "officer")
    return payout


@pytest.mark.parametrize(
    ("on", "status", "code"),
    [
        (AddressList.DENY, PayoutStatus.REJECTED, "P107"),
        (AddressList.SANCTIONS, PayoutStatus.NEEDS_REVIEW, "P601"),
    ],
)
async def test_what_came_onto_a_list_since_is_not_sent(
    on: AddressList, status: PayoutStatus, code: str
) -> None:
    house = await a_house()
    payout = await listed_after(house, on)
    other = await house.create()
    stopped = await house.pay(payout)
    assert (stopped.status, stopped.txids) == (status, ())
    assert stopped.status_reason is not None
    assert stopped.status_reason.code == code
    assert stopped.findings[-1].rule == str(on).replace("deny", "deny_list")
    assert house.paid(payout) == 0
    assert (await house.get(other)).status is PayoutStatus.COMPLETED


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(LOOK_SECONDS, PayoutStatus.PROCESSING), (LOOK_SECONDS + 0.1, PayoutStatus.REJECTED)],
)
async def test_a_list_is_asked_again_when_building_took_long(
    monkeypatch: pytest.MonkeyPatch, seconds: float, status: PayoutStatus
) -> None:
    house = await a_house()
    payout, other = await house.create(), await house.create()
    clock, price = [0.0], house.store.exposures
    house.services.dispatcher.seconds = lambda: clock[0]

    async def slowly(token: str) -> Any:
        """Pricing takes so long; meanwhile the recipient is denied."""
        clock[0] += seconds
        denied = {payout.order.recipient_address: None}
        await house.store.put_listed(AddressList.DENY, denied, "officer")
        return await price(token)

    monkeypatch.setattr(house.store, "exposures", slowly)
    await house.dispatch()
    assert (await house.get(payout)).status is status
    assert (await house.get(other)).status is PayoutStatus.PROCESSING


async def test_what_a_person_let_pass_is_sent_though_the_rule_still_holds() -> None:
    house = await a_house()
    payout = await listed_after(house, AddressList.SANCTIONS)
    await house.dispatch()
    officer = replace(SERVICE, subject="officer")
    await house.services.router.release(officer, payout.payout_id, "another one of that name")
    assert (await house.pay(payout)).status is PayoutStatus.COMPLETED


async def test_each_route_pays_from_its_own_wallet() -> None:
    house = await a_house()
    payouts = [
        await house.create(route=route, recipient_address=fresh_address())
        for route in (RouteChoice.V0, RouteChoice.KYC)
    ]
    assert [payout.route for payout in payouts] == [RouteName.V0, RouteName.KYC]
    for payout, wallet in zip(payouts, WALLETS, strict=True):
        assert (await house.pay(payout)).status is PayoutStatus.COMPLETED
        (moved,) = house.net.ledger(owner=wallet.address)
        assert moved.recipient == payout.order.recipient_address
