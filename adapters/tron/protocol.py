"""Pure facts of the TRON protocol: addresses, ids, headers and Merkle trees.

Nothing here touches a network, a clock or a driver, and every function returns the same bytes for
the same input for ever. The sources are java-tron 4.8.0 (`Tron.proto`, `BlockCapsule`,
`MerkleTree`, `TransactionCapsule`) and real blocks of mainnet and Nile, which the tests reproduce.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from models.address import address_bytes, address_text

ADDRESS_PREFIX: Final = 0x41
"""First byte of every address on mainnet and the public test networks."""

EMPTY_ROOT: Final = bytes(32)
"""`txTrieRoot` of a block without transactions."""

CONTRACT_RESULTS: Final[Mapping[str, int]] = {
    name: number
    for number, name in enumerate(
        (
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
        )
    )
}
"""`Transaction.Result.contractResult` of `Tron.proto`: name in JSON to number on the wire."""

RETURN_CODES: Final[Mapping[str, int]] = {"SUCESS": 0, "FAILED": 1}
"""`Transaction.Result.code` of `Tron.proto` (the misspelling is the protocol's)."""

_INT64_MASK: Final = (1 << 64) - 1
_INT_FIELD: Final = 0
_BYTES_FIELD: Final = 2

_HEADER_FIELDS: Final = (
    (1, "timestamp", _INT_FIELD),
    (2, "txTrieRoot", _BYTES_FIELD),
    (3, "parentHash", _BYTES_FIELD),
    (7, "number", _INT_FIELD),
    (8, "witness_id", _INT_FIELD),
    (9, "witness_address", _BYTES_FIELD),
    (10, "version", _INT_FIELD),
    (11, "accountStateRoot", _BYTES_FIELD),
)
"""`BlockHeader.raw` of `Tron.proto`: field number, JSON name, wire type; in canonical order."""

_RESULT_FIELDS: Final[tuple[tuple[int, str, Callable[[Any], int]], ...]] = (
    (1, "fee", int),
    (2, "ret", RETURN_CODES.__getitem__),
    (3, "contractRet", CONTRACT_RESULTS.__getitem__),
)
"""The fields of `Transaction.Result` that occur in blocks: field number, JSON name, decoder."""


@lru_cache(maxsize=16_384)
def address_to_hex(address: str) -> str:
    """The 21 bytes of a base58check address as 42 lower-case hex digits, beginning with 41.

    Raises ValueError for anything that is not a TRON address: wrong length, alphabet, checksum
    or prefix.
    """
    return address_bytes(address).hex()


@lru_cache(maxsize=16_384)
def hex_to_address(address: str) -> str:
    """The base58check form of an address given as 42 hex digits that begin with 41.

    Raises ValueError for anything else.
    """
    return address_text(bytes.fromhex(address))


def header_bytes(header: Mapping[str, Any]) -> bytes:
    """The protobuf `BlockHeader.raw` of a header given as a node's JSON `block_header.raw_data`.

    Integers as numbers, bytes as hex; zero and empty fields are left out, as protobuf does.
    Raises ValueError for a field that is unknown or not of its type, because a header with
    something unknown in it can't be verified.
    """
    unknown = header.keys() - {name for _, name, _ in _HEADER_FIELDS}
    if unknown:
        raise ValueError(f"unknown header fields: {', '.join(sorted(unknown))}")
    parts: list[bytes] = []
    for number, name, kind in _HEADER_FIELDS:
        value = header.get(name)
        if not value:
            continue
        if kind == _BYTES_FIELD and isinstance(value, str):
            parts.append(_bytes_field(number, bytes.fromhex(value)))
        elif kind == _INT_FIELD and isinstance(value, int):
            parts.append(_int_field(number, value))
        else:
            raise ValueError(f"header field {name} has the wrong type: {type(value).__name__}")
    return b"".join(parts)


def block_id(number: int, header_raw: bytes) -> bytes:
    """The 32-byte id of a block: its number as 8 big-endian bytes, then bytes 8 to 32 of the
    SHA-256 of its header bytes.

    Raises OverflowError for a number outside 0..2^64-1.
    """
    return number.to_bytes(8, "big") + sha256(header_raw).digest()[8:]


def transaction_bytes(
    raw_data: bytes, signatures: Sequence[bytes], ret: Sequence[Mapping[str, Any]] = ()
) -> bytes:
    """The whole `Transaction` protobuf; the bytes of `raw_data` go in as they are.

    `ret` is as in a node's JSON: `contractRet` and `ret` by name, `fee` in sun. Raises ValueError
    for a field, a name or a type that is unknown there.
    """
    parts = [_bytes_field(1, raw_data)]
    parts.extend(_bytes_field(2, signature) for signature in signatures)
    parts.extend(_bytes_field(5, _result_bytes(result)) for result in ret)
    return b"".join(parts)


def transaction_leaf(
    raw_data: bytes, signatures: Sequence[bytes], ret: Sequence[Mapping[str, Any]]
) -> bytes:
    """The Merkle leaf of a transaction: SHA-256 of the whole `Transaction` protobuf.

    `ret` is part of the leaf, so the block id binds a transaction's result too. Raises ValueError
    as `transaction_bytes` does.
    """
    return sha256(transaction_bytes(raw_data, signatures, ret)).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes in block order: a node is SHA-256(left ‖ right), an odd one out is
    carried up unchanged, the root of one leaf is the leaf, and of none 32 zero bytes.
    """
    level = list(leaves)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        paired = [sha256(level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def _result_bytes(result: Mapping[str, Any]) -> bytes:
    unknown = result.keys() - {name for _, name, _ in _RESULT_FIELDS}
    if unknown:
        raise ValueError(f"unknown result fields: {', '.join(sorted(unknown))}")
    parts: list[bytes] = []
    for number, name, decode in _RESULT_FIELDS:
        try:
            value = decode(result[name]) if name in result else 0
        except (KeyError, TypeError) as error:
            raise ValueError(f"result field {name} is not known: {result[name]!r}") from error
        if value:
            parts.append(_int_field(number, value))
    return b"".join(parts)


def _varint(value: int) -> bytes:
    rest = value & _INT64_MASK
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _int_field(number: int, value: int) -> bytes:
    return _varint(number << 3 | _INT_FIELD) + _varint(value)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES_FIELD) + _varint(len(value)) + value
