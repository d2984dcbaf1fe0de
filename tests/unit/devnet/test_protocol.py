"""The protocol against real blocks and against transactions made by TronWeb."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from coincurve import PublicKey
from Crypto.Hash import keccak
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from tronpy.proto import tron_pb2

from adapters.tron import protocol
from models.transaction import txid_of

DATA = Path(__file__).parents[2] / "data"


def load(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


def reference_messages() -> dict[str, type[Message]]:
    """The header and the transaction of `Tron.proto` as protobuf's own library encodes them."""
    kinds = descriptor_pb2.FieldDescriptorProto
    fields = {
        "Header": [
            (1, "timestamp", kinds.TYPE_INT64),
            (2, "txTrieRoot", kinds.TYPE_BYTES),
            (7, "number", kinds.TYPE_INT64),
            (10, "version", kinds.TYPE_INT32),
        ],
        "Result": [
            (1, "fee", kinds.TYPE_INT64),
            (2, "ret", kinds.TYPE_INT32),
            (3, "contractRet", kinds.TYPE_INT32),
        ],
        "Whole": [
            (1, "raw_data", kinds.TYPE_BYTES),
            (2, "signature", kinds.TYPE_BYTES),
            (5, "ret", kinds.TYPE_MESSAGE),
        ],
    }
    file = descriptor_pb2.FileDescriptorProto(
        name="reference.proto", package="reference", syntax="proto3"
    )
    for name, rows in fields.items():
        message = file.message_type.add(name=name)
        for number, field_name, kind in rows:
            repeated = name == "Whole" and number > 1
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            field = message.field.add(name=field_name, number=number, type=kind, label=label)
            if kind == kinds.TYPE_MESSAGE:
                field.type_name = ".reference.Result"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"reference.{name}"))
        for name in fields
    }


REFERENCE = reference_messages()
BLOCKS = load("tron_blocks.jsonl")
TRANSACTIONS = load("tron_transactions.jsonl")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: str(block["header"]["number"]))
class TestRealBlocks:
    def test_id(self, block: dict[str, Any]) -> None:
        raw = protocol.header_bytes(block["header"])
        assert protocol.block_id(block["header"]["number"], raw).hex() == block["block_id"]

    def test_witness_signature(self, block: dict[str, Any]) -> None:
        raw = protocol.header_bytes(block["header"])
        signature = bytes.fromhex(block["witness_signature"])
        point = PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] % 27]), raw
        ).format(compressed=False)
        recovered = keccak.new(digest_bits=256, data=point[1:]).hexdigest()[-40:]
        assert len(recovered) == 40
        assert recovered != "0" * 40


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if "transactions" in block],
    ids=lambda block: str(block["header"]["number"]),
)
def test_merkle_root_of_real_blocks(block: dict[str, Any]) -> None:
    leaves = [
        protocol.transaction_leaf(
            bytes.fromhex(entry["raw_data_hex"]),
            [bytes.fromhex(signature) for signature in entry["signature"]],
            entry["ret"],
        )
        for entry in block["transactions"]
    ]
    assert protocol.merkle_root(leaves).hex() == block["header"]["txTrieRoot"]


def test_some_real_blocks_are_linked() -> None:
    ids = {block["block_id"] for block in BLOCKS}
    assert any(block["header"]["parentHash"] in ids for block in BLOCKS)


def test_txid_and_addresses_of_every_tronweb_transaction() -> None:
    for vector in TRANSACTIONS:
        raw = bytes.fromhex(vector["raw_data_hex"])
        assert txid_of(raw) == vector["tx_id"]
        for name in ("from", "to"):
            assert protocol.address_to_hex(vector[name])[2:] in vector["raw_data_hex"]
            assert protocol.hex_to_address(protocol.address_to_hex(vector[name])) == vector[name]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6T",  # checksum
        "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t ",
        " TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6",
        "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj60",  # 0 is not of the alphabet
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",  # another chain's prefix
        "41a614f803b6fd780986a42c78ec9c7f77e6ded13c",
    ],
)
def test_what_is_not_an_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        protocol.address_to_hex(address)


@pytest.mark.parametrize("text", ["", "41", "a0" + "11" * 20, "41" + "11" * 21, "zz" * 21])
def test_what_is_not_a_hex_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        protocol.hex_to_address(text)


def test_an_unknown_header_field_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown header fields: shard"):
        protocol.header_bytes({"number": 1, "shard": 2})


@pytest.mark.parametrize("header", [{"number": "1"}, {"parentHash": 1}, {"timestamp": 1.5}])
def test_a_header_field_of_another_type_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="wrong type"):
        protocol.header_bytes(header)


@pytest.mark.parametrize(
    "result", [{"contractRet": "FINE"}, {"contractRet": ["SUCCESS"]}, {"ret": "OK"}, {"memo": 1}]
)
def test_an_unknown_result_is_refused(result: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="known"):
        protocol.transaction_leaf(b"", [], [result])


@given(
    number=st.integers(0, 2**63 - 1),
    timestamp=st.integers(-(2**63), 2**63 - 1),
    root=st.binary(max_size=40),
    version=st.integers(0, 2**31 - 1),
)
def test_header_bytes_are_what_protobuf_makes(
    number: int, timestamp: int, root: bytes, version: int
) -> None:
    message = REFERENCE["Header"](
        number=number, timestamp=timestamp, txTrieRoot=root, version=version
    )
    header = {
        "number": number,
        "timestamp": timestamp,
        "txTrieRoot": root.hex(),
        "version": version,
    }
    assert protocol.header_bytes(header) == message.SerializeToString()


@given(
    raw=st.builds(
        lambda stamp, memo: tron_pb2.Transaction.raw(
            timestamp=stamp, data=memo
        ).SerializeToString(),
        st.integers(1, 2**62),
        st.binary(max_size=300),
    ),
    signatures=st.lists(st.binary(min_size=65, max_size=65), max_size=3),
    fee=st.integers(0, 2**62),
    result=st.sampled_from(sorted(protocol.CONTRACT_RESULTS)),
)
def test_leaf_is_the_hash_of_what_protobuf_makes(
    raw: bytes, signatures: list[bytes], fee: int, result: str
) -> None:
    expected_ret = REFERENCE["Result"](fee=fee, contractRet=protocol.CONTRACT_RESULTS[result])
    message = REFERENCE["Whole"](raw_data=raw, signature=signatures, ret=[expected_ret])
    expected = sha256(message.SerializeToString()).digest()
    given_ret = [{"fee": fee, "contractRet": result}]
    assert protocol.transaction_leaf(raw, signatures, given_ret) == expected


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40))
def test_merkle_root_is_the_recursive_definition(leaves: list[bytes]) -> None:
    def root(nodes: list[bytes]) -> bytes:
        if len(nodes) == 1:
            return nodes[0]
        half = 1
        while half * 2 < len(nodes):
            half *= 2
        return sha256(root(nodes[:half]) + root(nodes[half:])).digest()

    assert protocol.merkle_root(leaves) == root(leaves)


@given(
    st.lists(st.binary(min_size=32, max_size=32), min_size=2, max_size=20, unique=True), st.data()
)
def test_leaving_out_or_altering_a_leaf_changes_the_root(
    leaves: list[bytes], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(leaves) - 1))
    without = leaves[:place] + leaves[place + 1 :]
    altered = [*leaves[:place], sha256(leaves[place]).digest(), *leaves[place + 1 :]]
    assert protocol.merkle_root(without) != protocol.merkle_root(leaves)
    assert protocol.merkle_root(altered) != protocol.merkle_root(leaves)
