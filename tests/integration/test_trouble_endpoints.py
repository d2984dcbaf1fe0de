"""Endpoints that are silent, behind, or on another chain: the others are used, or all waits."""

from dataclasses import replace

import pytest

from devnet.devnet import Devnet
from devnet.settings import DevnetSettings
from models.errors import Reason
from models.payout import Payout, PayoutStatus
from models.transaction import AttemptState
from tests.harness import SOLID_LAG, House, RecordedFigures, devnet_chain
from tests.trouble import (
    FOREVER,
    TROUBLE,
    code_of,
    fault,
    outcome,
    states,
    troubled,
    turns,
    until,
    with_policies,
)

SPOILED = [
    ("omit_transactions", None),
    ("alter_result", "REVERT"),
    ("hide_info", None),
    ("info_block", 1),
    ("info_result", "REVERT"),
]
"""What an endpoint may show that does not agree with itself."""


async def completed_by_one_attempt(house: House, payout: Payout) -> None:
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert states(done) == [AttemptState.SETTLED]
    assert house.paid(payout) == 1


def closed_by(house: House) -> list[str]:
    return [closed.name for closed in house.services.dispatcher.closed]


@pytest.mark.parametrize(("kind", "value"), SPOILED)
async def test_what_one_endpoint_spoils_is_read_from_another(
    kind: str, value: str | int | None
) -> None:
    house = await troubled(nodes=2)
    fault(house, kind, value, node=0, count=FOREVER)
    await completed_by_one_attempt(house, await house.create())


@pytest.mark.parametrize(("kind", "value"), SPOILED)
async def test_what_the_only_endpoint_spoils_is_waited_out(
    kind: str, value: str | int | None
) -> None:
    """Long past the expiration nothing is concluded, because nothing is known."""
    house = await troubled()
    payout = await house.create()
    await house.dispatch()
    house.mine(1)
    block = house.net.head.number
    fault(house, kind, value, count=FOREVER)
    await turns(house, 40)
    waiting = await house.get(payout)
    assert waiting.status is PayoutStatus.PROCESSING
    assert len(waiting.txids) == 1
    cursor = await house.store.cursor()
    assert cursor is not None
    assert cursor.block.number < block
    house.net.faults.clear()
    await completed_by_one_attempt(house, payout)


async def test_a_broken_parent_link_closes_dispatch_and_is_recovered_from() -> None:
    house = await troubled()
    payout = await house.create()
    await house.dispatch()
    fault(house, "break_parent", count=FOREVER)
    await turns(house, 6)
    later = await house.create()
    await turns(house, 34)
    assert closed_by(house)[:1] == ["broken_link"]
    assert (await house.get(later)).txids == ()
    waiting = await house.get(payout)
    assert waiting.status is PayoutStatus.PROCESSING
    house.net.faults.clear()
    await completed_by_one_attempt(house, payout)
    await completed_by_one_attempt(house, later)


async def test_one_endpoint_of_three_with_blocks_of_its_own_stops_nothing() -> None:
    house = await troubled(nodes=3)
    fault(house, "break_parent", node=0, count=FOREVER)
    for _ in range(5):
        await completed_by_one_attempt(house, await house.create())
    cursor = await house.store.cursor()
    assert cursor is not None
    assert cursor.broken == ""


async def test_two_endpoints_that_disagree_complete_nothing() -> None:
    house = await troubled(nodes=2)
    payout = await house.create()
    await house.dispatch()
    fault(house, "break_parent", node=0, count=FOREVER)
    await turns(house, 40)
    waiting = await house.get(payout)
    assert waiting.status is PayoutStatus.PROCESSING
    assert len(waiting.txids) == 1
    house.net.faults.clear()
    await completed_by_one_attempt(house, payout)


async def on_two_chains(first: Devnet, second: Devnet, ours: Devnet) -> House:
    chain = devnet_chain(
        ours, RecordedFigures(), transports=[first.transport(0), second.transport(0)]
    )
    return await troubled(
        net=ours, chain=chain, policies=replace(TROUBLE, known_genesis=ours.genesis_id)
    )


@pytest.mark.parametrize("first", [True, False])
async def test_an_endpoint_of_another_chain_is_never_used(first: bool) -> None:
    ours = Devnet(DevnetSettings(solid_lag=SOLID_LAG))
    other = Devnet(DevnetSettings(solid_lag=SOLID_LAG, network="another"))
    nets = (other, ours) if first else (ours, other)
    house = await on_two_chains(*nets, ours)
    await completed_by_one_attempt(house, await house.create())
    await house.chain.confirms((await house.store.cursor()).block)
    assert set(other.nodes[0].calls) == {"/wallet/getblockbynum"}
    problems = [state.detail for state in house.chain.states() if not state.usable]
    assert problems == [f"is on another chain: genesis {other.genesis_id}"]


async def test_a_solid_head_that_stands_still_at_one_endpoint_is_left_for_another() -> None:
    net = Devnet(DevnetSettings(solid_lag=SOLID_LAG, nodes=2))
    chain = devnet_chain(net, RecordedFigures(), stall_seconds=0)
    house = await troubled(net=net, chain=chain)
    fault(house, "solid_stall", node=0, count=FOREVER)
    await completed_by_one_attempt(house, await house.create())


async def test_an_endpoint_that_lags_settles_late_and_right() -> None:
    house = await troubled(nodes=2)
    fault(house, "solid_lag", 12, node=0, count=FOREVER)
    for _ in range(3):
        await completed_by_one_attempt(house, await house.create())


async def test_nothing_is_built_while_the_head_stands_still() -> None:
    house = await troubled(policies=replace(TROUBLE, head_stale_seconds=0))
    fault(house, "head_stall", count=FOREVER)
    await house.create()
    await turns(house, 1)
    late = await house.create()
    await turns(house, 20)
    waiting = await house.get(late)
    assert waiting.status is PayoutStatus.PENDING
    assert waiting.status_reason == Reason("P401", "the newest block is not getting newer")
    assert waiting.txids == ()
    assert waiting.lease is None
    house.net.faults.clear()
    await completed_by_one_attempt(house, late)


async def test_nothing_is_built_while_solid_blocks_lag_too_far() -> None:
    house = await troubled()
    fault(house, "solid_stall", count=FOREVER)
    await turns(house, 50)
    payout = await house.create()
    await turns(house, 20)
    waiting = await house.get(payout)
    assert waiting.txids == ()
    assert code_of(waiting) == "P401"
    house.net.faults.clear()
    await completed_by_one_attempt(house, payout)


@pytest.mark.parametrize("kind", ["http_status", "reset", "hang", "nonsense"])
async def test_all_endpoints_down_past_an_expiration_and_back(kind: str) -> None:
    house = await troubled(nodes=2)
    fault(house, "swallow", count=FOREVER)
    lost = await house.create()
    await house.dispatch()
    house.net.faults.clear()
    sent = await house.create()
    await house.dispatch()
    fault(house, kind, count=FOREVER)
    while_down = await house.create()
    await turns(house, 60)
    for payout in (lost, sent):
        now = await house.get(payout)
        assert now.status is PayoutStatus.PROCESSING
        assert len(now.txids) == 1
    house.net.faults.clear()
    await completed_by_one_attempt(house, sent)
    await completed_by_one_attempt(house, while_down)
    done = await outcome(house, lost)
    assert states(done) == [AttemptState.DEAD, AttemptState.SETTLED]
    assert house.paid(lost) == 1


@pytest.mark.parametrize(
    ("kind", "value"),
    [("http_status", 503), ("hang", None), ("solid_stall", None), ("nonsense", None)],
)
async def test_a_death_waits_for_a_second_endpoint(kind: str, value: int | None) -> None:
    house = await troubled(nodes=2)
    fault(house, "swallow", count=FOREVER)
    payout = await house.create()
    await house.dispatch()
    fault(house, kind, value, node=1, count=FOREVER)
    await turns(house, 60)
    now = await house.get(payout)
    assert now.status is PayoutStatus.PROCESSING
    assert len(now.txids) == 1
    house.net.faults.clear()
    waiting = await until(house, payout, lambda now: bool(now.attempts))
    assert states(waiting) == [AttemptState.DEAD]
    assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


async def test_an_endpoint_of_another_chain_confirms_no_death() -> None:
    ours = Devnet(DevnetSettings(solid_lag=SOLID_LAG))
    other = Devnet(DevnetSettings(solid_lag=SOLID_LAG, network="another"))
    house = await on_two_chains(ours, other, ours)
    fault(house, "swallow", count=FOREVER)
    payout = await house.create()
    await turns(house, 40)
    other.mine(house.net.head.number)
    await turns(house, 5)
    assert (await house.get(payout)).status is PayoutStatus.PROCESSING


async def test_fee_limits_survive_an_endpoint_without_chain_parameters() -> None:
    house = await troubled(
        nodes=2, policies=with_policies(dispatch={"preflight": True, "concurrency": 1})
    )
    fault(house, "nonsense", node=0, path="/wallet/getchainparameters", count=FOREVER)
    fault(house, "http_status", 500, node=0, path="/wallet/triggerconstantcontract", count=FOREVER)
    await completed_by_one_attempt(house, await house.create())
