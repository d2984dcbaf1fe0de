"""A transaction: what was sent, taken apart once."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from google.protobuf.message import Message
from tronpy.proto import tron_pb2

from devnet import messages
from devnet.token import transfer_of

RESULT_ALLOWANCE: Final = 64
"""Bytes that bandwidth reserves for a result (`MAX_RESULT_SIZE_IN_TX`)."""


@dataclass(frozen=True, eq=False)
class Transaction:
    """One signed (or unsigned) transaction. `raw` are the protobuf bytes of its `raw_data`."""

    raw: bytes
    raw_data: Any
    signatures: tuple[bytes, ...]

    @classmethod
    def parse(cls, data: bytes) -> "Transaction":
        """Parse a serialized `Transaction`; results in it are dropped, as a node does.

        Raises google.protobuf.message.DecodeError for bytes that are none.
        """
        return cls.of(tron_pb2.Transaction.FromString(data))

    @classmethod
    def of(cls, message: Any) -> "Transaction":
        """Wrap a parsed `Transaction` message."""
        raw_data = message.raw_data
        return cls(raw_data.SerializeToString(), raw_data, tuple(message.signature))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the raw bytes: the id, and what is signed."""
        return sha256(self.raw).digest()

    @cached_property
    def txid(self) -> str:
        """The id in hex."""
        return self.digest.hex()

    @cached_property
    def wire(self) -> bytes:
        """The serialized `Transaction` without results."""
        message = tron_pb2.Transaction(signature=self.signatures)
        message.raw_data.ParseFromString(self.raw)
        return bytes(message.SerializeToString())

    @cached_property
    def bandwidth(self) -> int:
        """Bytes that the transaction is billed for."""
        return len(self.wire) + RESULT_ALLOWANCE

    @cached_property
    def kind(self) -> str:
        """Name of the first contract's type; empty where there is no contract or no such type."""
        if not self.raw_data.contract:
            return ""
        number = self.raw_data.contract[0].type
        known = messages.ContractType.DESCRIPTOR.values_by_number.get(number)
        return known.name if known else ""

    @cached_property
    def contract(self) -> Message | None:
        """The first contract, or None where the devnet can't execute or parse it."""
        return messages.unpack(self.raw_data.contract[0]) if self.raw_data.contract else None

    @cached_property
    def owner(self) -> bytes:
        """Address that the first contract acts for; empty where it is not known."""
        return getattr(self.contract, "owner_address", b"")

    @cached_property
    def recipient(self) -> bytes | None:
        """Who is to receive TRX or tokens, where this is a transfer."""
        contract: Any = self.contract
        if self.kind == "TransferContract" and contract is not None:
            return bytes(contract.to_address)
        if self.kind == "TriggerSmartContract" and contract is not None:
            return transfer_of(contract.data)
        return None

    @property
    def permission_id(self) -> int:
        """The permission that the first contract names: 0 owner, 2 and above active."""
        return int(self.raw_data.contract[0].Permission_id)

    @property
    def expiration(self) -> int:
        """Milliseconds of chain time at which the transaction expires."""
        return int(self.raw_data.expiration)

    def to_json(self, visible: bool = False) -> dict[str, Any]:
        """The transaction as a node writes it, without results."""
        hidden = self._plain_json
        if visible:
            hidden = {
                **hidden,
                "visible": True,
                "raw_data": messages.to_json(self.raw_data, visible=True),
            }
        return dict(hidden)

    @cached_property
    def _plain_json(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "visible": False,
            "txID": self.txid,
            "raw_data": messages.to_json(self.raw_data),
            "raw_data_hex": self.raw.hex(),
        }
        if self.signatures:
            content["signature"] = [signature.hex() for signature in self.signatures]
        return content
