"""An attempt: one fixed transaction for one payout, and how the chain's answer is judged."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from models.chain import BLOCK_INTERVAL_MS, BlockRef, Cursor, Hit, Transfer


class AttemptState(StrEnum):
    """`live` may still be paid; the other three are for ever."""

    LIVE = "live"
    SETTLED = "settled"
    FAILED_ON_CHAIN = "failed_on_chain"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed transaction. `raw` is the protobuf of `raw_data`; the txid is its SHA-256.

    `expiration_ms` is chain time. `max_cost_sun` is the most TRX that it can burn besides the
    amount: fee limit, bandwidth, account creation. `answers` counts what nodes said of the
    bytes; they are notes for people and decide nothing about payment.
    """

    number: int
    txid: str
    owner: str
    transfer: Transfer
    raw: bytes
    signature: bytes
    ref_block: BlockRef
    expiration_ms: int
    fee_limit_sun: int
    max_cost_sun: int
    created_at: datetime
    state: AttemptState = AttemptState.LIVE
    answers: Mapping[str, int] = field(default_factory=dict)
    last_sent_at: datetime | None = None
    closed_at: datetime | None = None
    hit: Hit | None = None


@dataclass(frozen=True, slots=True)
class BroadcastNote:
    """What became of sending an attempt's bytes: a node's code, or TIMEOUT, UNREACHABLE…"""

    payout_id: str
    txid: str
    answer: str

    @property
    def taken(self) -> bool:
        """Whether a node may hold the bytes now, so that waiting for a block makes sense."""
        return self.answer not in NOT_TAKEN


def txid_of(raw: bytes) -> str:
    """The transaction id: SHA-256 of the protobuf of `raw_data`; signatures do not enter."""
    return hashlib.sha256(raw).hexdigest()


def attempt_timestamp_ms(payout_id: str, number: int) -> int:
    """The `timestamp` of an attempt's raw_data, derived from payout and attempt number.

    No node checks this field (tests/data vectors and java-tron's source agree), so it serves
    as the nonce that keeps two equal payouts from sharing a txid: 52 bits of a hash, always a
    positive number of milliseconds.
    """
    digest = hashlib.sha256(f"{payout_id}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 12 | 1 << 51


class Verdict(StrEnum):
    """What a solid transaction did with a payout's money."""

    PAID = "paid"
    MISMATCH = "mismatch"
    OUT_OF_ENERGY = "out_of_energy"
    FAILED = "failed"


def judge(attempt: Attempt, hit: Hit) -> Verdict:
    """Hold a solid transaction against the transfer that was asked for.

    PAID needs SUCCESS and, among the transfers of the asked asset, exactly the asked one.
    """
    if hit.contract_ret == "SUCCESS":
        of_asset = [t for t in hit.transfers if t.contract == attempt.transfer.contract]
        return Verdict.PAID if of_asset == [attempt.transfer] else Verdict.MISMATCH
    if hit.contract_ret == "OUT_OF_ENERGY":
        return Verdict.OUT_OF_ENERGY
    return Verdict.FAILED


def fee_limit_was_binding(attempt: Attempt, hit: Hit, energy_sun: int) -> bool:
    """Whether OUT_OF_ENERGY came from the fee limit and not from an empty wallet.

    The fee limit caps *total* energy, staked energy included (java-tron `VMActuator`); an
    exhausted limit charges all of it. One unit of energy of slack covers the division.
    """
    return (hit.energy_used + 1) * energy_sun >= attempt.fee_limit_sun


def is_dead(attempt: Attempt, cursor: Cursor) -> bool:
    """Whether every block that could hold the attempt has been read.

    A block can include it only if its parent's time is before the expiration, so once a read
    block's time is at or past it, no later one can. The run of read blocks must reach back to
    the reference block, and must not be in doubt: a broken link may mean that it was another
    chain's. That no hit is on the attempt is checked by the write itself.
    """
    return (
        not cursor.broken
        and cursor.block.time_ms >= attempt.expiration_ms
        and cursor.run_start <= attempt.ref_block.number
    )


SHORTAGE_ANSWERS = frozenset({"BANDWITH_ERROR", "CONTRACT_VALIDATE_ERROR", "CONTRACT_EXE_ERROR"})
"""Refusals that an underfunded wallet gives."""

NOT_TAKEN = frozenset(
    {
        "UNREACHABLE",
        "HTTP_ERROR",
        "SERVER_BUSY",
        "NO_CONNECTION",
        "NOT_ENOUGH_EFFECTIVE_CONNECTION",
        "BLOCK_UNSOLIDIFIED",
    }
)
"""Answers after which the same bytes are sent again at once, elsewhere if possible. Some of them
may hide that the bytes were taken; sending them again is always safe."""

UNANSWERED = frozenset({"TIMEOUT", "UNREACHABLE", "HTTP_ERROR", "BAD_ANSWER"})
"""Sends of which no node's word came back."""


def death_counts(attempt: Attempt, cursor: Cursor) -> bool:
    """Whether a death says something about the payout.

    It does not when no node ever answered, when all that answered named a shortage, or when
    the chain made less than half the blocks of the attempt's life.
    """
    spoken = set(attempt.answers) - UNANSWERED
    lived_ms = cursor.block.time_ms - attempt.ref_block.time_ms
    blocks = cursor.block.number - attempt.ref_block.number
    halted = blocks * BLOCK_INTERVAL_MS * 2 < lived_ms
    return bool(spoken - SHORTAGE_ANSWERS) and not halted
