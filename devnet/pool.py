"""The pending transactions of one node, over a session of the head's state."""

from dataclasses import dataclass
from typing import Final

from devnet.chain import Chain
from devnet.execution import Receipt
from devnet.refusal import RefusedError
from devnet.state import Session
from devnet.transaction import Transaction

LIFE_MS: Final = 60_000
"""Chain time after which a node forgets a transaction (`node.pendingTransactionTimeout`)."""

MAX_PENDING: Final = 2_000
"""Above this many a node is busy."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A queued transaction: what it would do, and the head's time when it came."""

    tx: Transaction
    receipt: Receipt
    since: int


class Pool:
    """One node's queue. What is in it was valid, in this order, after the head block."""

    def __init__(self, chain: Chain) -> None:
        """Start empty."""
        self._chain = chain
        self.entries: dict[str, Pending] = {}
        self.state = Session(chain.state)

    def push(self, tx: Transaction, since: int | None = None) -> None:
        """Check and queue a transaction. Raises RefusedError where it is not valid now."""
        receipt = self._chain.check(tx, self.state, self.entries)
        arrived = self._chain.head.timestamp if since is None else since
        self.entries[tx.txid] = Pending(tx, receipt, arrived)

    def refresh(self) -> None:
        """Start over after the head or the state has changed: everything is pushed again but what
        is too old, included or invalid by now.
        """
        before, now = self.entries, self._chain.head.timestamp
        self.entries = {}
        self.state = Session(self._chain.state)
        for pending in before.values():
            if now - pending.since <= LIFE_MS:
                try:
                    self.push(pending.tx, pending.since)
                except RefusedError:
                    continue
