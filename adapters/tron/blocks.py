"""Verifying what a node serves: blocks by hash and Merkle root, infos against their block.

A node, or a proxy in front of it, that leaves out or alters a transaction, its result or a header
fails here, and then its answer proves nothing.
"""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError
from tronpy.proto import tron_pb2

from adapters.tron.codec import native_transfer
from adapters.tron.protocol import (
    block_id,
    header_bytes,
    hex_to_address,
    merkle_root,
    transaction_leaf,
)
from models.chain import BlockRef, Hit, OwnTransaction, SolidBlock, Transfer
from models.transaction import txid_of

TRANSFER_TOPIC = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Keccak-256 of "Transfer(address,address,uint256)"."""

WORD_DIGITS, ADDRESS_DIGITS = 64, 40
"""Hex digits of an EVM word and of an address in it."""

OWNER_IS_SECOND_FIELD = frozenset({2, 10, 19})
"""Contract types whose `owner_address` is field 2: TransferAsset, AccountUpdate, SetAccountId
(java-tron `contract/*.proto`); in all others it is field 1."""

UNREADABLE = (LookupError, ValueError, TypeError, AttributeError, OverflowError, DecodeError)
"""What reading JSON of any shape can raise."""

TRANSFER_CONTRACT = 1
VM_CONTRACTS = frozenset({30, 31})
"""CreateSmartContract and TriggerSmartContract: only these have a receipt result."""


class BadAnswerError(Exception):
    """A node's answer is not what it says it is; nothing follows from it."""


def verify_block(answer: Mapping[str, Any], wallets: frozenset[str]) -> SolidBlock:
    """Recompute a block's id and Merkle root, and pick the transactions that `wallets` (addresses
    in hex) own. Raises BadAnswerError."""
    try:
        ref, parent_id, root = _header(answer)
        transactions = answer.get("transactions", [])
        leaves = [_leaf(transaction) for transaction in transactions]
        if merkle_root(leaves).hex() != root:
            raise BadAnswerError(f"block {ref.number}: transactions are not the header's")
        own = tuple(found for tx in transactions if (found := _own(tx, wallets)) is not None)
    except UNREADABLE as error:
        raise BadAnswerError(f"a block cannot be read: {type(error).__name__}") from error
    return SolidBlock(ref, parent_id, own)


def verify_header(answer: Mapping[str, Any]) -> BlockRef:
    """The reference of a block whose header gives its id. Raises BadAnswerError."""
    try:
        return _header(answer)[0]
    except UNREADABLE as error:
        raise BadAnswerError(f"a block header cannot be read: {type(error).__name__}") from error


def read_hit(transaction: OwnTransaction, block: BlockRef, info: Mapping[str, Any]) -> Hit:
    """What a transaction did, when its block and its info agree. Raises BadAnswerError."""
    try:
        _check_info(transaction, block, info)
        receipt = info.get("receipt", {})
        return Hit(
            txid=transaction.txid,
            owner=transaction.owner,
            block=block,
            contract_ret=transaction.contract_ret,
            transfers=_transfers(transaction, info),
            fee_sun=_natural(info.get("fee", 0)),
            energy_used=_natural(receipt.get("energy_usage_total", 0)),
            message=_text(info.get("resMessage", "")),
        )
    except UNREADABLE as error:
        raise BadAnswerError(f"an info cannot be read: {type(error).__name__}") from error


def _header(answer: Mapping[str, Any]) -> tuple[BlockRef, str, str]:
    header = answer["block_header"]["raw_data"]
    number, time_ms = header.get("number", 0), header.get("timestamp", 0)
    identity = block_id(number, header_bytes(header)).hex()
    if identity != answer["blockID"]:
        raise BadAnswerError(f"block {number}: the id is not the header's")
    ref = BlockRef(_natural(number), identity, _natural(time_ms))
    return ref, header.get("parentHash", ""), header.get("txTrieRoot", "00" * 32)


def _leaf(transaction: Mapping[str, Any]) -> bytes:
    return transaction_leaf(
        bytes.fromhex(transaction["raw_data_hex"]),
        [bytes.fromhex(signature) for signature in transaction.get("signature", [])],
        transaction.get("ret", []),
    )


def _own(transaction: Mapping[str, Any], wallets: frozenset[str]) -> OwnTransaction | None:
    """The transaction, if one of the wallets owns it; only the hashed bytes are believed."""
    raw_hex = transaction["raw_data_hex"]
    if not any(wallet in raw_hex for wallet in wallets):
        return None
    raw = bytes.fromhex(raw_hex)
    contract = tron_pb2.Transaction.raw.FromString(raw).contract[0]
    # Field 1 and 2 of every contract are read through the one type that has bytes in both.
    fields = tron_pb2.TransferContract.FromString(contract.parameter.value)
    second = int(contract.type) in OWNER_IS_SECOND_FIELD
    owner: bytes = fields.to_address if second else fields.owner_address
    if owner.hex() not in wallets:
        return None
    return OwnTransaction(
        txid=txid_of(raw),
        owner=hex_to_address(owner.hex()),
        kind=int(contract.type),
        value=contract.parameter.value,
        contract_ret=transaction["ret"][0].get("contractRet", "DEFAULT"),
    )


def _check_info(transaction: OwnTransaction, block: BlockRef, info: Mapping[str, Any]) -> None:
    if info["id"] != transaction.txid:
        raise BadAnswerError("the info is of another transaction")
    if info.get("blockNumber", 0) != block.number or info.get("blockTimeStamp") != block.time_ms:
        raise BadAnswerError(f"{transaction.txid}: the info is of another block")
    succeeded = transaction.contract_ret == "SUCCESS"
    if (info.get("result") == "FAILED") is succeeded:
        raise BadAnswerError(f"{transaction.txid}: block and info disagree on success")
    if transaction.kind in VM_CONTRACTS:
        result = info.get("receipt", {}).get("result", "DEFAULT")
        if result != transaction.contract_ret:
            raise BadAnswerError(f"{transaction.txid}: block and info disagree on the result")


def _transfers(transaction: OwnTransaction, info: Mapping[str, Any]) -> tuple[Transfer, ...]:
    if transaction.kind == TRANSFER_CONTRACT:
        return (native_transfer(transaction.value),)
    if transaction.kind not in VM_CONTRACTS:
        return ()
    return tuple(_logged(log) for log in info.get("log", []) if _is_token_transfer(log))


def _is_token_transfer(log: Mapping[str, Any]) -> bool:
    """Whether a log has the shape of a TRC20 Transfer: events of another shape share its topic."""
    topics = log.get("topics", [])
    return (
        len(topics) == 3
        and topics[0] == TRANSFER_TOPIC
        and all(_is_address(topic) for topic in topics[1:])
        and len(log.get("data", "")) == WORD_DIGITS
    )


def _is_address(topic: str) -> bool:
    return len(topic) == WORD_DIGITS and not topic[:-ADDRESS_DIGITS].strip("0")


def _logged(log: Mapping[str, Any]) -> Transfer:
    """A Transfer log; its address has 20 bytes, without the prefix 41, as those in topics."""
    contract, owner, recipient = (
        hex_to_address("41" + text[-ADDRESS_DIGITS:])
        for text in (log["address"], *log["topics"][1:])
    )
    return Transfer(contract, owner, recipient, amount=int(log["data"], 16))


def _natural(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("not a natural number")
    return value


def _text(message_hex: str) -> str:
    return bytes.fromhex(message_hex).decode("utf-8", "replace")[:200]
