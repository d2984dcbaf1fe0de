"""Every row of the broadcast table, and what enters a node's pool."""

from typing import Any

import pytest
from tronpy.proto import tron_pb2

from devnet.faults import Fault
from devnet.node import Verdict
from devnet.pool import MAX_PENDING
from devnet.refusal import BROADCAST_TEXTS
from devnet.transaction import Transaction
from tests.unit.devnet.scene import HOT, SECOND, Bench, bench, raw, wallet

DAY_MS = 86_400_000


@pytest.fixture
def b() -> Bench:
    return bench()


def code_of(b: Bench, tx: Transaction) -> tuple[str, str]:
    verdict = b.send(tx)
    assert tx.txid not in b.net.nodes[0].pool.entries or verdict == Verdict()
    return verdict.code, verdict.text


def test_success_enters_every_pool_and_the_next_block(b: Bench) -> None:
    tx = b.trx(SECOND.address, 5)
    assert b.send(tx) == Verdict("SUCCESS", "")
    assert all(tx.txid in node.pool.entries for node in b.net.nodes)
    b.net.mine()
    assert b.is_included(tx)
    assert not any(node.pool.entries for node in b.net.nodes)


def test_a_full_pool_is_busy(b: Bench) -> None:
    for _ in range(MAX_PENDING + 1):
        b.net.nodes[1].pool.push(b.trx(SECOND.address, 1))
    assert b.send(b.trx(SECOND.address, 1), node=1).code == "SERVER_BUSY"
    assert b.send(b.trx(SECOND.address, 1), node=0).code == "SUCCESS"


def test_no_contract(b: Bench) -> None:
    code, text = code_of(b, b.trx(SECOND.address, 1, contract=[]))
    assert (code, text) == ("CONTRACT_VALIDATE_ERROR", "Contract validate error : No contract!")


def test_two_contracts(b: Bench) -> None:
    one = b.trx(SECOND.address, 1).raw_data.contract[0]
    code, _ = code_of(b, b.trx(SECOND.address, 1, contract=[one, one]))
    assert code == "CONTRACT_VALIDATE_ERROR"


@pytest.mark.parametrize(
    ("life", "code"),
    [
        (0, "TRANSACTION_EXPIRATION_ERROR"),
        (2_999, "TRANSACTION_EXPIRATION_ERROR"),
        (3_000, "SUCCESS"),
        (DAY_MS, "SUCCESS"),
        (DAY_MS + 1, "TRANSACTION_EXPIRATION_ERROR"),
    ],
)
def test_expiration(b: Bench, life: int, code: str) -> None:
    tx = b.trx(SECOND.address, 1, expiration=b.net.head.timestamp + life)
    assert code_of(b, tx)[0] == code


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"signers": ()}, "miss sig or contract"),
        ({"signers": (SECOND,)}, "is not contained of permission."),
        ({"signers": (HOT, SECOND)}, "more than key counts"),
        ({"permission_id": 7}, "permission isn't exit"),
    ],
)
def test_signatures(b: Bench, fields: dict[str, Any], text: str) -> None:
    code, said = code_of(b, b.trx(SECOND.address, 1, **fields))
    assert code == "SIGERROR"
    assert said.startswith("Validate signature error: ")
    assert text in said


@pytest.mark.parametrize(
    "signature", [b"", b"\1" * 64, b"\0" * 65, b"\xff" * 65, b"\1" * 64 + b"\x09"]
)
def test_what_is_no_signature(b: Bench, signature: bytes) -> None:
    message = tron_pb2.Transaction(
        raw_data=b.trx(SECOND.address, 1).raw_data, signature=[signature]
    )
    assert code_of(b, Transaction.of(message))[0] == "SIGERROR"


def test_v_of_27_is_taken_too(b: Bench) -> None:
    tx = b.trx(SECOND.address, 1)
    altered = tx.signatures[0][:64] + bytes([tx.signatures[0][64] + 27])
    message = tron_pb2.Transaction(raw_data=tx.raw_data, signature=[altered])
    assert b.send(Transaction.of(message)).code == "SUCCESS"


@pytest.mark.parametrize(
    "fields",
    [{"ref_block_hash": b"\1" * 8}, {"ref_block_bytes": b"\xff\xff"}, {"ref_block_bytes": b""}],
)
def test_tapos(b: Bench, fields: dict[str, Any]) -> None:
    assert code_of(b, b.trx(SECOND.address, 1, **fields)) == ("TAPOS_ERROR", "Tapos check error.")


def test_tapos_of_another_chain(b: Bench) -> None:
    other = bench(network="another")
    assert other.net.genesis_id != b.net.genesis_id
    assert b.send(other.trx(SECOND.address, 1)).code == "TAPOS_ERROR"


def test_too_big(b: Bench) -> None:
    code, text = code_of(b, b.trx(SECOND.address, 1, data=b"x" * 512_000))
    assert code == "TOO_BIG_TRANSACTION_ERROR"
    assert "size" in text


def test_duplicate_of_a_pending_and_of_an_included_one(b: Bench) -> None:
    tx = b.trx(SECOND.address, 1)
    assert b.send(tx).code == "SUCCESS"
    assert b.send(tx).code == "DUP_TRANSACTION_ERROR"
    assert b.send(tx, node=1).code == "DUP_TRANSACTION_ERROR"
    b.net.mine()
    assert b.send(tx).text == "Dup transaction."


def test_another_signature_is_the_same_transaction(b: Bench) -> None:
    tx = b.put(b.trx(SECOND.address, 1)).tx
    malleable = tx.signatures[0] + b"\0"
    message = tron_pb2.Transaction(raw_data=tx.raw_data, signature=[malleable])
    assert b.send(Transaction.of(message)).code == "DUP_TRANSACTION_ERROR"


def test_expiry_goes_before_the_duplicate_check(b: Bench) -> None:
    tx = b.put(b.trx(SECOND.address, 1)).tx
    b.net.mine(21)
    assert b.send(tx).code == "TRANSACTION_EXPIRATION_ERROR"


def test_no_balance_for_bandwidth(b: Bench) -> None:
    poor = wallet("poor")
    b.net.fund(poor.address, trx_sun=1_000)
    tx = b.trx(SECOND.address, 1, poor, data=b"x" * 600)
    assert code_of(b, tx) == ("BANDWITH_ERROR", "Account resource insufficient error.")


def test_an_unknown_owner(b: Bench) -> None:
    code, text = code_of(b, b.trx(SECOND.address, 1, wallet("nobody")))
    assert code == "CONTRACT_VALIDATE_ERROR"
    assert "does not exist" in text


@pytest.mark.parametrize(
    ("to", "amount", "text"),
    [
        (HOT.address, 1, "Cannot transfer TRX to yourself."),
        (SECOND.address, 0, "Amount must be greater than 0."),
        (SECOND.address, -1, "Amount must be greater than 0."),
        (SECOND.address, 2**62, "balance is not sufficient."),
        ("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", 1, "Cannot transfer TRX to a smartContract."),
    ],
)
def test_transfers_that_do_not_validate(b: Bench, to: str, amount: int, text: str) -> None:
    code, said = code_of(b, b.trx(to, amount))
    assert code == "CONTRACT_VALIDATE_ERROR"
    assert text in said


@pytest.mark.parametrize("to", [b"", b"\x41", b"\xa0" + b"\1" * 20, b"\x41" + b"\1" * 21])
def test_recipients_that_are_no_address(b: Bench, to: bytes) -> None:
    message = tron_pb2.TransferContract(owner_address=raw(HOT.address), to_address=to, amount=1)
    tx = b.build("TransferContract", message, HOT)
    assert code_of(b, tx)[1] == "Contract validate error : Invalid toAddress!"


@pytest.mark.parametrize(
    "fields", [{"fee_limit": 15_000_000_001}, {"contract": SECOND.address}, {"call_value": 2**62}]
)
def test_calls_that_do_not_validate(b: Bench, fields: dict[str, Any]) -> None:
    assert code_of(b, b.call(b"", **fields))[0] == "CONTRACT_VALIDATE_ERROR"


def test_a_contract_type_that_is_not_executed(b: Bench) -> None:
    tx = b.trx(SECOND.address, 1)
    altered = tron_pb2.Transaction.raw.FromString(tx.raw)
    altered.contract[0].type = messages_type("VoteWitnessContract")
    assert code_of(b, Transaction.of(tron_pb2.Transaction(raw_data=altered)))[0] == (
        "CONTRACT_VALIDATE_ERROR"
    )


def messages_type(name: str) -> int:
    return int(tron_pb2.Transaction.Contract.ContractType.Value(name))


def test_a_call_that_will_fail_is_accepted_included_and_charged(b: Bench) -> None:
    before = b.sun(HOT.address)
    item = b.put(b.usdt(SECOND.address, 2**200))
    assert item.receipt.contract_ret == "REVERT"
    assert b.sun(HOT.address) < before


@pytest.mark.parametrize("code", sorted(BROADCAST_TEXTS))
def test_a_refusal_by_fault_takes_nothing_in(b: Bench, code: str) -> None:
    b.net.faults.add(Fault(kind="refuse", value=code, count=1))
    tx = b.trx(SECOND.address, 1)
    assert code_of(b, tx) == (code, BROADCAST_TEXTS[code])
    assert b.send(tx).code == "SUCCESS"


@pytest.mark.parametrize("code", sorted(BROADCAST_TEXTS))
def test_a_misreport_takes_it_in(b: Bench, code: str) -> None:
    b.net.faults.add(Fault(kind="misreport", value=code, count=1))
    tx = b.trx(SECOND.address, 1)
    assert b.send(tx).code == code
    b.net.mine()
    assert b.is_included(tx)


class TestPool:
    def test_what_is_swallowed_waits_on_its_node_for_a_minute(self, b: Bench) -> None:
        b.net.faults.add(Fault(kind="swallow", node=0, count=1))
        tx = b.trx(SECOND.address, 1, expiration=b.net.head.timestamp + 600_000)
        assert b.send(tx) == Verdict()
        b.net.mine(20)
        assert not b.is_included(tx)
        assert b.send(tx).code == "DUP_TRANSACTION_ERROR"
        b.net.mine(1)
        assert tx.txid not in b.net.nodes[0].pool.entries
        assert b.send(tx) == Verdict()
        b.net.mine()
        assert b.is_included(tx)

    def test_another_endpoint_relays_what_the_first_swallowed(self, b: Bench) -> None:
        b.net.faults.add(Fault(kind="swallow", node=0))
        tx = b.trx(SECOND.address, 1)
        assert b.send(tx, node=0) == Verdict()
        assert b.send(tx, node=1) == Verdict()
        b.net.mine()
        assert b.is_included(tx)

    def test_one_that_became_invalid_is_dropped_silently(self, b: Bench) -> None:
        poor = wallet("poor")
        b.net.fund(poor.address, trx_sun=1_000_000)
        swallowed = b.trx(SECOND.address, 900_000, poor)
        b.net.faults.add(Fault(kind="swallow", count=1))
        assert b.send(swallowed) == Verdict()
        assert b.send(b.trx(SECOND.address, 800_000, poor), node=1) == Verdict()
        b.net.mine()
        assert not b.net.nodes[0].pool.entries

    def test_pending_spends_count_against_the_balance(self, b: Bench) -> None:
        poor = wallet("poor")
        b.net.fund(poor.address, trx_sun=1_000_000)
        assert b.send(b.trx(SECOND.address, 600_000, poor)).code == "SUCCESS"
        assert b.send(b.trx(SECOND.address, 600_000, poor)).code == "CONTRACT_VALIDATE_ERROR"
