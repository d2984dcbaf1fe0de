"""A block: its header, what it holds, and the record that undoes it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any, Final

from adapters.tron.protocol import block_id, header_bytes, merkle_root, transaction_leaf
from devnet.crypto import address_of, sign
from devnet.execution import Receipt
from devnet.state import Key
from devnet.transaction import Transaction

VERSION: Final = 31
"""Block version that the devnet's witnesses write."""

WITNESSES: Final = 27


@dataclass(frozen=True, slots=True)
class Included:
    """A transaction with its outcome in some block."""

    tx: Transaction
    receipt: Receipt

    def leaf(self) -> bytes:
        """Its Merkle leaf."""
        ret = ({"contractRet": self.receipt.contract_ret},)
        return transaction_leaf(self.tx.raw, self.tx.signatures, ret)


@dataclass(frozen=True, slots=True)
class Witness:
    """One block producer of a devnet."""

    key: str
    address: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One block. `undo` restores the state before it and is emptied once the block is solid."""

    number: int
    timestamp: int
    id: bytes
    parent_id: bytes
    root: bytes
    witness: int
    witness_address: bytes
    signature: bytes
    items: tuple[Included, ...]
    undo: dict[Key, Any] = field(default_factory=dict)

    def header(self) -> dict[str, Any]:
        """The header's `raw_data` as a node writes it."""
        return _header(self.number, self.timestamp, self.parent_id, self.root, self.witness_address)


@cache
def make_witnesses(network: str) -> tuple[Witness, ...]:
    """The producers of a network, the same for the same name."""
    keys = [sha256(f"{network} witness {place}".encode()).hexdigest() for place in range(WITNESSES)]
    return tuple(Witness(key, address_of(key)) for key in keys)


def make_genesis(network: str, timestamp: int) -> Block:
    """The first block of a network: its parent hash is a text's, and nobody signed it."""
    parent = sha256(f"the {network} chain".encode()).digest()
    root = merkle_root(())
    raw = header_bytes(_header(0, timestamp, parent, root, b""))
    return Block(0, timestamp, block_id(0, raw), parent, root, 0, b"", b"", ())


def make_block(
    parent: Block,
    timestamp: int,
    place: int,
    witness: Witness,
    items: Sequence[Included],
    undo: dict[Key, Any],
) -> Block:
    """The signed successor of a block; `place` is the witness's place in the rotation."""
    number = parent.number + 1
    root = merkle_root([item.leaf() for item in items])
    raw = header_bytes(_header(number, timestamp, parent.id, root, witness.address))
    signature = sign(witness.key, sha256(raw).digest())
    identity = block_id(number, raw)
    return Block(
        number,
        timestamp,
        identity,
        parent.id,
        root,
        place,
        witness.address,
        signature,
        tuple(items),
        undo,
    )


def _header(
    number: int, timestamp: int, parent: bytes, root: bytes, witness: bytes
) -> dict[str, Any]:
    header: dict[str, Any] = {
        "number": number,
        "txTrieRoot": root.hex(),
        "witness_address": witness.hex(),
        "parentHash": parent.hex(),
        "version": VERSION if witness else 0,
        "timestamp": timestamp,
    }
    return {name: value for name, value in header.items() if value}
