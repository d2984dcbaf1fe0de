"""Nothing is signed or sent that is not exactly the payout; the rest of the group goes on."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from adapters.signer.local import LocalSigner
from adapters.tron.codec import ProtobufCodec
from devnet.settings import DEVNET_KEYS
from models.money import Currency
from models.payout import Payout, PayoutStatus
from models.transaction import txid_of
from ports.chain import Draft
from ports.signer import SignerUnavailableError
from tests.harness import House, fresh_address
from tests.trouble import BROADCAST, all_paid_once, code_of, outcome, troubled, turns

GROUP = 4
SPOILED_CALL = 2
"""Which of a group's signatures, or drafts, goes wrong (from 1)."""


class SpoiledSigner:
    """The wallet's signer, of which one answer is not what it should be."""

    def __init__(self, spoil: Callable[[bytes], bytes]) -> None:
        self._signer = LocalSigner(bytes.fromhex(DEVNET_KEYS[0]))
        self._spoil = spoil
        self.signed: list[bytes] = []
        self.broken = True

    @property
    def address(self) -> str:
        return self._signer.address

    async def sign(self, digest: bytes) -> bytes:
        self.signed.append(digest)
        if self.broken and len(self.signed) == SPOILED_CALL:
            return self._spoil(digest)
        return await self._signer.sign(digest)


def of_another_key(digest: bytes) -> bytes:
    return bytes(LocalSigner(bytes.fromhex(DEVNET_KEYS[1]))._key.sign_recoverable(digest, None))


def of_another_digest(digest: bytes) -> bytes:
    return bytes(LocalSigner(bytes.fromhex(DEVNET_KEYS[0]))._key.sign_recoverable(b"x" * 32, None))


def unavailable(digest: bytes) -> bytes:
    raise SignerUnavailableError("the signer is locked")


def broken(digest: bytes) -> bytes:
    raise RuntimeError("a bug in the signer")


SPOILS = {
    "another key": of_another_key,
    "another digest": of_another_digest,
    "zeros": lambda digest: bytes(65),
    "empty": lambda digest: b"",
    "short": lambda digest: b"\x01" * 64,
    "long": lambda digest: b"\x01" * 66,
    "no recovery id": lambda digest: of_another_digest(digest)[:64] + b"\xff",
    "unavailable": unavailable,
    "bug": broken,
}


async def group_with_one_spoiled(house: House) -> tuple[Payout, list[Payout]]:
    """The payout that could not be built, and the others, which were sent."""
    payouts = [await house.create() for _ in range(GROUP)]
    await house.dispatch()
    now = [await house.get(payout) for payout in payouts]
    waiting = [payout for payout in now if payout.status is PayoutStatus.PENDING]
    sent = [payout for payout in now if payout.status is PayoutStatus.PROCESSING]
    assert (len(waiting), len(sent)) == (1, GROUP - 1)
    assert waiting[0].txids == ()
    assert code_of(waiting[0]) == "P206"
    assert house.net.nodes[0].calls[BROADCAST] == GROUP - 1
    return waiting[0], sent


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
async def test_a_bad_signature_is_not_sent_and_spoils_no_other(
    spoil: Callable[[bytes], bytes],
) -> None:
    signer = SpoiledSigner(spoil)
    house = await troubled(signer=signer)
    waiting, sent = await group_with_one_spoiled(house)
    signer.broken = False
    for payout in (waiting, *sent):
        assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    assert all_paid_once(house, [waiting, *sent])


class SpoiledCodec(ProtobufCodec):
    """Builds one draft otherwise than it was asked to."""

    def __init__(self, spoil: Callable[[Draft], Draft | bytes]) -> None:
        self._spoil = spoil
        self.built = 0
        self.broken = False

    def build(self, draft: Draft) -> bytes:
        self.built += 1
        if not self.broken:
            return super().build(draft)
        self.broken = False
        spoiled = self._spoil(draft)
        return spoiled if isinstance(spoiled, bytes) else super().build(spoiled)


def with_transfer(**fields: object) -> Callable[[Draft], Draft]:
    return lambda draft: replace(draft, transfer=replace(draft.transfer, **fields))  # type: ignore[arg-type]


def with_memo(draft: Draft) -> bytes:
    return ProtobufCodec().build(draft) + b"\x52\x02hi"


def refused(draft: Draft) -> bytes:
    raise ValueError("not an address")


DRAFTS: dict[str, Callable[[Draft], Draft | bytes]] = {
    "recipient": with_transfer(recipient=fresh_address()),
    "amount": with_transfer(amount=12_500_001),
    "token": with_transfer(contract=fresh_address()),
    "owner": with_transfer(owner=fresh_address()),
    "native": with_transfer(contract=None),
    "expiration": lambda draft: replace(draft, expiration_ms=draft.expiration_ms + 1),
    "timestamp": lambda draft: replace(draft, timestamp_ms=draft.timestamp_ms + 1),
    "fee limit": lambda draft: replace(draft, fee_limit_sun=draft.fee_limit_sun + 1),
    "reference": lambda draft: replace(draft, ref_block=bytes(10)),
    "permission": lambda draft: replace(draft, permission_id=2),
    "memo": with_memo,
    "rubbish": lambda draft: b"rubbish",
    "nothing": lambda draft: b"",
    "refused": refused,
}


@pytest.mark.parametrize("spoil", DRAFTS.values(), ids=DRAFTS)
async def test_bytes_that_say_something_else_are_not_signed(
    spoil: Callable[[Draft], Draft | bytes],
) -> None:
    codec, signer = SpoiledCodec(spoil), SpoiledSigner(unavailable)
    signer.broken = False
    house = await troubled(codec=codec, signer=signer)
    codec.broken = True
    waiting, sent = await group_with_one_spoiled(house)
    assert len(signer.signed) == GROUP - 1
    for payout in (waiting, *sent):
        assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    assert all_paid_once(house, [waiting, *sent])


@pytest.mark.parametrize("currency", list(Currency))
async def test_equal_payouts_at_once_are_paid_each(currency: Currency) -> None:
    house = await troubled()
    recipient = fresh_address()
    payouts = [await house.create(recipient_address=recipient, currency=currency) for _ in range(5)]
    await house.dispatch()
    txids = {(await house.get(payout)).txids for payout in payouts}
    assert len(txids) == 5
    for payout in payouts:
        assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    assert house.paid(payouts[0]) == 5


async def test_the_txid_is_the_hash_of_what_is_sent_and_the_owner_signed_it() -> None:
    house = await troubled()
    payout = await house.create()
    await house.dispatch()
    attempt = (await house.get(payout)).live_attempt
    assert attempt is not None
    assert attempt.txid == txid_of(attempt.raw)
    assert attempt.txid in house.net.nodes[0].pool.entries
    digest = bytes.fromhex(attempt.txid)
    assert house.ports.codec.recover(digest, attempt.signature) == attempt.owner


async def test_a_signer_that_stays_locked_loses_nothing() -> None:
    class Locked(SpoiledSigner):
        async def sign(self, digest: bytes) -> bytes:
            return unavailable(digest) if self.broken else await self._signer.sign(digest)

    signer = Locked(unavailable)
    house = await troubled(signer=signer)
    payouts = [await house.create() for _ in range(GROUP)]
    await turns(house, 20)
    assert {(await house.get(payout)).txids for payout in payouts} == {()}
    assert BROADCAST not in house.net.nodes[0].calls
    signer.broken = False
    for payout in payouts:
        assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    assert all_paid_once(house, payouts)
