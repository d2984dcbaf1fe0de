"""`raw_data` in protobuf: built, read back, and never trusted to say more than it may."""

from google.protobuf.message import DecodeError
from tronpy.proto import tron_pb2

from adapters.signer.keys import recover
from models.address import address_bytes, address_text
from models.chain import Transfer
from ports.chain import Draft

TRANSFER_SELECTOR = bytes.fromhex("a9059cbb")
"""First four bytes of Keccak-256("transfer(address,uint256)")."""

_TYPE_URL = "type.googleapis.com/protocol."


class ProtobufCodec:
    """Builds and reads TransferContract and the TRC20 `transfer` call of TriggerSmartContract."""

    def build(self, draft: Draft) -> bytes:
        """The protobuf of `raw_data`. Raises ValueError for an address that is none."""
        transfer = draft.transfer
        message = (
            tron_pb2.TransferContract(
                owner_address=address_bytes(transfer.owner),
                to_address=address_bytes(transfer.recipient),
                amount=transfer.amount,
            )
            if transfer.contract is None
            else tron_pb2.TriggerSmartContract(
                owner_address=address_bytes(transfer.owner),
                contract_address=address_bytes(transfer.contract),
                data=transfer_call(transfer),
            )
        )
        raw = tron_pb2.Transaction.raw(
            ref_block_bytes=draft.ref_block[:2],
            ref_block_hash=draft.ref_block[2:],
            expiration=draft.expiration_ms,
            timestamp=draft.timestamp_ms,
            fee_limit=draft.fee_limit_sun,
        )
        name = message.DESCRIPTOR.name
        contract = raw.contract.add(
            type=tron_pb2.Transaction.Contract.ContractType.Value(name),
            Permission_id=draft.permission_id,
        )
        contract.parameter.type_url = _TYPE_URL + name
        contract.parameter.value = message.SerializeToString()
        return bytes(raw.SerializeToString())

    def read(self, raw: bytes) -> Draft:
        """What bytes say.

        Raises ValueError unless building the result gives the very same bytes: then nothing else
        is said in them.
        """
        try:
            draft = self._parse(raw)
        except (DecodeError, IndexError) as error:
            raise ValueError(f"not a transfer: {error}") from error
        if self.build(draft) != raw:
            raise ValueError("the bytes say more than a transfer does")
        return draft

    def recover(self, digest: bytes, signature: bytes) -> str:
        """The address whose key made a 65-byte signature of a digest. Raises ValueError."""
        return recover(digest, signature)

    def _parse(self, raw: bytes) -> Draft:
        data = tron_pb2.Transaction.raw.FromString(raw)
        contract = data.contract[0]
        return Draft(
            transfer=_transfer(contract),
            ref_block=data.ref_block_bytes + data.ref_block_hash,
            expiration_ms=data.expiration,
            timestamp_ms=data.timestamp,
            fee_limit_sun=data.fee_limit,
            permission_id=contract.Permission_id,
        )


def transfer_call(transfer: Transfer) -> bytes:
    """The ABI call data of a TRC20 `transfer`: selector, recipient, amount (32 bytes each)."""
    recipient = address_bytes(transfer.recipient)[1:]
    return TRANSFER_SELECTOR + recipient.rjust(32, b"\0") + transfer.amount.to_bytes(32, "big")


def native_transfer(value: bytes) -> Transfer:
    """The TRX transfer that a TransferContract's bytes describe. Raises ValueError, DecodeError."""
    message = tron_pb2.TransferContract.FromString(value)
    return Transfer(
        contract=None,
        owner=address_text(message.owner_address),
        recipient=address_text(message.to_address),
        amount=message.amount,
    )


def _transfer(contract: tron_pb2.Transaction.Contract) -> Transfer:
    value = contract.parameter.value
    if contract.type == tron_pb2.Transaction.Contract.TransferContract:
        return native_transfer(value)
    message = tron_pb2.TriggerSmartContract.FromString(value)
    call = message.data
    if len(call) != 68 or call[:4] != TRANSFER_SELECTOR or any(call[4:16]):
        raise ValueError("the call is not a TRC20 transfer")
    return Transfer(
        contract=address_text(message.contract_address),
        owner=address_text(message.owner_address),
        recipient=address_text(b"\x41" + call[16:36]),
        amount=int.from_bytes(call[36:], "big"),
    )
