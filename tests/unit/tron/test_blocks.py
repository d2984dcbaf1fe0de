"""Blocks and infos: the true ones are read, and whatever was touched is refused."""

import asyncio
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tron.blocks import (
    TRANSFER_TOPIC,
    BadAnswerError,
    read_hit,
    verify_block,
    verify_header,
)
from adapters.tron.protocol import address_to_hex, block_id, header_bytes, hex_to_address
from models.chain import BlockRef, OwnTransaction, SolidBlock, Transfer, follows
from models.money import Currency
from tests.harness import House, open_house
from tests.unit.tron.answers import (
    anything,
    found_at,
    places,
    put_at,
    real_blocks,
    real_headers,
    spoiled,
)

NOBODY: frozenset[str] = frozenset()
ABUNDANT = 5


@pytest.mark.parametrize("answer", real_blocks())
def test_real_blocks_verify(answer: dict[str, Any]) -> None:
    block = verify_block(answer, NOBODY)
    header = answer["block_header"]["raw_data"]
    assert block.ref == BlockRef(header["number"], answer["blockID"], header["timestamp"])
    assert block.parent_id == header["parentHash"]
    assert block.owned == ()


@pytest.mark.parametrize("answer", real_headers())
def test_real_headers_verify(answer: dict[str, Any]) -> None:
    assert verify_header(answer).block_id == answer["blockID"]


def test_real_neighbours_link() -> None:
    first, second = (verify_block(answer, NOBODY) for answer in real_blocks()[:2])
    assert follows(first.ref, second)
    assert not follows(second.ref, first)


def test_the_owner_of_a_real_transaction_is_read_from_its_bytes() -> None:
    owner = "411fcf7ab2a2fb29362babd41647a22b223f7fbede"
    answer = real_blocks()[0]
    assert owner not in answer["transactions"][0]["raw_data_hex"]
    raw = answer["transactions"][0]["raw_data_hex"]
    start = raw.index("0a1541") + 4
    (own,) = verify_block(answer, frozenset({raw[start : start + 42]})).owned
    assert own.txid == answer["transactions"][0]["txID"]
    assert own.contract_ret == "SUCCESS"


@cache
def a_busy_block() -> tuple[dict[str, Any], House]:
    """A devnet's block with several transactions of the wallet, as its node shows it."""

    async def make() -> tuple[dict[str, Any], House]:
        house = await open_house()
        await house.start()
        for number in range(ABUNDANT):
            await house.create(currency=list(Currency)[number % 2])
        await house.dispatch()
        house.mine(5)
        number = house.net.head.number - 4
        answer = await house.chain._endpoints[0].post("/wallet/getblockbynum", {"num": number})
        assert len(answer["transactions"]) == ABUNDANT
        return answer, house

    return asyncio.run(make())


def test_own_transactions_are_those_the_wallet_owns() -> None:
    answer, house = a_busy_block()
    wallet = address_to_hex(house.wallet)
    assert len(verify_block(answer, frozenset({wallet})).owned) == ABUNDANT
    token = address_to_hex(house.net.token)
    assert token in answer["transactions"][0]["raw_data_hex"] + str(answer)
    assert verify_block(answer, frozenset({token})).owned == ()


@given(st.permutations(range(ABUNDANT)), st.integers(0, ABUNDANT))
def test_transactions_left_out_or_moved_are_refused(order: list[int], kept: int) -> None:
    answer, _ = a_busy_block()
    if order[:kept] == list(range(ABUNDANT)):
        return
    shown = [answer["transactions"][place] for place in order[:kept]]
    with pytest.raises(BadAnswerError):
        verify_block({**answer, "transactions": shown}, NOBODY)


@given(st.lists(st.integers(0, ABUNDANT - 1), min_size=1, max_size=4))
def test_transactions_shown_twice_are_refused(again: list[int]) -> None:
    answer, _ = a_busy_block()
    shown = answer["transactions"] + [answer["transactions"][place] for place in again]
    with pytest.raises(BadAnswerError):
        verify_block({**answer, "transactions": shown}, NOBODY)


def is_bound(path: tuple[Any, ...]) -> bool:
    """Whether the block id stands for the bytes at a path of a block."""
    return (
        path[0] == "blockID"
        or path[:2] == ("block_header", "raw_data")
        or (path[0] == "transactions" and path[2:3] in [("raw_data_hex",), ("signature",)])
    )


BYTES = [
    (answer, path)
    for answer in [*real_blocks(), a_busy_block()[0]]
    for path in places(answer)
    if path and is_bound(path) and isinstance(found_at(answer, path), str)
]
"""Every value of these blocks that is bytes for which the block id stands."""


@given(st.sampled_from(BYTES), st.data())
def test_any_byte_that_is_altered_is_refused(
    case: tuple[dict[str, Any], tuple[Any, ...]], data: st.DataObject
) -> None:
    answer, path = case
    before = bytearray.fromhex(found_at(answer, path))
    place = data.draw(st.integers(0, len(before) - 1))
    before[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadAnswerError):
        verify_block(put_at(answer, path, before.hex()), NOBODY)


@given(st.sampled_from(BYTES), st.data())
def test_any_bytes_cut_short_or_lengthened_are_refused(
    case: tuple[dict[str, Any], tuple[Any, ...]], data: st.DataObject
) -> None:
    answer, path = case
    before = found_at(answer, path)
    end = data.draw(st.integers(0, len(before) // 2 - 1)) * 2
    for other in (before[:end], before + "00"):
        with pytest.raises(BadAnswerError):
            verify_block(put_at(answer, path, other), NOBODY)


@pytest.mark.parametrize("name", ["number", "timestamp", "version"])
@given(step=st.integers(-(2**40), 2**40).filter(bool))
def test_any_figure_that_is_altered_is_refused(name: str, step: int) -> None:
    for answer in real_blocks():
        path = ("block_header", "raw_data", name)
        figure = answer["block_header"]["raw_data"].get(name, 0)
        with pytest.raises(BadAnswerError):
            verify_block(put_at(answer, path, figure + step), NOBODY)


@pytest.mark.parametrize("result", ["REVERT", "OUT_OF_ENERGY", "DEFAULT", "UNKNOWN", "", None, 1])
def test_a_result_that_is_altered_is_refused(result: Any) -> None:
    answer, _ = a_busy_block()
    for place in range(ABUNDANT):
        path = ("transactions", place, "ret", 0, "contractRet")
        with pytest.raises(BadAnswerError):
            verify_block(put_at(answer, path, result), NOBODY)


@given(anything)
def test_anything_is_refused_in_one_way(answer: Any) -> None:
    for verify in (verify_header, lambda found: verify_block(found, NOBODY)):
        with pytest.raises(BadAnswerError):
            verify(answer)


@given(spoiled(a_busy_block()[0]))
def test_a_spoiled_block_is_refused_or_says_the_same(answer: Any) -> None:
    true, house = a_busy_block()
    wallets = frozenset({address_to_hex(house.wallet)})
    try:
        read = verify_block(answer, wallets)
    except BadAnswerError:
        return
    assert read == verify_block(true, wallets)


@given(spoiled({"number": 5, "timestamp": 7, "parentHash": "aa" * 32, "txTrieRoot": "00" * 32}))
def test_a_header_that_fits_its_id_has_figures(header: Any) -> None:
    """Whoever makes up a header can also make up the id that fits it."""
    try:
        identity = block_id(header.get("number", 0), header_bytes(header)).hex()
    except Exception:
        return
    answer = {"blockID": identity, "block_header": {"raw_data": header}}
    try:
        block = verify_block(answer, NOBODY)
    except BadAnswerError:
        return
    assert type(block.ref.number) is type(block.ref.time_ms) is int


# what a transaction did


@cache
def a_hit() -> tuple[OwnTransaction, SolidBlock, dict[str, Any]]:
    """A token transfer of the wallet with its block and its info."""
    answer, house = a_busy_block()
    wallet = frozenset({address_to_hex(house.wallet)})
    block = verify_block(answer, wallet)
    own = next(each for each in block.owned if each.kind == 31)

    async def ask() -> Any:
        return await house.chain._endpoints[0].post(
            "/wallet/gettransactioninfobyid", {"value": own.txid}
        )

    return own, block, asyncio.run(ask())


def logs(*entries: dict[str, Any]) -> dict[str, Any]:
    return {**a_hit()[2], "log": list(entries)}


def test_an_info_that_agrees_is_read() -> None:
    own, block, info = a_hit()
    hit = read_hit(own, block.ref, info)
    assert hit.contract_ret == "SUCCESS"
    assert hit.fee_sun == info["fee"]
    assert [transfer.amount for transfer in hit.transfers] == [12_500_000]


DISAGREEMENTS: dict[str, dict[str, Any]] = {
    "another transaction": {"id": "00" * 32},
    "another block": {"blockNumber": 1},
    "another time": {"blockTimeStamp": 1},
    "no block": {"blockNumber": None},
    "failed": {"result": "FAILED"},
    "another result": {"receipt": {"result": "REVERT"}},
    "no result": {"receipt": {}},
    "negative fee": {"fee": -1},
    "fractional fee": {"fee": 0.5},
    "fee of a truth": {"fee": True},
    "no receipt": {"receipt": None},
    "no logs": {"log": None},
}


@pytest.mark.parametrize("change", DISAGREEMENTS.values(), ids=DISAGREEMENTS)
def test_an_info_that_disagrees_is_refused(change: dict[str, Any]) -> None:
    own, block, info = a_hit()
    with pytest.raises(BadAnswerError):
        read_hit(own, block.ref, {**info, **change})


@pytest.mark.parametrize("result", ["REVERT", "OUT_OF_ENERGY", "DEFAULT"])
def test_a_success_in_the_info_of_what_failed_is_refused(result: str) -> None:
    own, block, info = a_hit()
    with pytest.raises(BadAnswerError):
        read_hit(replace(own, contract_ret=result), block.ref, info)


def test_events_that_are_no_token_transfer_do_not_stop_the_cursor() -> None:
    """A transaction that others made with the wallet's key may log anything."""
    own, block, info = a_hit()
    (true,) = info["log"]
    no_topics = {"address": true["address"], "data": ""}
    approval = {**true, "topics": ["8c5be1e5" + "0" * 56, *true["topics"][1:]]}
    of_one_thing = {**true, "topics": [*true["topics"], "00" * 32], "data": ""}
    not_indexed = {**true, "topics": true["topics"][:1], "data": true["data"] * 3}
    not_an_address = {**true, "topics": [TRANSFER_TOPIC, "ff" * 32, "ff" * 32]}
    odd = [no_topics, {**no_topics, "topics": []}, approval, of_one_thing, not_indexed]
    hit = read_hit(own, block.ref, logs(*odd, not_an_address, true))
    assert [transfer.amount for transfer in hit.transfers] == [12_500_000]
    assert hit.transfers == read_hit(own, block.ref, info).transfers


@given(st.integers(0, 2**256 - 1))
def test_the_logged_amount_is_read_whole(amount: int) -> None:
    own, block, info = a_hit()
    (true,) = info["log"]
    hit = read_hit(own, block.ref, logs({**true, "data": f"{amount:064x}"}))
    assert hit.transfers == (
        Transfer(
            contract=hex_to_address("41" + true["address"]),
            owner=own.owner,
            recipient=hex_to_address("41" + true["topics"][2][24:]),
            amount=amount,
        ),
    )


@given(anything)
def test_any_info_is_refused_in_one_way(info: Any) -> None:
    own, block, _ = a_hit()
    with pytest.raises(BadAnswerError):
        read_hit(own, block.ref, info)


@given(st.data())
def test_a_spoiled_info_never_makes_another_failure(data: st.DataObject) -> None:
    own, block, true = a_hit()
    info = data.draw(spoiled(true))
    try:
        hit = read_hit(own, block.ref, info)
    except BadAnswerError:
        return
    assert (hit.txid, hit.contract_ret, hit.block) == (own.txid, "SUCCESS", block.ref)
