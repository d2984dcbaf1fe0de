"""The chain core: blocks, the state they lead to, and the rules of inclusion.

Synchronous and deterministic: no clock, no randomness, no I/O. Three operations change a chain,
`append`, `pop` and `amend`, and each is reported to `record` as data, so that replaying the records
gives the same chain.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from adapters.tron.protocol import address_to_hex
from devnet.block import Block, Included, make_block, make_genesis, make_witnesses
from devnet.crypto import address_of
from devnet.edits import EDITS
from devnet.execution import Effect, Receipt, check_permission, execute
from devnet.refusal import RefusedError, invalid
from devnet.settings import DEVNET_KEYS, DevnetSettings
from devnet.state import HeadState, Key, Rewound, Session
from devnet.transaction import Transaction

MAX_LIFE_MS: Final = 86_400_000
"""An expiration further than this beyond the head's time is refused."""

MAX_TRANSACTION_BYTES: Final = 512_000 - 128
MAX_BLOCK_BYTES: Final = 2_000_000
TAPOS_WINDOW: Final = 65_536

Record = Callable[[Mapping[str, Any]], None]


class Chain:
    """One chain from its genesis block to its head."""

    def __init__(self, settings: DevnetSettings, record: Record = lambda entry: None) -> None:
        """Start at the genesis block; every later change is passed to `record`."""
        self.settings = settings
        self.token = bytes.fromhex(address_to_hex(settings.token_address))
        self.witnesses = make_witnesses(settings.network)
        self.blocks = [make_genesis(settings.network, settings.genesis_ms)]
        self.state = HeadState()
        self.solid_number = 0
        self.effects: dict[str, Effect] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self._record = record
        for key in DEVNET_KEYS:
            self._edit(
                "fund",
                address=address_of(key).hex(),
                trx_sun=settings.wallet_trx_sun,
                token_units=settings.wallet_token_units,
            )

    @property
    def head(self) -> Block:
        """The newest block."""
        return self.blocks[-1]

    @property
    def solid(self) -> Block:
        """The newest block that no fork can remove."""
        return self.blocks[self.solid_number]

    def find(self, txid: str) -> tuple[Block, Included] | None:
        """Where a transaction is included on the head chain."""
        place = self._places.get(txid)
        if place is None:
            return None
        block = self.blocks[place[0]]
        return block, block.items[place[1]]

    def state_at(self, number: int) -> HeadState | Rewound:
        """The state after a block at or above solid (below it: the state at solid)."""
        first = max(number, self.solid_number) + 1
        if first > self.head.number:
            return self.state
        return Rewound(self.state, [block.undo for block in self.blocks[first:]])

    def next_timestamp(self, moment: int | None = None) -> int:
        """When the next block is due: one interval after the head, or the latest slot not later
        than `moment` (milliseconds) if that is later.
        """
        interval = self.settings.block_interval_ms
        due = self.head.timestamp + interval
        return due if moment is None else max(due, moment - moment % interval)

    def witness_at(self, timestamp: int) -> int:
        """The place in the rotation of the witness whose turn it is."""
        return timestamp // self.settings.block_interval_ms % len(self.witnesses)

    def check(self, tx: Transaction, state: Session, pending: Container[str] = ()) -> Receipt:
        """Check and execute a transaction over a state of the head, as a node does before it queues
        it and a witness before it packs it (rows 8 to 16 of the broadcast table).

        Raises RefusedError with the first check that fails.
        """
        head = self.head
        check_permission(tx, state)
        if len(tx.raw_data.contract) != 1:
            raise invalid("tx should contain exactly one contract")
        self._check_tapos(tx)
        if len(tx.wire) > MAX_TRANSACTION_BYTES:
            raise RefusedError(
                "TOO_BIG_TRANSACTION_ERROR",
                f"Too big transaction, TxId {tx.txid}, the size is {len(tx.wire)} bytes",
            )
        if not head.timestamp < tx.expiration <= head.timestamp + MAX_LIFE_MS:
            raise RefusedError("TRANSACTION_EXPIRATION_ERROR")
        if tx.txid in self._places or tx.txid in pending:
            raise RefusedError("DUP_TRANSACTION_ERROR")
        return execute(tx, state, head.timestamp, self.token, self.effects.get(tx.txid))

    def append(
        self, timestamp: int, candidates: Iterable[Transaction], place: int | None = None
    ) -> Block:
        """Add a block with those candidates that are valid now, in their order; the others are
        silently left out. `place` is the producing witness, by default the one whose turn it is.
        """
        work = Session(self.state)
        items: dict[str, Included] = {}
        room = MAX_BLOCK_BYTES
        for tx in candidates:
            if len(tx.wire) > room:
                break
            try:
                receipt = self.check(tx, work, items)
            except RefusedError:
                continue
            items[tx.txid] = Included(tx, receipt)
            room -= len(tx.wire)
        return self._extend(timestamp, tuple(items.values()), work.changes, place)

    def pop(self) -> Block:
        """Remove the head block and what it did. Raises ValueError for a solid one."""
        if self.head.number <= self.solid_number:
            raise ValueError("a solid block can't be removed")
        block = self.blocks.pop()
        self.state.apply(block.undo)
        for item in block.items:
            del self._places[item.tx.txid]
        self._record({"op": "pop"})
        return block

    def amend(self, kind: str, arguments: Mapping[str, Any]) -> None:
        """Change the state as though it had always been so; kinds are those of `edits.EDITS`.

        Raises KeyError for an unknown kind, TypeError or ValueError for arguments that don't fit.
        """
        self._edit(kind, **arguments)
        self._record({"op": "amend", "kind": kind, "arguments": dict(arguments)})

    def replay(self, entry: Mapping[str, Any]) -> None:
        """Do again what was recorded. Raises ValueError where the result is another block."""
        if entry["op"] == "pop":
            self.pop()
        elif entry["op"] == "amend":
            self.amend(entry["kind"], entry["arguments"])
        else:
            self.effects |= {txid: Effect(**kind) for txid, kind in entry["effects"].items()}
            candidates = [Transaction.parse(bytes.fromhex(tx)) for tx in entry["transactions"]]
            block = self.append(entry["timestamp"], candidates, entry["witness"])
            if block.id.hex() != entry["id"]:
                raise ValueError(f"the journal's block {block.number} can't be made again")

    def _edit(self, kind: str, **arguments: Any) -> None:
        undos = [block.undo for block in self.blocks[self.solid_number + 1 :]]

        def change(key: Key, to: Callable[[Any], Any]) -> None:
            self.state.amend(key, to, undos)

        EDITS[kind](change, self.head.timestamp, **arguments)

    def _extend(
        self,
        timestamp: int,
        items: tuple[Included, ...],
        changes: Mapping[Key, Any],
        place: int | None,
    ) -> Block:
        place = self.witness_at(timestamp) if place is None else place
        undo = self.state.apply(changes)
        block = make_block(self.head, timestamp, place, self.witnesses[place], items, undo)
        self.blocks.append(block)
        for number, item in enumerate(items):
            self._places[item.tx.txid] = (block.number, number)
        self._solidify()
        self._record(self._entry(block))
        return block

    def _solidify(self) -> None:
        target = max(self.solid_number, self.head.number - self.settings.solid_lag)
        while self.solid_number < target:
            self.solid_number += 1
            self.solid.undo.clear()

    def _check_tapos(self, tx: Transaction) -> None:
        low = tx.raw_data.ref_block_bytes
        head = self.head.number
        if len(low) == 2:
            number = head - (head - int.from_bytes(low, "big")) % TAPOS_WINDOW
            if number >= 0 and self.blocks[number].id[8:16] == tx.raw_data.ref_block_hash:
                return
        raise RefusedError("TAPOS_ERROR")

    def _entry(self, block: Block) -> dict[str, Any]:
        effects = {
            item.tx.txid: asdict(self.effects[item.tx.txid])
            for item in block.items
            if item.tx.txid in self.effects
        }
        return {
            "op": "block",
            "timestamp": block.timestamp,
            "witness": block.witness,
            "transactions": [item.tx.wire.hex() for item in block.items],
            "effects": effects,
            "id": block.id.hex(),
        }
