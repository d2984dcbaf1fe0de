"""What the router knows of the chain: block references, transfers, hits, balances, rates.

Chain times are milliseconds since 1970 as blocks carry them; they are never compared with
another clock.
"""

from dataclasses import dataclass, field
from typing import Self

from models.money import Currency

BLOCK_INTERVAL_MS = 3_000
"""One slot (java-tron `Parameter.java`, 3 s)."""


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block by number, id (hex, 32 bytes) and time (ms)."""

    number: int
    block_id: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money that a transaction moved, in base units. `contract` is None for TRX."""

    contract: str | None
    owner: str
    recipient: str
    amount: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A transaction of one of our wallets, found in a solid block.

    `contract_ret` is what the block's Merkle root binds ("SUCCESS", "REVERT", …). `transfers`
    are the transfer itself for a TransferContract, and every Transfer log for a contract call.
    `energy_used` is total energy, staked and burned; `fee_sun` is all that was burned.
    """

    txid: str
    owner: str
    block: BlockRef
    contract_ret: str
    transfers: tuple[Transfer, ...]
    fee_sun: int
    energy_used: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class OwnTransaction:
    """A transaction that one of our wallets owns, as a verified block has it.

    `kind` is the number of its contract type and `value` the contract's protobuf.
    """

    txid: str
    owner: str
    kind: int
    value: bytes
    contract_ret: str


@dataclass(frozen=True, slots=True)
class SolidBlock:
    """A verified solid block: its header gives its id, and its transactions its Merkle root."""

    ref: BlockRef
    parent_id: str
    owned: tuple[OwnTransaction, ...]


@dataclass(frozen=True, slots=True)
class FeeDay:
    """TRX burned by our wallets on one UTC day of the chain's clock, in sun."""

    day: str = ""
    burned_sun: int = 0


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far solid blocks have been read, without a gap, since `run_start`.

    `vouched` is the highest number of a block of the run that more endpoints had than not: up to
    there nobody can have hidden anything. `broken` says why dispatch is closed after blocks that
    did not link; it is cleared when a linked block at or past `reopen_at` has been read. `fees`
    counts what the blocks read so far burned today.
    """

    block: BlockRef
    run_start: int
    vouched: int = 0
    reopen_at: int = 0
    broken: str = ""
    fees: FeeDay = field(default_factory=FeeDay)


@dataclass(frozen=True, slots=True)
class Balances:
    """Solid balances of a wallet in base units: what confirmed blocks left in it."""

    trx_sun: int
    usdt: int

    @classmethod
    def taken_by(cls, amount: int, currency: Currency, fee_sun: int) -> Self:
        """What a payout of that amount (base units of the currency) takes of a wallet, where it
        burns so much."""
        in_trx = currency is Currency.TRX
        return cls(fee_sun + (amount if in_trx else 0), 0 if in_trx else amount)

    def __sub__(self, taken: Self) -> "Balances":
        return Balances(self.trx_sun - taken.trx_sun, self.usdt - taken.usdt)


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Voted chain parameters, in sun: per unit of energy, per byte of bandwidth, for a new
    account (bandwidth part and system part), and the highest fee limit a node accepts."""

    energy_sun: int
    byte_sun: int
    account_sun: int
    max_fee_limit_sun: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a constant call said of a transfer: energy it would use, or why it would revert."""

    energy: int
    reverted: bool
    message: str = ""


def follows(parent: BlockRef, block: SolidBlock) -> bool:
    """Whether a block is the very next one after another: number, parent id and time agree."""
    return (
        block.ref.number == parent.number + 1
        and block.parent_id == parent.block_id
        and block.ref.time_ms > parent.time_ms
    )
