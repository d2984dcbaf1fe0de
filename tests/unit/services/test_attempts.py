"""Check, sign, check: a bug upstream must not be able to pay something else."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.signer.local import LocalSigner
from adapters.tron.codec import ProtobufCodec
from models.funds import Cost
from models.money import Currency
from models.payout import PayoutStatus
from models.transaction import AttemptState
from ports.chain import Draft
from ports.signer import SignerUnavailableError
from services.attempts import Anchor, AttemptBuilder, UnbuildableError, reference
from tests.factories import LONG_AGO, USDT_CONTRACT, a_block, a_hit, a_payout, an_attempt, an_order
from tests.harness import fresh_address, open_house

SIGNER = LocalSigner(b"\x01" * 32)
STRANGER = LocalSigner(b"\x02" * 32)
COST = Cost(fee_limit_sun=20_000_000, max_cost_sun=20_500_000)
ANCHOR = Anchor(a_block(70_000), 1_900_000_000_000, LONG_AGO)


class TamperedCodec(ProtobufCodec):
    """Writes other bytes than it is asked to."""

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def build(self, draft: Draft) -> bytes:
        transfer = {k: v for k, v in self._changes.items() if hasattr(draft.transfer, k)}
        others = {k: v for k, v in self._changes.items() if k not in transfer}
        return super().build(replace(draft, transfer=replace(draft.transfer, **transfer), **others))


class CountingSigner:
    """Signs, by the wallet's key or as told, and counts."""

    address = SIGNER.address

    def __init__(self, answer: Any = None) -> None:
        self._answer = answer
        self.signed = 0

    async def sign(self, digest: bytes) -> bytes:
        self.signed += 1
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer or await SIGNER.sign(digest)


def builder(codec: Any = None, signer: Any = None) -> AttemptBuilder:
    return AttemptBuilder(codec or ProtobufCodec(), [signer or SIGNER], USDT_CONTRACT)


@given(
    st.integers(1, 2**63 - 1),
    st.sampled_from(Currency),
    st.integers(0, 200_000),
    st.integers(1, 2**53),
)
async def test_an_attempt_says_what_the_payout_asks_for(
    amount: int, currency: Currency, block: int, expiration_ms: int
) -> None:
    payout = a_payout(order=an_order(amount=amount, currency=currency))
    cost = COST if currency is Currency.USDT else Cost(0, 1_500_000)
    anchor = Anchor(a_block(block), expiration_ms, LONG_AGO)
    attempt = await builder().build(payout, cost, anchor)
    said = ProtobufCodec().read(attempt.raw)
    assert said.transfer == attempt.transfer
    assert attempt.transfer.amount == amount
    assert attempt.transfer.recipient == payout.order.recipient_address
    assert attempt.transfer.owner == attempt.owner == SIGNER.address
    assert attempt.transfer.contract == (USDT_CONTRACT if currency is Currency.USDT else None)
    assert (said.ref_block, said.expiration_ms) == (reference(anchor.ref_block), expiration_ms)
    assert said.fee_limit_sun == attempt.fee_limit_sun == cost.fee_limit_sun
    assert attempt.txid == hashlib.sha256(attempt.raw).hexdigest()
    digest = hashlib.sha256(attempt.raw).digest()
    assert ProtobufCodec().recover(digest, attempt.signature) == SIGNER.address
    assert (attempt.number, attempt.state) == (1, AttemptState.LIVE)


async def test_equal_payouts_and_later_attempts_never_share_a_txid() -> None:
    one, other = a_payout(), a_payout()
    dead = replace(an_attempt(one), state=AttemptState.DEAD)
    again = replace(one, attempts=(dead,), txids=(dead.txid,))
    built = [await builder().build(payout, COST, ANCHOR) for payout in (one, other, again)]
    assert len({attempt.txid for attempt in built}) == 3
    assert [attempt.number for attempt in built] == [1, 1, 2]


async def test_building_the_same_attempt_again_gives_the_same_bytes() -> None:
    payout = a_payout()
    first, second = [await builder().build(payout, COST, ANCHOR) for _ in range(2)]
    assert first == second


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 12_500_001},
        {"recipient": STRANGER.address},
        {"owner": STRANGER.address},
        {"contract": fresh_address()},
        {"contract": None, "fee_limit_sun": 0},
        {"fee_limit_sun": 20_000_001},
        {"expiration_ms": ANCHOR.expiration_ms + 1},
        {"timestamp_ms": 1},
        {"ref_block": bytes(10)},
        {"permission_id": 2},
    ],
    ids=lambda changes: ",".join(changes),
)
async def test_bytes_that_say_anything_else_are_never_signed(changes: dict[str, Any]) -> None:
    signer = CountingSigner()
    with pytest.raises(UnbuildableError):
        await builder(TamperedCodec(**changes), signer).build(a_payout(), COST, ANCHOR)
    assert signer.signed == 0


async def test_bytes_that_cannot_be_read_are_never_signed() -> None:
    class Garbled(ProtobufCodec):
        def build(self, draft: Draft) -> bytes:
            return super().build(draft)[:-3]

    signer = CountingSigner()
    with pytest.raises(UnbuildableError):
        await builder(Garbled(), signer).build(a_payout(), COST, ANCHOR)
    assert signer.signed == 0


@pytest.mark.parametrize(
    "signature",
    [b"", b"\x01" * 65, b"\x01" * 64, "another key's", "another digest's"],
    ids=["none", "garbage", "short", "another key's", "another digest's"],
)
async def test_a_signature_that_is_not_the_wallets_is_refused(signature: Any) -> None:
    codec = ProtobufCodec()
    raw = (await builder().build(payout := a_payout(), COST, ANCHOR)).raw
    made = {
        "another key's": await STRANGER.sign(hashlib.sha256(raw).digest()),
        "another digest's": await SIGNER.sign(bytes(32)),
    }
    answer = made.get(signature, signature)

    class Signer(CountingSigner):
        async def sign(self, digest: bytes) -> bytes:
            return answer

    with pytest.raises(UnbuildableError, match="signature"):
        await builder(codec, Signer()).build(payout, COST, ANCHOR)


DEAD = replace(an_attempt(), state=AttemptState.DEAD)
SETTLED = replace(an_attempt(), state=AttemptState.SETTLED)


@pytest.mark.parametrize(
    "past",
    [
        {"live_attempt": an_attempt(), "status": PayoutStatus.PROCESSING},
        {"attempts": (SETTLED,)},
        {"attempts": (DEAD,), "hits": (a_hit(DEAD),)},
    ],
    ids=["live", "settled", "dead, but included"],
)
async def test_nothing_is_signed_while_an_earlier_attempt_may_have_paid(
    past: dict[str, Any],
) -> None:
    signer = CountingSigner()
    with pytest.raises(UnbuildableError, match="not proven unpaid"):
        await builder(signer=signer).build(a_payout(**past), COST, ANCHOR)
    assert signer.signed == 0


async def test_without_a_signature_payouts_wait_and_nothing_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = await open_house()
    await house.start()
    payout = await house.create()

    async def locked(digest: bytes) -> bytes:
        raise SignerUnavailableError("the vault is sealed")

    with monkeypatch.context() as vault:
        vault.setattr(LocalSigner, "sign", staticmethod(locked))
        await house.dispatch()
    waiting = await house.get(payout)
    assert (waiting.status, waiting.txids, waiting.lease) == (PayoutStatus.PENDING, (), None)
    assert waiting.status_reason is not None
    assert waiting.status_reason.code == "P206"
    house.clock.tick(house.policies.dispatch.skip_seconds)
    assert (await house.pay(payout)).status is PayoutStatus.COMPLETED


async def test_an_unbuildable_payout_keeps_nobody_from_being_paid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = await open_house()
    await house.start()
    odd, sound = await house.create(), await house.create()
    build = ProtobufCodec.build

    def refuses(self: ProtobufCodec, draft: Draft) -> bytes:
        if draft.transfer.recipient == odd.order.recipient_address:
            raise ValueError("no such address")
        return build(self, draft)

    monkeypatch.setattr(ProtobufCodec, "build", refuses)
    assert (await house.pay(sound)).status is PayoutStatus.COMPLETED
    waiting = await house.get(odd)
    assert (waiting.status, waiting.txids) == (PayoutStatus.PENDING, ())


@pytest.mark.parametrize(
    ("number", "low_bytes"),
    [(0, "0000"), (1, "0001"), (65_535, "ffff"), (65_536, "0000"), (70_000, "1170")],
)
def test_the_reference_is_number_and_id_of_the_block(number: int, low_bytes: str) -> None:
    block = a_block(number)
    assert reference(block).hex() == low_bytes + block.block_id[16:32]
