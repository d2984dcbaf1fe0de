"""How the chain's answer to an attempt is judged, and when an attempt is dead."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.chain import BlockRef, Cursor, Transfer
from models.transaction import (
    NOT_TAKEN,
    SHORTAGE_ANSWERS,
    UNANSWERED,
    BroadcastNote,
    Verdict,
    attempt_timestamp_ms,
    death_counts,
    fee_limit_was_binding,
    is_dead,
    judge,
    txid_of,
)
from tests.factories import OWNER, RECIPIENT, USDT_CONTRACT, a_block, a_hit, an_attempt

ATTEMPT = an_attempt()
ASKED = ATTEMPT.transfer
OTHER_TOKEN = "TXLAQ63Xg1NAzckPwKHvzw7CSEmLMEqcdj"
STRANGER = "TVj7RNVHy6thbM7BWdSe9G6gXwKhjhdNZS"

RESULTS = [
    "DEFAULT",
    "SUCCESS",
    "REVERT",
    "BAD_JUMP_DESTINATION",
    "OUT_OF_MEMORY",
    "PRECOMPILED_CONTRACT",
    "STACK_TOO_SMALL",
    "STACK_TOO_LARGE",
    "ILLEGAL_OPERATION",
    "STACK_OVERFLOW",
    "OUT_OF_ENERGY",
    "OUT_OF_TIME",
    "JVM_STACK_OVER_FLOW",
    "UNKNOWN",
    "TRANSFER_FAILED",
    "INVALID_CODE",
]
"""Every result that a transaction in a block can carry (java-tron `Tron.proto`)."""

transfers = st.builds(
    Transfer,
    contract=st.sampled_from([USDT_CONTRACT, OTHER_TOKEN, None]),
    owner=st.sampled_from([OWNER, STRANGER]),
    recipient=st.sampled_from([RECIPIENT, STRANGER]),
    amount=st.sampled_from([ASKED.amount, ASKED.amount + 1, 0, 2**256 - 1]),
)
lists = st.lists(st.one_of(transfers, st.just(ASKED)), max_size=4).map(tuple)


@given(lists, st.sampled_from(RESULTS))
def test_paid_is_success_with_exactly_the_one_transfer(
    found: tuple[Transfer, ...], contract_ret: str
) -> None:
    verdict = judge(ATTEMPT, a_hit(ATTEMPT, transfers=found, contract_ret=contract_ret))
    of_token = [transfer for transfer in found if transfer.contract == USDT_CONTRACT]
    exactly = len(of_token) == 1 and of_token[0] == ASKED
    if contract_ret == "SUCCESS":
        assert verdict is (Verdict.PAID if exactly else Verdict.MISMATCH)
    else:
        assert verdict in (Verdict.FAILED, Verdict.OUT_OF_ENERGY)


@pytest.mark.parametrize("contract_ret", [*RESULTS, "", "A_RESULT_OF_TOMORROW"])
def test_each_result_has_its_verdict(contract_ret: str) -> None:
    special = {"SUCCESS": Verdict.PAID, "OUT_OF_ENERGY": Verdict.OUT_OF_ENERGY}
    expected = special.get(contract_ret, Verdict.FAILED)
    assert judge(ATTEMPT, a_hit(ATTEMPT, contract_ret=contract_ret)) is expected


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ((ASKED,), Verdict.PAID),
        ((replace(ASKED, contract=OTHER_TOKEN), ASKED), Verdict.PAID),
        ((), Verdict.MISMATCH),
        ((ASKED, ASKED), Verdict.MISMATCH),
        ((ASKED, replace(ASKED, recipient=STRANGER)), Verdict.MISMATCH),
        ((replace(ASKED, amount=ASKED.amount - 1),), Verdict.MISMATCH),
        ((replace(ASKED, recipient=STRANGER),), Verdict.MISMATCH),
        ((replace(ASKED, owner=STRANGER),), Verdict.MISMATCH),
        ((replace(ASKED, contract=OTHER_TOKEN),), Verdict.MISMATCH),
        ((replace(ASKED, contract=None),), Verdict.MISMATCH),
    ],
    ids=[
        "asked",
        "beside another token",
        "no log",
        "twice",
        "with a second one",
        "less",
        "elsewhere",
        "of another",
        "other token",
        "trx instead",
    ],
)
def test_a_success_must_be_the_very_transfer(found: tuple[Transfer, ...], verdict: Verdict) -> None:
    assert judge(ATTEMPT, a_hit(ATTEMPT, transfers=found)) is verdict


def test_trx_is_held_against_the_coin_transfer() -> None:
    asked = Transfer(None, OWNER, RECIPIENT, 5)
    attempt = an_attempt(transfer=asked)
    assert judge(attempt, a_hit(attempt)) is Verdict.PAID
    token = a_hit(attempt, transfers=(replace(asked, contract=USDT_CONTRACT),))
    assert judge(attempt, token) is Verdict.MISMATCH


blocks = st.builds(
    BlockRef,
    number=st.integers(0, 2_000),
    block_id=st.just("00" * 32),
    time_ms=st.integers(0, 10_000),
)


@given(blocks, st.integers(0, 2_000), blocks, st.integers(0, 10_000))
def test_dead_needs_a_run_from_the_reference_block_to_the_expiration(
    read: BlockRef, run_start: int, reference: BlockRef, expiration_ms: int
) -> None:
    attempt = an_attempt(ref_block=reference, expiration_ms=expiration_ms)
    dead = is_dead(attempt, Cursor(block=read, run_start=run_start))
    assert dead is (read.time_ms >= expiration_ms and run_start <= reference.number)


@pytest.mark.parametrize(
    ("late_ms", "run_start", "dead"),
    [(0, 1_000, True), (-1, 1_000, False), (0, 1_001, False), (10**9, 1_001, False)],
    ids=["just", "one ms early", "run begins too late", "however late"],
)
def test_the_edges_of_death(late_ms: int, run_start: int, dead: bool) -> None:
    attempt = an_attempt(ref_block=a_block(1_000))
    at_edge = replace(a_block(1_030), time_ms=attempt.expiration_ms + late_ms)
    assert is_dead(attempt, Cursor(block=at_edge, run_start=run_start)) is dead


names = st.text(max_size=45)


@given(names, st.integers(1, 10**6))
def test_the_timestamp_is_a_positive_int64_derived_from_payout_and_number(
    payout_id: str, number: int
) -> None:
    stamp = attempt_timestamp_ms(payout_id, number)
    assert 0 < stamp < 2**63
    assert stamp.bit_length() == 52
    assert stamp == attempt_timestamp_ms(payout_id, number)


@given(names, names, st.integers(1, 100), st.integers(1, 100))
def test_no_two_attempts_share_a_timestamp(one: str, other: str, first: int, second: int) -> None:
    same = (one, first) == (other, second)
    assert (attempt_timestamp_ms(one, first) == attempt_timestamp_ms(other, second)) is same


def test_ten_thousand_attempts_have_ten_thousand_timestamps() -> None:
    stamps = {
        attempt_timestamp_ms(f"payout_{payout:032x}", number)
        for payout in range(2_000)
        for number in range(1, 6)
    }
    assert len(stamps) == 10_000


@given(st.binary(max_size=300))
def test_the_txid_is_the_hash_of_the_raw_bytes(raw: bytes) -> None:
    assert txid_of(raw) == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize(
    ("answers", "counts"),
    [
        ({}, False),
        (dict.fromkeys(UNANSWERED, 1), False),
        (dict.fromkeys(SHORTAGE_ANSWERS, 3), False),
        ({"TIMEOUT": 5, "BANDWITH_ERROR": 1}, False),
        ({"SUCCESS": 1}, True),
        ({"DUP_TRANSACTION_ERROR": 1}, True),
        ({"SIGERROR": 1}, True),
        ({"TIMEOUT": 5, "SUCCESS": 1}, True),
        ({"BANDWITH_ERROR": 5, "SUCCESS": 1}, True),
    ],
    ids=lambda value: ",".join(sorted(value)) if isinstance(value, dict) else "",
)
def test_which_deaths_say_something_about_the_payout(answers: dict[str, int], counts: bool) -> None:
    attempt = an_attempt(ref_block=a_block(1_000), answers=answers)
    assert death_counts(attempt, Cursor(a_block(1_030), 900)) is counts


@pytest.mark.parametrize(("blocks", "counts"), [(30, True), (15, True), (14, False), (0, False)])
def test_a_halted_chain_is_not_the_payouts_fault(blocks: int, counts: bool) -> None:
    attempt = an_attempt(ref_block=a_block(1_000), answers={"SUCCESS": 1})
    ninety_seconds_later = replace(a_block(1_030), number=1_000 + blocks)
    assert death_counts(attempt, Cursor(ninety_seconds_later, 900)) is counts


@pytest.mark.parametrize(
    ("energy_used", "binding"), [(200_000, True), (199_999, True), (199_998, False), (0, False)]
)
def test_a_fee_limit_that_was_used_up_was_binding(energy_used: int, binding: bool) -> None:
    attempt = an_attempt(fee_limit_sun=20_000_000)
    hit = a_hit(attempt, contract_ret="OUT_OF_ENERGY", energy_used=energy_used)
    assert fee_limit_was_binding(attempt, hit, energy_sun=100) is binding


@given(st.integers(0, 10**8), st.integers(1, 1_000))
def test_energy_bought_with_the_whole_limit_is_always_binding(limit: int, energy_sun: int) -> None:
    attempt = an_attempt(fee_limit_sun=limit)
    hit = a_hit(attempt, contract_ret="OUT_OF_ENERGY", energy_used=limit // energy_sun)
    assert fee_limit_was_binding(attempt, hit, energy_sun)


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        ("SUCCESS", True),
        ("DUP_TRANSACTION_ERROR", True),
        ("TIMEOUT", True),
        ("BAD_ANSWER", True),
        *((answer, False) for answer in sorted(NOT_TAKEN)),
    ],
)
def test_after_which_answers_waiting_makes_sense(answer: str, taken: bool) -> None:
    assert BroadcastNote("payout_1", ATTEMPT.txid, answer).taken is taken
