"""One endpoint of the devnet: its own pending pool, its own faults, its own call counts."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from devnet.block import Block, Included
from devnet.chain import Chain
from devnet.faults import Faults, Occasion
from devnet.pool import MAX_PENDING, Pool
from devnet.refusal import RefusedError, invalid
from devnet.state import Reader
from devnet.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Verdict:
    """The node's answer to a broadcast: SUCCESS, or a failing code with its text."""

    code: str = "SUCCESS"
    text: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What an endpoint shows: blocks up to `top`, and the state there."""

    chain: Chain
    top: int
    state: Reader

    @property
    def newest(self) -> Block:
        """The newest block of the view."""
        return self.chain.blocks[self.top]

    def block(self, number: int) -> Block | None:
        """A block by number."""
        return self.chain.blocks[number] if 0 <= number <= self.top else None

    def block_by_id(self, identity: bytes) -> Block | None:
        """A block by its 32-byte id."""
        found = self.block(int.from_bytes(identity[:8], "big"))
        return found if found is not None and found.id == identity else None

    def find(self, txid: str) -> tuple[Block, Included] | None:
        """Where a transaction is included."""
        found = self.chain.find(txid)
        return found if found is not None and found[0].number <= self.top else None


class Node:
    """One endpoint over a chain. `relay` hands an accepted transaction to the rest of the net."""

    def __init__(
        self,
        number: int,
        chain: Chain,
        faults: Faults,
        relay: Callable[[Transaction, "Node"], None],
    ) -> None:
        """Start with an empty pool; `number` is the endpoint's place in the devnet."""
        self.number = number
        self.chain = chain
        self.faults = faults
        self.pool = Pool(chain)
        self.calls: Counter[str] = Counter()
        self.built = 0
        self._relay = relay

    def broadcast(self, tx: Transaction, path: str) -> Verdict:
        """Take a transaction, or say why not (the order of the checks: `Wallet.java`)."""
        occasion = Occasion(self.number, path, tx.recipient)
        refused = self.faults.take("refuse", occasion)
        if refused is not None:
            return _verdict(RefusedError(str(refused.value)))
        try:
            self._admit(tx)
        except RefusedError as error:
            return _verdict(error)
        if self.faults.take("swallow", occasion) is None:
            self._relay(tx, self)
        misreported = self.faults.take("misreport", occasion)
        return _verdict(RefusedError(str(misreported.value))) if misreported else Verdict()

    def view(self, solid: bool) -> View:
        """The blocks and the state that this endpoint shows, whole or solid only."""
        head = self._stalled("head_stall", self.chain.head.number)
        if not solid:
            return View(self.chain, head, self.pool.state)
        top = min(head, self._stalled("solid_stall", self.chain.solid_number))
        lagging = self.faults.take("solid_lag", Occasion(self.number))
        if lagging is not None:
            top = max(top - int(lagging.value or 0), 0)
        return View(self.chain, top, self.chain.state_at(top))

    def _stalled(self, kind: str, number: int) -> int:
        fault = self.faults.take(kind, Occasion(self.number))
        return number if fault is None else min(number, int(fault.value or 0))

    def _admit(self, tx: Transaction) -> None:
        if len(self.pool.entries) > MAX_PENDING:
            raise RefusedError("SERVER_BUSY")
        if not tx.raw_data.contract:
            raise invalid("No contract!")
        next_slot = self.chain.head.timestamp + self.chain.settings.block_interval_ms
        if tx.expiration < next_slot:
            raise RefusedError("TRANSACTION_EXPIRATION_ERROR")
        self.pool.push(tx)


def _verdict(error: RefusedError) -> Verdict:
    return Verdict(error.code, error.text)
