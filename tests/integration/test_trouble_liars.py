"""An endpoint that serves a chain of its own, in which every hash fits."""

import httpx
import pytest

from devnet.devnet import Devnet
from devnet.faults import Fault
from devnet.settings import DevnetSettings
from models.payout import Payout, PayoutStatus
from models.transaction import AttemptState
from ports.chain import ChainUnavailableError
from services.settlement import VOUCH_BLOCKS
from tests.harness import SOLID_LAG, House, RecordedFigures, devnet_chain, open_house
from tests.trouble import outcome, states, taken_from_outside, troubled, turn


class Either(httpx.AsyncBaseTransport):
    """One address behind which now this node answers, now that one."""

    def __init__(self, net: Devnet) -> None:
        self.net = net

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.net.transport(0).handle_async_request(request)


def twins() -> tuple[Devnet, Devnet]:
    """The honest chain, and one that is equal to it until it leaves out what it was sent."""
    honest, liar = (Devnet(DevnetSettings(solid_lag=SOLID_LAG)) for _ in range(2))
    liar.faults.add(Fault(kind="swallow"))
    return honest, liar


def keep_up(house: House, liar: Devnet) -> None:
    """The liar makes the blocks that it has not made yet."""
    liar.mine(house.net.head.number - liar.head.number)


async def lied_to(first: str) -> tuple[House, Devnet, Either]:
    """A house with the liar as its first or second endpoint, and that endpoint."""
    honest, liar = twins()
    either, true = Either(liar), Either(honest)
    transports = [either, true] if first == "liar" else [true, either]
    chain = devnet_chain(honest, RecordedFigures(), transports=transports)
    return await open_lied_to(honest, liar, chain), liar, either


async def open_lied_to(honest: Devnet, liar: Devnet, chain: object) -> House:
    house = await troubled(net=honest, chain=chain)
    keep_up(house, liar)
    assert liar.head.id == honest.head.id
    return house


async def both_turn(house: House, liar: Devnet, count: int) -> None:
    for _ in range(count):
        await turn(house)
        keep_up(house, liar)


async def finished(house: House, payout: Payout) -> None:
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert states(done) == [AttemptState.SETTLED]
    assert house.paid(payout) == 1


@pytest.mark.parametrize("first", ["liar", "honest"])
async def test_one_liar_of_two_kills_nothing(first: str) -> None:
    house, liar, _ = await lied_to(first)
    payout = await house.create()
    await both_turn(house, liar, 60)
    assert house.paid(payout) == 1
    assert house.net.chain.find((await house.get(payout)).txids[0]) is not None
    now = await house.get(payout)
    assert len(now.txids) == 1
    assert now.status is PayoutStatus.PROCESSING


@pytest.mark.parametrize("result", ["SUCCESS", "OUT_OF_ENERGY", "REVERT"])
async def test_an_inclusion_that_one_of_two_makes_up_decides_nothing(result: str) -> None:
    """The liar alone includes what it was sent; the honest node never does."""
    honest, liar = (Devnet(DevnetSettings(solid_lag=SOLID_LAG)) for _ in range(2))
    honest.faults.add(Fault(kind="swallow", count=1))
    if result != "SUCCESS":
        liar.faults.add(Fault(kind="force_result", value=result))
    first = Either(liar)
    chain = devnet_chain(honest, RecordedFigures(), transports=[first, Either(honest)])
    house = await open_lied_to(honest, liar, chain)
    payout = await house.create()
    await house.dispatch()
    attempt = (await house.get(payout)).live_attempt
    assert attempt is not None
    await chain.broadcast(attempt)
    await both_turn(house, liar, 40)
    included = liar.chain.find(attempt.txid)
    assert included is not None
    assert included[1].receipt.contract_ret == result
    now = await house.get(payout)
    assert now.status is PayoutStatus.PROCESSING
    assert now.hits == ()
    first.net = honest
    done = await outcome(house, payout)
    assert states(done) == [AttemptState.DEAD, AttemptState.SETTLED]
    assert house.paid(payout) == 1


async def test_a_made_up_failure_frees_nothing_while_the_other_endpoint_is_silent() -> None:
    honest, liar = (Devnet(DevnetSettings(solid_lag=SOLID_LAG)) for _ in range(2))
    liar.faults.add(Fault(kind="force_result", value="OUT_OF_ENERGY"))
    transports = [Either(liar), Either(honest)]
    chain = devnet_chain(honest, RecordedFigures(), transports=transports)
    house = await open_lied_to(honest, liar, chain)
    payout = await house.create()
    await house.dispatch()
    attempt = (await house.get(payout)).live_attempt
    assert attempt is not None
    honest.faults.add(Fault(kind="http_status", value=503))
    await both_turn(house, liar, 30)
    now = await house.get(payout)
    assert [hit.contract_ret for hit in now.hits] == ["OUT_OF_ENERGY"]
    assert now.status is PayoutStatus.PROCESSING
    assert len(now.txids) == 1


async def test_a_block_on_which_two_endpoints_differ_is_given_by_neither() -> None:
    house, liar, _ = await lied_to("liar")
    await taken_from_outside(house, 1_000_000)
    house.mine(SOLID_LAG)
    keep_up(house, liar)
    assert house.net.solid.id != liar.solid.id
    with pytest.raises(ChainUnavailableError, match="2 different solid blocks"):
        await house.chain.solid_block(house.net.solid.number)


async def test_a_theft_that_one_of_two_hides_shows_when_the_lie_ends() -> None:
    """No payout is in doubt: only the hidden blocks themselves call for reading again."""
    house, liar, either = await lied_to("liar")
    txid = await taken_from_outside(house, 1_000_000)
    keep_up(house, liar)
    await both_turn(house, liar, 10)
    cursor = await house.store.cursor()
    stolen = house.net.chain.find(txid)
    assert cursor is not None
    assert stolen is not None
    assert cursor.vouched < stolen[0].number < cursor.block.number
    assert await house.store.unexplained(only_open=True, limit=10) == []
    either.net = house.net
    await both_turn(house, liar, 10)
    found = await house.store.unexplained(only_open=True, limit=10)
    assert [transfer.txid for transfer in found] == [txid]


async def test_one_of_two_leads_the_cursor_no_further_than_a_rescan_goes_back() -> None:
    house, liar, _ = await lied_to("liar")
    await taken_from_outside(house, 1_000_000)
    house.mine(SOLID_LAG + 2 * VOUCH_BLOCKS)
    keep_up(house, liar)
    await both_turn(house, liar, 40)
    cursor = await house.store.cursor()
    assert cursor is not None
    assert cursor.block.number == cursor.vouched + VOUCH_BLOCKS - 1
    assert "is not believed" in await house.chain.doubt(cursor.block)


async def test_dispatch_opens_on_no_chain_that_one_of_two_made_up() -> None:
    house, liar, either = await lied_to("liar")
    await taken_from_outside(house, 1_000_000)
    keep_up(house, liar)
    await both_turn(house, liar, 4)
    other = await troubled_twin(house)
    payout = await house.create()

    async def why_closed() -> set[str]:
        names = set()
        for _ in range(10):
            await other.dispatch()
            names |= {closed.name for closed in other.services.dispatcher.closed}
            house.mine(1)
            keep_up(house, liar)
            await house.read()
        return names

    assert await why_closed() == {"catching_up", "unconfirmed"}
    either.net = house.net
    assert "unexplained" in await why_closed()
    assert (await house.get(payout)).txids == ()


async def test_a_cursor_on_the_liars_chain_goes_back_once_the_liar_is_gone() -> None:
    house, liar, _ = await lied_to("liar")
    payout = await house.create()
    await both_turn(house, liar, 40)
    cursor = await house.store.cursor()
    assert cursor is not None
    assert cursor.block.block_id != house.net.chain.blocks[cursor.block.number].id.hex()
    liar.faults.add(Fault(kind="http_status", value=503))
    await turn(house)
    rewound = await house.store.cursor()
    attempt = (await house.get(payout)).live_attempt
    assert attempt is not None
    assert rewound is not None
    assert rewound.broken
    assert rewound.run_start <= attempt.ref_block.number
    await finished(house, payout)
    cursor = await house.store.cursor()
    assert cursor is not None
    assert cursor.broken == ""
    await finished(house, await house.create())


async def test_dispatch_stays_closed_until_the_rescan_has_caught_up() -> None:
    house, liar, _ = await lied_to("liar")
    await house.create()
    await both_turn(house, liar, 40)
    liar.faults.add(Fault(kind="http_status", value=503))
    await house.services.settlement.advance()
    rewound = await house.store.cursor()
    await house.services.settlement.advance()
    cursor = await house.store.cursor()
    assert rewound is not None
    assert cursor is not None
    assert rewound.run_start < cursor.block.number < rewound.reopen_at
    assert cursor.broken
    later = await house.create()
    await house.services.dispatcher.run_group()
    assert (await house.get(later)).txids == ()


async def test_endpoints_that_contradict_each_other_keep_dispatch_closed() -> None:
    """The cursor is on the liar's chain; the liar gives single blocks, but no runs any more."""
    house, liar, either = await lied_to("liar")
    payout = await house.create()
    await both_turn(house, liar, 10)
    runs = "/walletsolidity/getblockbylimitnext"
    liar.faults.add(Fault(kind="http_status", path=runs))
    house.mine(3)
    keep_up(house, liar)
    await both_turn(house, liar, 1)
    later = await house.create()
    await both_turn(house, liar, 40)
    assert [closed.name for closed in house.services.dispatcher.closed] == ["broken_link"]
    assert (await house.get(payout)).status is PayoutStatus.PROCESSING
    assert (await house.get(later)).txids == ()
    either.net = house.net
    await finished(house, payout)
    await finished(house, later)


async def behind_one_address() -> tuple[House, Devnet, Either, Payout]:
    """The only endpoint lied until past the expiration of a payout that was really paid."""
    honest, liar = twins()
    either = Either(honest)
    chain = devnet_chain(honest, RecordedFigures(), transports=[either])
    house = await open_lied_to(honest, liar, chain)
    payout = await house.create()
    await house.dispatch()
    either.net = liar
    attempt = (await house.get(payout)).live_attempt
    assert attempt is not None
    while liar.solid.timestamp < attempt.expiration_ms + 6_000:
        house.mine(1)
        keep_up(house, liar)
        await house.read()
    assert house.paid(payout) == 1
    either.net = honest
    return house, liar, either, payout


async def test_nothing_dies_by_a_chain_that_has_proven_to_be_in_doubt() -> None:
    """The link breaks, and the way back cannot be read yet: until then no death is declared."""
    house, _, _, payout = await behind_one_address()
    house.net.faults.add(Fault(kind="http_status", path="/walletsolidity/getblockbynum", count=1))
    house.mine(3)
    with pytest.raises(ChainUnavailableError):
        await house.services.settlement.advance()
    await house.services.settlement.review()
    assert (await house.get(payout)).status is PayoutStatus.PROCESSING
    await finished(house, payout)


async def test_a_death_by_a_lie_is_found_out_before_the_payout_is_paid_again() -> None:
    """The only endpoint contradicts itself: what died by its word is in doubt from then on."""
    house, liar, either, payout = await behind_one_address()
    either.net = liar
    await house.services.settlement.review()
    assert states(await house.get(payout)) == [AttemptState.DEAD]
    either.net = house.net
    house.mine(3)
    for _ in range(15):
        for step in (house.read, house.dispatch, house.services.settlement.review):
            await step()
        house.mine(1)
    assert house.paid(payout) == 1


async def test_nothing_dies_by_the_position_of_a_replica_that_another_one_set_back() -> None:
    house, _, _, payout = await behind_one_address()
    other = await troubled_twin(house)
    house.mine(3)
    await other.services.settlement.advance()
    cursor = await house.store.cursor()
    assert cursor is not None
    assert cursor.broken
    await house.services.settlement.review()
    assert (await house.get(payout)).status is PayoutStatus.PROCESSING
    await finished(house, payout)


async def troubled_twin(house: House) -> House:
    """Another replica over the same store, chain and clock."""
    return await open_house(
        net=house.net,
        store=house.store,
        clock=house.clock,
        chain=house.chain,
        policies=house.policies,
        replica="replica-2",
    )
