"""Questions to one endpoint: an odd answer is refused as such, and never anything else."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tron import queries
from adapters.tron.blocks import BadAnswerError
from adapters.tron.endpoint import Endpoint, EndpointError
from adapters.tron.protocol import address_to_hex
from models.chain import SolidBlock, Transfer
from tests.harness import House, open_house
from tests.unit.tron.answers import anything, spoiled
from tests.unit.tron.test_blocks import a_hit

REFUSALS = (BadAnswerError, EndpointError)
Query = Callable[[Endpoint], Awaitable[Any]]


@dataclass
class Says:
    """An endpoint that gives these answers, one after the other; the last one for ever."""

    answers: list[Any]

    async def post(self, path: str, body: Any) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def asked(query: Query, *answers: Any) -> Any:
    return asyncio.run(query(Says(list(answers))))  # type: ignore[arg-type]


@cache
def a_house() -> House:
    async def make() -> House:
        house = await open_house()
        await house.start()
        return house

    return asyncio.run(make())


def the_block() -> SolidBlock:
    own, block, _ = a_hit()
    return SolidBlock(block.ref, block.parent_id, (own,))


def transfer() -> Transfer:
    house = a_house()
    wallet = house.wallet
    return Transfer(house.net.token, wallet, house.net.token, 1)


QUERIES: dict[str, Query] = {
    "header": lambda e: queries.header_of(e, "/wallet/getnowblock"),
    "genesis": queries.genesis,
    "solid header": lambda e: queries.solid_header(e, 3),
    "hits": lambda e: queries.hits(e, the_block()),
    "account": lambda e: queries.account(e, a_house().wallet),
    "token balance": lambda e: queries.token_balance(e, a_house().net.token, a_house().wallet),
    "simulation": lambda e: queries.simulate(e, transfer()),
    "fee rates": queries.fee_rates,
}


@cache
def true_answer(name: str) -> Any:
    """What the devnet's node says."""
    endpoint = a_house().chain._endpoints[0]
    wallet = address_to_hex(a_house().wallet)
    token = address_to_hex(a_house().net.token)
    call = {"owner_address": wallet, "contract_address": token}
    questions: dict[str, tuple[str, dict[str, Any]]] = {
        "header": ("/wallet/getnowblock", {}),
        "genesis": ("/wallet/getblockbynum", {"num": 0}),
        "solid header": ("/wallet/getblockbynum", {"num": 3}),
        "account": ("/wallet/getaccount", {"address": wallet}),
        "token balance": (
            "/wallet/triggerconstantcontract",
            call | {"data": queries.BALANCE_OF + wallet[2:].rjust(64, "0")},
        ),
        "simulation": (
            "/wallet/triggerconstantcontract",
            call | {"data": queries.transfer_call(transfer()).hex()},
        ),
        "fee rates": ("/wallet/getchainparameters", {}),
    }
    if name == "hits":
        return [a_hit()[2]]
    return asyncio.run(endpoint.post(*questions[name]))


@pytest.mark.parametrize("name", QUERIES)
def test_a_true_answer_is_read(name: str) -> None:
    assert asked(QUERIES[name], true_answer(name)) is not None


@pytest.mark.parametrize("name", QUERIES)
@given(answer=anything)
def test_anything_is_refused_in_one_way(name: str, answer: Any) -> None:
    try:
        asked(QUERIES[name], answer)
    except REFUSALS:
        return
    assert (name, answer) == ("account", {})  # which means that there is none


@pytest.mark.parametrize("name", QUERIES)
@given(data=st.data())
def test_a_spoiled_answer_is_refused_or_read(name: str, data: st.DataObject) -> None:
    answer = data.draw(spoiled(true_answer(name)))
    try:
        asked(QUERIES[name], answer)
    except REFUSALS:
        return


@given(st.data())
def test_a_spoiled_account_or_parameter_is_never_a_negative_figure(data: st.DataObject) -> None:
    try:
        rates = asked(queries.fee_rates, data.draw(spoiled(true_answer("fee rates"))))
    except REFUSALS:
        return
    figures = (rates.energy_sun, rates.byte_sun, rates.account_sun, rates.max_fee_limit_sun)
    assert all(type(figure) is int and figure >= 0 for figure in figures)


@given(anything)
def test_any_answer_to_a_broadcast_is_a_short_word(answer: Any) -> None:
    code = queries.broadcast_code(answer)
    assert code.isidentifier()
    assert len(code) < 64


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"result": True, "txid": "00"}, "SUCCESS"),
        ({"result": True, "code": "SUCCESS"}, "SUCCESS"),
        ({"code": "SIGERROR", "txid": "00", "message": "6162"}, "SIGERROR"),
        ({"result": False, "code": "DUP_TRANSACTION_ERROR"}, "DUP_TRANSACTION_ERROR"),
        ({"result": False}, "BAD_ANSWER"),
        ({"result": "true"}, "BAD_ANSWER"),
        ({"result": 1}, "BAD_ANSWER"),
        ({"code": "not a word"}, "BAD_ANSWER"),
        ({"code": "X" * 64}, "BAD_ANSWER"),
        ({"code": 5}, "BAD_ANSWER"),
        ({}, "BAD_ANSWER"),
        ([], "BAD_ANSWER"),
        (None, "BAD_ANSWER"),
        ("SUCCESS", "BAD_ANSWER"),
    ],
)
def test_what_a_broadcast_answers(answer: Any, code: str) -> None:
    assert queries.broadcast_code(answer) == code


def test_infos_are_asked_for_every_own_transaction() -> None:
    info = a_hit()[2]
    (hit,) = asked(QUERIES["hits"], [{"id": "ff" * 32}, info, "rubbish"])
    assert hit.txid == a_hit()[0].txid
    for answer in (
        [],
        {},
        [{"id": []}],
        [{"id": "ff" * 32}],
        [{**info, "id": info["id"][:-2]}],
        None,
    ):
        with pytest.raises(BadAnswerError):
            asked(QUERIES["hits"], answer)


def test_a_block_above_the_solid_head_is_not_solid() -> None:
    head, block = true_answer("genesis"), true_answer("solid header")
    with pytest.raises(EndpointError, match="not solid"):
        asked(QUERIES["solid header"], head, block)


def test_a_block_of_another_number_is_refused() -> None:
    newest, other = true_answer("header"), true_answer("genesis")
    with pytest.raises(BadAnswerError):
        asked(QUERIES["solid header"], newest, other)


def test_an_account_that_is_another_one_is_refused() -> None:
    for other in ({"address": "41" + "00" * 20, "balance": 1}, {"balance": 1}):
        with pytest.raises(BadAnswerError):
            asked(QUERIES["account"], other)
    assert asked(QUERIES["account"], {}) == {}


SIMULATIONS: list[tuple[dict[str, Any], bool]] = [
    ({"result": {"result": True}, "energy_used": 5}, False),
    ({"result": {"result": True, "message": "5245564552"}, "energy_used": 5}, True),
    ({"result": {"result": True}, "transaction": {"ret": [{"ret": "FAILED"}]}}, True),
    ({"result": {"result": True}, "transaction": {"ret": [{}]}}, False),
    ({"result": {"code": "OTHER_ERROR", "message": "6e6f"}}, True),
]


@pytest.mark.parametrize(("answer", "reverted"), SIMULATIONS)
def test_a_revert_is_told_from_a_success(answer: dict[str, Any], reverted: bool) -> None:
    assert asked(QUERIES["simulation"], answer).reverted is reverted


@pytest.mark.parametrize("ret", [{}, [], [[]], "", None, 5])
def test_a_simulation_of_another_shape_is_refused(ret: Any) -> None:
    with pytest.raises(BadAnswerError):
        asked(QUERIES["simulation"], {"result": {"result": True}, "transaction": {"ret": ret}})


@pytest.mark.parametrize("code", ["CONTRACT_VALIDATE_ERROR", "CONTRACT_EXE_ERROR", None, 4])
def test_a_node_that_does_not_simulate_says_nothing_about_the_transfer(code: Any) -> None:
    with pytest.raises(BadAnswerError):
        asked(QUERIES["simulation"], {"result": {"code": code}})
