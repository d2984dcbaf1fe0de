"""Several endpoints behind one face: who is asked, in which order, and whom it believes."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from adapters.tron import client
from adapters.tron.protocol import address_to_hex, transaction_bytes
from devnet.devnet import Devnet
from devnet.faults import Fault
from devnet.settings import DevnetSettings
from models.chain import BlockRef
from models.transaction import NOT_TAKEN, UNANSWERED
from ports.chain import ChainUnavailableError
from tests.factories import OWNER, an_attempt
from tests.harness import RecordedFigures, devnet_chain
from tests.unit.tron.answers import real_headers
from tests.unit.tron.stub import Stub, chain_of
from utils.circuit_breaker import BreakerPolicy

BLOCK, OTHER_BLOCK = real_headers()[:2]
GENESIS = "/wallet/getblockbynum"
SEND = "/wallet/broadcasthex"
DOWN = httpx.Response(503)


def ref(answer: Mapping[str, Any]) -> BlockRef:
    header = answer["block_header"]["raw_data"]
    return BlockRef(header["number"], answer["blockID"], header["timestamp"])


def says(answer: Any) -> Stub:
    return Stub(lambda request: answer)


def on_chain(genesis: Any, sent: Any) -> Stub:
    """A node with that block 0 and that answer to a broadcast."""
    return Stub(lambda request: genesis if request.url.path == GENESIS else sent)


def code(name: str) -> dict[str, Any]:
    return {"result": name == "SUCCESS", "code": name}


def counts(*stubs: Stub) -> list[int]:
    return [len(stub.requests) for stub in stubs]


# reading


async def test_the_first_endpoint_that_answers_is_enough() -> None:
    first, second = says(BLOCK), says(OTHER_BLOCK)
    assert await chain_of(first, second).head() == ref(BLOCK)
    assert counts(first, second) == [1, 0]


@pytest.mark.parametrize("broken", [DOWN, {}, "rubbish", {**BLOCK, "blockID": "00" * 32}])
async def test_an_answer_that_does_not_hold_is_asked_for_elsewhere(broken: Any) -> None:
    first, second = says(broken), says(BLOCK)
    assert await chain_of(first, second).head() == ref(BLOCK)
    assert counts(first, second) == [1, 1]


async def test_when_nobody_answers_nothing_is_known() -> None:
    with pytest.raises(ChainUnavailableError):
        await chain_of(says(DOWN), says({})).head()


async def test_everybody_is_asked_so_many_times() -> None:
    first, second = says(DOWN), says(DOWN)
    with pytest.raises(ChainUnavailableError):
        await chain_of(first, second, tries=3).head()
    assert counts(first, second) == [3, 3]


async def test_an_open_breaker_goes_on_to_the_next() -> None:
    first = Stub(lambda request: DOWN, breaker=BreakerPolicy(failure_threshold=1))
    second = says(BLOCK)
    chain = chain_of(first, second)
    for _ in range(3):
        await chain.head()
    assert counts(first, second) == [1, 3]
    assert [state.usable for state in chain.states()] == [False, True]


async def test_one_wrong_answer_about_the_chain_is_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "OTHER_CHAIN_SECONDS", 0.0)
    answers = [OTHER_BLOCK]
    stub = Stub(lambda request: answers.pop() if answers else BLOCK)
    chain = chain_of(stub)
    chain.expect_genesis(BLOCK["blockID"])
    with pytest.raises(ChainUnavailableError):
        await chain.head()
    assert [state.usable for state in chain.states()] == [False]
    assert await chain.head() == ref(BLOCK)
    assert [state.usable for state in chain.states()] == [True]


async def test_the_highest_block_of_any_answer_is_remembered() -> None:
    stub = says(OTHER_BLOCK)
    chain = chain_of(stub)
    assert chain.newest_seen() == 0
    await chain.head()
    stub.handler = lambda request: BLOCK
    await chain.solid_head()
    assert chain.newest_seen() == max(ref(BLOCK).number, ref(OTHER_BLOCK).number)


# which chain


async def test_an_endpoint_of_another_chain_is_asked_once_and_left_alone() -> None:
    wrong, right = says(OTHER_BLOCK), says(BLOCK)
    chain = chain_of(wrong, right)
    chain.expect_genesis(BLOCK["blockID"])
    for _ in range(3):
        assert await chain.head() == ref(BLOCK)
    assert wrong.paths == [GENESIS]
    assert right.paths.count(GENESIS) == 1
    assert [state.usable for state in chain.states()] == [False, True]


async def test_two_of_one_chain_confirm_and_one_does_not() -> None:
    block = ref(BLOCK)
    assert await chain_of(says(DOWN)).confirms(block)
    assert await chain_of(says(BLOCK), says(BLOCK)).confirms(block)
    for other in (DOWN, {}, OTHER_BLOCK):
        assert not await chain_of(says(BLOCK), says(other)).confirms(block)
    assert await chain_of(says(BLOCK), says(DOWN), says(BLOCK)).confirms(block)
    chain = chain_of(says(BLOCK), says(BLOCK))
    assert not await chain.confirms(replace(block, time_ms=block.time_ms + 1))


async def test_a_block_is_believed_once_more_endpoints_have_it_than_not() -> None:
    block, other = ref(BLOCK), OTHER_BLOCK
    assert await chain_of(says(DOWN)).doubt(block) == ""
    for views in ((BLOCK, BLOCK), (BLOCK, BLOCK, other), (BLOCK, DOWN, BLOCK)):
        assert await chain_of(*map(says, views)).doubt(block) == ""
    for views in ((BLOCK, other), (BLOCK, DOWN), (BLOCK, {}), (BLOCK, other, DOWN), (DOWN, DOWN)):
        assert "is not believed" in await chain_of(*map(says, views)).doubt(block)


async def test_who_is_silent_for_long_has_no_say() -> None:
    patience = {"silent_after_seconds": -1}
    block = ref(BLOCK)
    assert await chain_of(says(BLOCK), says(DOWN), **patience).doubt(block) == ""
    assert await chain_of(says(DOWN), says(DOWN), **patience).doubt(block) != ""


async def test_silence_is_counted_from_its_beginning_and_ends_with_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = says(BLOCK)
    chain, block = chain_of(says(BLOCK), other), ref(BLOCK)
    loop, passed = asyncio.get_running_loop(), 0.0
    begun = loop.time()
    monkeypatch.setattr(loop, "time", lambda: begun + passed)

    async def doubted(answer: Any, at: float) -> bool:
        nonlocal passed
        passed, other.handler = at, lambda _: answer
        return await chain.doubt(block) != ""

    assert await doubted(DOWN, 0)
    assert await doubted(DOWN, 60)
    assert not await doubted(DOWN, 61)
    assert not await doubted(BLOCK, 62)
    assert await doubted(DOWN, 1_000)


async def test_who_is_behind_has_a_say_as_long_as_it_gets_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = Devnet(DevnetSettings(solid_lag=1, nodes=2))
    net.mine(30)
    chain = devnet_chain(net, RecordedFigures(), silent_after_seconds=60)
    head = await chain.solid_head()
    loop, passed = asyncio.get_running_loop(), 0.0
    begun = loop.time()
    monkeypatch.setattr(loop, "time", lambda: begun + passed)

    async def doubted(lag: int, at: float) -> bool:
        nonlocal passed
        passed = at
        net.faults.clear()
        net.faults.add(Fault(kind="solid_lag", value=lag, node=1))
        return await chain.doubt(head) != ""

    assert await doubted(20, 0)
    assert await doubted(15, 50)
    assert await doubted(10, 100)
    assert await doubted(10, 160)
    assert not await doubted(10, 161)
    assert await doubted(9, 162)


async def test_a_run_that_is_too_large_is_asked_for_in_smaller_ones() -> None:
    net = Devnet(DevnetSettings(solid_lag=1))
    net.mine(30)
    small, asked = 4, list[int]()

    async def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if request.url.path == "/walletsolidity/getblockbylimitnext":
            asked.append(body["endNum"] - body["startNum"])
            if asked[-1] > small:
                return httpx.Response(200, content=b" " * 20_000)
        return await net.transport(0).handle_async_request(request)

    chain = chain_of(Stub(answer, settings={"max_answer_bytes": 10_000}))
    after = await chain.solid_block(3)
    blocks = await chain.solid_blocks(after, 20, frozenset())
    assert [block.ref.number for block in blocks] == [4, 5]
    assert asked == [20, 10, 5, 2]
    small = 0
    with pytest.raises(ChainUnavailableError, match="too large"):
        await chain.solid_blocks(after, 20, frozenset())
    assert asked[4:] == [20, 10, 5, 2, 1]


async def test_a_block_on_which_endpoints_differ_is_not_known() -> None:
    number = ref(BLOCK).number
    assert await chain_of(says(BLOCK), says(DOWN)).solid_block(number) == ref(BLOCK)
    with pytest.raises(ChainUnavailableError):
        await chain_of(says(DOWN)).solid_block(number)


# sending


async def test_the_stored_bytes_are_sent_as_they_are() -> None:
    stub, attempt = says(code("SUCCESS")), an_attempt()
    assert await chain_of(stub).broadcast(attempt) == "SUCCESS"
    body = json.loads(stub.requests[0].content)
    assert body == {"transaction": transaction_bytes(attempt.raw, [attempt.signature]).hex()}


@pytest.mark.parametrize("name", sorted(NOT_TAKEN - UNANSWERED))
async def test_bytes_not_taken_here_are_offered_to_the_next(name: str) -> None:
    first, second = says(code(name)), says(code("SUCCESS"))
    assert await chain_of(first, second).broadcast(an_attempt()) == "SUCCESS"
    assert counts(first, second) == [1, 1]


@pytest.mark.parametrize("name", ["SIGERROR", "TAPOS_ERROR", "DUP_TRANSACTION_ERROR", "SUCCESS"])
async def test_a_word_of_its_own_ends_the_round(name: str) -> None:
    first, second = says(code(name)), says(code("SUCCESS"))
    assert await chain_of(first, second, tries=3).broadcast(an_attempt()) == name
    assert counts(first, second) == [1, 0]


async def test_where_nobody_takes_the_bytes_the_last_word_is_told() -> None:
    first, second = says(code("SERVER_BUSY")), says(code("NO_CONNECTION"))
    assert await chain_of(first, second, tries=2).broadcast(an_attempt()) == "NO_CONNECTION"
    assert counts(first, second) == [2, 2]


@pytest.mark.parametrize("sent_before", range(5))
async def test_each_sending_begins_at_another_endpoint(sent_before: int) -> None:
    stubs = [says(code("SUCCESS")) for _ in range(3)]
    attempt = an_attempt(answers={"SUCCESS": sent_before})
    await chain_of(*stubs).broadcast(attempt)
    assert [len(stub.requests) for stub in stubs].index(1) == sent_before % 3


async def test_nothing_is_sent_to_another_chain() -> None:
    wrong = on_chain(OTHER_BLOCK, code("SUCCESS"))
    right = on_chain(BLOCK, code("SUCCESS"))
    chain = chain_of(wrong, right)
    chain.expect_genesis(BLOCK["blockID"])
    for _ in range(3):
        assert await chain.broadcast(an_attempt()) == "SUCCESS"
    assert SEND not in wrong.paths
    assert right.paths.count(SEND) == 3


@pytest.mark.parametrize("genesis", [DOWN, {}, [], {"Error": "x"}, httpx.Response(200)])
async def test_an_endpoint_whose_chain_is_not_known_is_passed_over(genesis: Any) -> None:
    unknown, right = on_chain(genesis, code("SUCCESS")), on_chain(BLOCK, code("SUCCESS"))
    chain = chain_of(unknown, right)
    chain.expect_genesis(BLOCK["blockID"])
    assert await chain.broadcast(an_attempt()) == "SUCCESS"
    assert SEND not in unknown.paths
    assert await chain_of_unknown(genesis).broadcast(an_attempt()) == "UNREACHABLE"


def chain_of_unknown(genesis: Any) -> Any:
    chain = chain_of(on_chain(genesis, code("SUCCESS")))
    chain.expect_genesis(BLOCK["blockID"])
    return chain


# what is kept


async def test_an_account_that_exists_is_asked_for_once() -> None:
    stub = says({})
    chain = chain_of(stub)
    assert not await chain.is_activated(OWNER)
    assert not await chain.is_activated(OWNER)
    stub.handler = lambda request: {"address": address_to_hex(OWNER)}
    assert await chain.is_activated(OWNER)
    assert await chain.is_activated(OWNER)
    assert len(stub.requests) == 3


async def test_voted_parameters_are_asked_for_once() -> None:
    keys = ["getEnergyFee", "getTransactionFee", "getCreateAccountFee", "getMaxFeeLimit"]
    system = {"key": "getCreateNewAccountFeeInSystemContract"}
    stub = says({"chainParameter": [*({"key": key, "value": 7} for key in keys), system]})
    chain = chain_of(stub)
    rates = await chain.fee_rates()
    assert (rates.energy_sun, rates.byte_sun, rates.account_sun) == (7, 7, 7)
    assert await chain.fee_rates() == rates
    assert len(stub.requests) == 1
