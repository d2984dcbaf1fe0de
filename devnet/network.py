"""A whole network in one object: a chain, its endpoints, its faults and its witnesses' queue."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from adapters.tron.protocol import address_to_hex, hex_to_address
from devnet.block import Block
from devnet.chain import Chain
from devnet.crypto import address_of
from devnet.execution import Effect
from devnet.faults import Fault, Faults, Occasion
from devnet.journal import Journal
from devnet.node import Node
from devnet.pool import Pool
from devnet.refusal import RefusedError
from devnet.settings import DEVNET_KEYS, DevnetSettings
from devnet.transaction import Transaction

STALLS: Final = ("head_stall", "solid_stall")


@dataclass(frozen=True, slots=True)
class Wallet:
    """A private key (hex) and its address (base58)."""

    private_key: str
    address: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money that moved on the head chain: amount in base units, addresses in base58."""

    txid: str
    sender: str
    recipient: str
    amount: int
    currency: str
    block: int
    solid: bool


DEVNET_WALLETS: Final = tuple(
    Wallet(key, hex_to_address(address_of(key).hex())) for key in DEVNET_KEYS
)
"""The well-known keys with their addresses; the first is the funded hot wallet."""


class Network:
    """A simulated TRON network. Everything happens inside the calls; time moves only by `mine`."""

    def __init__(self, settings: DevnetSettings | None = None) -> None:
        """Start a chain, or go on with the one in the folder `settings.data`."""
        wanted = settings or DevnetSettings()
        self._journal = Journal(wanted.data, wanted) if wanted.data is not None else None
        self.settings = self._journal.settings if self._journal else wanted
        self._recording = False
        self.chain = Chain(self.settings, self._record)
        self._replay()
        self.faults = _NetworkFaults(self.chain)
        self.nodes = tuple(
            Node(number, self.chain, self.faults, self._relay)
            for number in range(self.settings.nodes)
        )
        self._producer = Pool(self.chain)

    @property
    def wallet(self) -> Wallet:
        """The funded hot wallet."""
        return DEVNET_WALLETS[0]

    @property
    def token(self) -> str:
        """The token's address."""
        return self.settings.token_address

    @property
    def genesis_id(self) -> str:
        """The id of block 0, in hex: another chain has another."""
        return self.chain.blocks[0].id.hex()

    @property
    def head(self) -> Block:
        """The newest block."""
        return self.chain.head

    @property
    def solid(self) -> Block:
        """The newest block that is final."""
        return self.chain.solid

    def mine(self, count: int = 1, moment: int | None = None) -> Block:
        """Make blocks from what is pending, each one interval after the last; the last one catches
        up with `moment` (milliseconds) where that is given. Returns the head.
        """
        for left in range(count, 0, -1):
            pending = [entry.tx for entry in self._producer.entries.values()]
            self._bind_effects(pending)
            stamp = self.chain.next_timestamp(moment if left == 1 else None)
            self.chain.append(stamp, pending)
            self._refresh()
        return self.head

    def fork(
        self,
        depth: int,
        drop: Collection[str] | Literal["all"] = (),
        reorder: bool = False,
        requeue: bool = False,
    ) -> list[str]:
        """Replace the newest `depth` blocks by a branch that is one longer.

        Transactions in `drop` are not on the new branch: they vanish, or with `requeue` wait in the
        pools again as fresh ones. With `reorder` the rest comes in the opposite order, all in the
        branch's last block. Returns the txids that are no longer included. Raises ValueError for a
        depth that would remove a solid block.
        """
        if not 1 <= depth <= self.head.number - self.chain.solid_number:
            raise ValueError("a fork replaces at least one block and none that is solid")
        popped = [self.chain.pop() for _ in range(depth)][::-1]
        txs = [item.tx for block in popped for item in block.items]
        dropped = {tx.txid for tx in txs} if drop == "all" else set(drop)
        kept = [[i.tx for i in block.items if i.tx.txid not in dropped] for block in popped]
        last: list[Transaction] = []
        if reorder:
            last = [tx for block in kept for tx in block][::-1]
            kept = [[] for _ in kept]
        for block, candidates in zip(popped, kept, strict=True):
            other = (block.witness + 1) % len(self.chain.witnesses)
            self.chain.append(block.timestamp, candidates, other)
        self.chain.append(self.chain.next_timestamp(), last)
        self._refresh()
        if requeue:
            self._queue_everywhere(tx for tx in txs if tx.txid in dropped)
        return [tx.txid for tx in txs if self.chain.find(tx.txid) is None]

    def fund(self, address: str, trx_sun: int = 0, token_units: int = 0) -> None:
        """Give an account TRX (sun) and tokens (base units), at once and in every view."""
        self._amend("fund", address, trx_sun=trx_sun, token_units=token_units)

    def blacklist(self, address: str, blocked: bool = True) -> None:
        """Put an address on the token's blacklist, or take it off."""
        self._amend("blacklist", address, blocked=blocked)

    def stake(self, address: str, bandwidth: int = 0, energy: int = 0) -> None:
        """Set an account's staked bandwidth (bytes a day) and energy (units a day)."""
        self._amend("stake", address, bandwidth=bandwidth, energy=energy)

    def pause(self, paused: bool = True) -> None:
        """Pause the token: every transfer reverts; or let it go on."""
        self.chain.amend("pause", {"paused": paused})
        self._refresh()

    def ledger(self, owner: str | None = None) -> list[Transfer]:
        """All transfers that succeeded on the head chain, oldest first, whatever faults show;
        `owner` restricts them to those that one address sent.
        """
        sender = None if owner is None else bytes.fromhex(address_to_hex(owner))
        return [
            Transfer(
                item.tx.txid,
                hex_to_address(move.sender.hex()),
                hex_to_address(move.recipient.hex()),
                move.amount,
                move.currency,
                block.number,
                block.number <= self.chain.solid_number,
            )
            for block in self.chain.blocks
            for item in block.items
            for move in item.receipt.moves
            if sender is None or move.sender == sender
        ]

    def calls(self) -> dict[str, Any]:
        """How often each path of each endpoint was called, and the total."""
        counts = [dict(node.calls) for node in self.nodes]
        return {"nodes": counts, "total": sum(sum(paths.values()) for paths in counts)}

    def reset_calls(self) -> None:
        """Count from zero again."""
        for node in self.nodes:
            node.calls = Counter()

    def balance(self, address: str) -> tuple[int, int]:
        """What an address holds at the head: sun, and base units of the token."""
        who = bytes.fromhex(address_to_hex(address))
        account = self.chain.state.read(("account", who))
        return (account.balance if account else 0), self.chain.state.read(("token", who)) or 0

    def close(self) -> None:
        """Close the journal."""
        if self._journal:
            self._journal.close()

    def _record(self, entry: Any) -> None:
        if self._journal and self._recording:
            self._journal.write(entry)

    def _replay(self) -> None:
        if self._journal:
            for entry in self._journal.entries():
                self.chain.replay(entry)
        self._recording = True

    def _amend(self, kind: str, address: str, **arguments: Any) -> None:
        self.chain.amend(kind, {"address": address_to_hex(address), **arguments})
        self._refresh()

    def _refresh(self) -> None:
        for pool in self._pools():
            pool.refresh()

    def _pools(self) -> list[Pool]:
        return [self._producer, *(node.pool for node in self.nodes)]

    def _relay(self, tx: Transaction, source: Node) -> None:
        self._queue((pool for pool in self._pools() if pool is not source.pool), tx)

    def _queue_everywhere(self, txs: Iterable[Transaction]) -> None:
        for tx in txs:
            self._queue(self._pools(), tx)

    def _queue(self, pools: Iterable[Pool], tx: Transaction) -> None:
        for pool in pools:
            try:
                pool.push(tx)
            except RefusedError:
                continue

    def _bind_effects(self, txs: Iterable[Transaction]) -> None:
        if not self.faults.any_of("force_result", "transfer_log"):
            return
        for tx in txs:
            if tx.kind != "TriggerSmartContract" or tx.recipient is None:
                continue
            if tx.txid in self.chain.effects:
                continue
            occasion = Occasion(recipient=tx.recipient)
            result = self.faults.take("force_result", occasion)
            log = self.faults.take("transfer_log", occasion) if result is None else None
            if result or log:
                self.chain.effects[tx.txid] = Effect(
                    result=str(result.value) if result else None,
                    log=str(log.value) if log else None,
                )


class _NetworkFaults(Faults):
    """The registry, which knows where a stalled head stands."""

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self._chain = chain

    def add(self, fault: Fault) -> None:
        """Let a fault happen from now on; a stall without a block stands where the chain is."""
        if fault.kind in STALLS and fault.value is None:
            here = self._chain.head if fault.kind == "head_stall" else self._chain.solid
            fault = replace(fault, value=here.number)
        super().add(fault)
