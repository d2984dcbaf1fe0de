"""Builds one signed attempt: check, sign, check. Nothing here touches store or network."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from models.chain import BlockRef, Transfer
from models.funds import Cost
from models.money import Currency
from models.order import Order
from models.payout import Payout, all_attempts_unpaid
from models.transaction import Attempt, attempt_timestamp_ms, txid_of
from ports.chain import Draft, TransactionCodec
from ports.signer import Signer


class UnbuildableError(Exception):
    """This payout's attempt must not be sent; the message is for people."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """What every attempt of a group is built on: the cursor block and the common expiration."""

    ref_block: BlockRef
    expiration_ms: int
    now: datetime


class AttemptBuilder:
    """Turns a payout into bytes that pay it, and only it, from the wallet that it was given to."""

    def __init__(
        self,
        codec: TransactionCodec,
        signers: Sequence[Signer],
        usdt_contract: str,
        permission_id: int = 0,
    ) -> None:
        """The first signer's wallet pays what was given to none.

        `permission_id`: AttemptPolicy's.
        """
        self._codec = codec
        self._permission_id = permission_id
        self._signers = {signer.address: signer for signer in signers}
        self._default = signers[0].address
        self._contracts = {Currency.USDT: usdt_contract, Currency.TRX: None}

    @property
    def wallets(self) -> tuple[str, ...]:
        """The wallets that this process can pay from, the default one first."""
        return tuple(self._signers)

    def owner_of(self, payout: Payout) -> str:
        """The wallet that pays a payout."""
        return payout.wallet or self._default

    def transfer(self, payout: Payout) -> Transfer:
        """The movement of money that this payout asks for."""
        return self.transfer_of(payout.order, self.owner_of(payout))

    def transfer_of(self, order: Order, wallet: str) -> Transfer:
        """The movement of money that an order asks for, out of that wallet."""
        return Transfer(
            contract=self._contracts[order.currency],
            owner=wallet,
            recipient=order.recipient_address,
            amount=order.amount,
        )

    async def build(self, payout: Payout, cost: Cost, anchor: Anchor) -> Attempt:
        """The next attempt of a payout, of which every one before is proven unpaid.

        The bytes are read back and held against the payout before they are signed, and the
        signer's address is recovered from the signature after. Raises UnbuildableError,
        SignerUnavailableError.
        """
        if not all_attempts_unpaid(payout):
            raise UnbuildableError("an attempt of this payout is not proven unpaid")
        number = len(payout.txids) + 1
        draft = Draft(
            transfer=self.transfer(payout),
            ref_block=reference(anchor.ref_block),
            expiration_ms=anchor.expiration_ms,
            timestamp_ms=attempt_timestamp_ms(payout.payout_id, number),
            fee_limit_sun=cost.fee_limit_sun,
            permission_id=self._permission_id,
        )
        raw = self._bytes_of(draft)
        digest = hashlib.sha256(raw).digest()
        signature = await self._signer_of(draft.transfer.owner).sign(digest)
        self._check_signature(draft.transfer.owner, digest, signature)
        return Attempt(
            number=number,
            txid=txid_of(raw),
            owner=draft.transfer.owner,
            transfer=draft.transfer,
            raw=raw,
            signature=signature,
            ref_block=anchor.ref_block,
            expiration_ms=anchor.expiration_ms,
            fee_limit_sun=cost.fee_limit_sun,
            max_cost_sun=cost.max_cost_sun,
            created_at=anchor.now,
        )

    def _bytes_of(self, draft: Draft) -> bytes:
        """The bytes of a draft, which say exactly that when they are read back."""
        try:
            raw = self._codec.build(draft)
            said = self._codec.read(raw)
        except ValueError as error:
            raise UnbuildableError(f"no bytes say what was decided: {error}") from error
        if said.transfer != draft.transfer:
            raise UnbuildableError("the bytes do not pay what the payout asks for")
        if said != draft:
            raise UnbuildableError("the bytes do not carry the terms that were decided")
        return raw

    def _signer_of(self, wallet: str) -> Signer:
        signer = self._signers.get(wallet)
        if signer is None:
            raise UnbuildableError(f"this service has no key of wallet {wallet}")
        return signer

    def _check_signature(self, wallet: str, digest: bytes, signature: bytes) -> None:
        try:
            signer = self._codec.recover(digest, signature)
        except ValueError as error:
            raise UnbuildableError(f"the signature cannot be read: {error}") from error
        if signer != wallet:
            raise UnbuildableError("the signature is not the wallet's")


def reference(block: BlockRef) -> bytes:
    """`ref_block_bytes` and `ref_block_hash` of a block: the low two bytes of its number and bytes
    8 to 16 of its id (java-tron TAPOS check)."""
    return (block.number & 0xFFFF).to_bytes(2, "big") + bytes.fromhex(block.block_id)[8:16]
