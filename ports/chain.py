"""The TRON network, as the services see it: several endpoints behind one face."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from models.chain import Balances, BlockRef, FeeRates, Hit, Simulation, SolidBlock, Transfer
from models.transaction import Attempt


class ChainUnavailableError(Exception):
    """No usable endpoint answered; nothing is known."""


class BrokenLinkError(Exception):
    """Verified solid blocks came, but do not continue the run that was read so far."""


@dataclass(frozen=True, slots=True)
class EndpointState:
    """One endpoint for people: usable or why not, and its breaker."""

    name: str
    usable: bool
    detail: str
    breaker: str


class Chain(Protocol):
    """Reads raise ChainUnavailableError when no endpoint gives a believable answer."""

    async def genesis_id(self) -> str:
        """The id of block 0."""

    def expect_genesis(self, genesis_id: str) -> None:
        """From now on only endpoints with this genesis are usable."""

    async def head(self) -> BlockRef:
        """The newest block, not solid yet."""

    async def solid_head(self) -> BlockRef:
        """The newest solid block."""

    async def solid_blocks(
        self, after: BlockRef, limit: int, wallets: frozenset[str]
    ) -> Sequence[SolidBlock]:
        """Up to `limit` solid blocks that follow `after`, each verified and linked.

        Empty when `after` is the solid head. Raises BrokenLinkError.
        """

    async def hits(self, block: SolidBlock) -> Sequence[Hit]:
        """What the block's own transactions of ours did. Block and transaction info must agree;
        a missing info, or one of another block, raises ChainUnavailableError."""

    async def solid_block(self, number: int) -> BlockRef:
        """One verified solid block by number, on which the endpoints that answer agree."""

    async def confirms(self, block: BlockRef) -> bool:
        """Whether a second endpoint has this very block as solid; True if only one is set."""

    async def doubt(self, block: BlockRef) -> str:
        """Why a solid block is not believed yet, for people; empty once more endpoints have it
        than not. One that has not answered for long does not count, and with only one endpoint
        nothing is doubted."""

    async def broadcast(self, attempt: Attempt) -> str:
        """Send stored bytes once; the node's code, or TIMEOUT, UNREACHABLE, HTTP_ERROR,
        BAD_ANSWER. Sends through another endpoint than last time where there is one."""

    async def balances(self, owner: str) -> Balances:
        """Solid balances."""

    async def fee_rates(self) -> FeeRates:
        """Voted chain parameters."""

    async def is_activated(self, address: str) -> bool:
        """Whether the account exists on chain."""

    async def simulate(self, transfer: Transfer) -> Simulation:
        """Run a TRC20 transfer as a constant call."""

    async def is_blacklisted(self, address: str) -> bool:
        """Whether the token's own blacklist has an address."""

    def newest_seen(self) -> int:
        """The highest block number that any answer showed so far; makes no call."""

    def states(self) -> Sequence[EndpointState]:
        """The endpoints, for people."""


class TransactionCodec(Protocol):
    """Pure: builds and reads `raw_data`, and recovers who signed."""

    def build(self, draft: "Draft") -> bytes:
        """The protobuf of `raw_data`."""

    def read(self, raw: bytes) -> "Draft":
        """What bytes say; raises ValueError if they say anything that a draft cannot."""

    def recover(self, digest: bytes, signature: bytes) -> str:
        """The address whose key made a 65-byte signature of a digest. Raises ValueError."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Every field of a `raw_data` that the router makes.

    `fee_limit_sun` is 0 for a TRX transfer, for which nodes ignore it. `permission_id` 0 is the
    owner permission.
    """

    transfer: Transfer
    ref_block: bytes
    """Ten bytes: the low two of the block number, then bytes 8 to 16 of its id."""
    expiration_ms: int
    timestamp_ms: int
    fee_limit_sun: int
    permission_id: int = 0
