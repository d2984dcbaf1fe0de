"""Account permissions: who may sign what.

Source: java-tron's `TransactionCapsule` and `AccountPermissionUpdateActuator`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.tron.protocol import hex_to_address
from devnet.crypto import recover
from devnet.refusal import badly_signed

DEFAULT_OPERATIONS: Final = bytes.fromhex("7fff1fc0033efb0f" + "00" * 24)
"""What a fresh account's active permission allows on mainnet: everything but permission updates."""

FIRST_ACTIVE_ID: Final = 2
MAX_KEYS: Final = 5
MAX_ACTIVES: Final = 8


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission of an account: keys with weights, and the weight that is needed."""

    id: int
    name: str
    threshold: int
    keys: tuple[tuple[bytes, int], ...]
    operations: bytes = b""

    def allows(self, contract_type: int) -> bool:
        """Whether the permission covers a contract type (owner permissions cover all)."""
        if self.id < FIRST_ACTIVE_ID:
            return True
        return bool(self.operations[contract_type // 8] & 1 << contract_type % 8)

    def weight_of(self, signers: Sequence[bytes]) -> int:
        """Sum of the weights of the signers, 0 for those who are no key of it."""
        weights = dict(self.keys)
        return sum(weights.get(signer, 0) for signer in signers)

    def to_json(self, visible: bool) -> dict[str, Any]:
        """The permission as a node writes it."""
        answer: dict[str, Any] = {}
        if self.id >= FIRST_ACTIVE_ID:
            answer |= {"type": "Active", "id": self.id}
        answer |= {"permission_name": self.name, "threshold": self.threshold}
        if self.operations:
            answer["operations"] = self.operations.hex()
        answer["keys"] = [
            {"address": hex_to_address(key.hex()) if visible else key.hex(), "weight": weight}
            for key, weight in self.keys
        ]
        return answer


def default_owner(address: bytes) -> Permission:
    """The owner permission of an account that never changed it."""
    return Permission(0, "owner", 1, ((address, 1),))


def default_active(address: bytes) -> Permission:
    """The active permission of an account that never changed it."""
    return Permission(FIRST_ACTIVE_ID, "active", 1, ((address, 1),), DEFAULT_OPERATIONS)


def signers_of(digest: bytes, signatures: Sequence[bytes]) -> tuple[bytes, ...]:
    """The addresses that signed. Raises RefusedError (SIGERROR) where one can't be recovered."""
    try:
        return tuple(recover(digest, signature) for signature in signatures)
    except ValueError as error:
        raise badly_signed(str(error)) from error


def check_signatures(
    permission: Permission | None,
    contract_type: int,
    digest: bytes,
    signatures: Sequence[bytes],
) -> None:
    """Raise RefusedError (SIGERROR) unless the signatures reach the permission's threshold."""
    if permission is None:
        raise badly_signed("permission isn't exit")
    if not permission.allows(contract_type):
        raise badly_signed("Permission denied")
    if not signatures:
        raise badly_signed("miss sig or contract")
    if len(signatures) > len(permission.keys):
        raise badly_signed(
            f"Signature count is {len(signatures)} more than key counts of permission : "
            f"{len(permission.keys)}"
        )
    signers = signers_of(digest, signatures)
    allowed = {key for key, _ in permission.keys}
    for place, (signer, signature) in enumerate(zip(signers, signatures, strict=True)):
        name = f"{signature.hex()} is signed by {hex_to_address(signer.hex())}"
        if signer not in allowed:
            raise badly_signed(f"{name} but it is not contained of permission.")
        if signer in signers[:place]:
            raise badly_signed(f"{name} has signed twice!")
    if permission.weight_of(signers) < permission.threshold:
        raise badly_signed("sig error")


def permission_from_message(message: Any, permission_id: int) -> Permission:
    """A permission from its message. Raises ValueError with the node's text where it is invalid."""
    keys = tuple((bytes(key.address), int(key.weight)) for key in message.keys)
    name = "active" if permission_id >= FIRST_ACTIVE_ID else "owner"
    if not 1 <= len(keys) <= MAX_KEYS:
        raise ValueError(f"number of keys in permission should not be greater than {MAX_KEYS}")
    if len({key for key, _ in keys}) != len(keys):
        raise ValueError(f"address should be distinct in permission {name}")
    if any(len(key) != 21 for key, _ in keys):
        raise ValueError("key is not a validate address")
    if any(weight <= 0 for _, weight in keys):
        raise ValueError("key's weight should be greater than 0")
    if message.threshold <= 0:
        raise ValueError("permission's threshold should be greater than 0")
    if sum(weight for _, weight in keys) < message.threshold:
        raise ValueError("sum of all key's weight should not be less than threshold in permission")
    if permission_id >= FIRST_ACTIVE_ID and len(message.operations) != 32:
        raise ValueError("operations size must 32")
    return Permission(
        permission_id,
        message.permission_name or name,
        int(message.threshold),
        keys,
        bytes(message.operations),
    )
