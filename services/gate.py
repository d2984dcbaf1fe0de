"""The gate in front of dispatch: every reason for which nothing new may be built now.

Closed until proven open. What a restart or a restored backup could have forgotten must first
show up in solid blocks: dispatch waits until the cursor has reached what was the head at start,
and, when the cursor lagged by more than an attempt can live (or in quarantine), until no forgotten
attempt can be included any more. What a person paused stays closed until a person resumes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models.chain import BlockRef, Cursor
from models.money import Currency
from models.pause import Activity, Pause
from models.policy import AttemptPolicy
from ports.chain import Chain
from ports.store import Gate, PayoutStore, Standing
from services.pauses import described, pauses_in

WALLET_GATE = "wallet:"
"""Gates of single wallets; the funds step opens them, not this gate."""

RESTORED = "restored"
"""The gate of a database that has forgotten something (services/high_water.py). It opens when a
replica that found it closed at its start has seen the end of its quarantine."""

DEEPEST_FORK = 100
"""Blocks by which a head may go back; some 20 are not solid at a time."""


@dataclass(frozen=True, slots=True)
class Closed:
    """One reason for which dispatch is closed: a short name for metrics, a sentence for people."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class OpensAt:
    """The block number, and in quarantine also the block time (ms), that the cursor must reach."""

    number: int
    after_ms: int | None


@dataclass(frozen=True, slots=True)
class View:
    """Why dispatch is closed (nothing when it is open), for which currencies and wallets it is open
    then, the closed gates by wallet, everything that is paused, and how far blocks are read."""

    closed: Sequence[Closed]
    currencies: frozenset[Currency]
    wallets: frozenset[str]
    gates: Mapping[str, Gate]
    pauses: Mapping[Pause, Gate]
    cursor: Cursor | None


def opening(head: BlockRef, cursor: Cursor, policy: AttemptPolicy, *, quarantine: bool) -> OpensAt:
    """Where dispatch opens, given the head and the cursor at start."""
    lag_ms = head.time_ms - cursor.block.time_ms
    longest = policy.max_beyond_cursor_ms
    wait = quarantine or lag_ms > longest
    return OpensAt(head.number, head.time_ms + longest if wait else None)


class DispatchGate:
    """Decides, before each group, whether anything may be built.

    `wallets` are those that pay. `started_at` is the cursor of the start, before anybody read on;
    None if there was none yet.
    """

    def __init__(
        self,
        store: PayoutStore,
        chain: Chain,
        policy: AttemptPolicy,
        *,
        wallets: Iterable[str],
        quarantine: bool,
        started_at: Cursor | None = None,
    ) -> None:
        self._store = store
        self._chain = chain
        self._policy = policy
        self._wallets = frozenset(wallets)
        self._quarantine = quarantine
        self._started_at = started_at
        self._opens_at: OpensAt | None = None
        self._vouched = False
        self._restored: bool | None = None

    async def look(self) -> View:
        """Why dispatch is closed now, if it is, and which parts of it are.

        Raises StoreError, ChainUnavailableError.
        """
        standing = await self._store.standing()
        if self._restored is None:
            self._restored = any(gate.name == RESTORED for gate in standing.gates)
        gates = {
            gate.name.removeprefix(WALLET_GATE): gate
            for gate in standing.gates
            if gate.name.startswith(WALLET_GATE)
        }
        pauses = pauses_in(standing.gates)
        stopped = [pause for pause in pauses if pause.what is Activity.DISPATCH]
        currencies = frozenset(Currency) - {pause.currency for pause in stopped}
        wallets = self._wallets - {pause.wallet for pause in stopped}
        paused = _paused(pauses, nothing_left=not currencies or not wallets)
        closed = (*_lasting(standing), *paused, *await self._starting(standing.cursor))
        return View(closed, currencies, wallets, gates, pauses, standing.cursor)

    async def _starting(self, cursor: Cursor | None) -> list[Closed]:
        """Why it has not opened yet since the start."""
        if cursor is None:
            return [Closed("starting", "no solid block has been read yet")]
        starting = await self._still_starting(cursor)
        if self._restored and not starting:
            await self._store.open_gate(RESTORED)
            self._restored = False
        return starting

    async def _still_starting(self, cursor: Cursor) -> list[Closed]:
        target = await self._target(cursor)
        if cursor.block.number < target.number:
            text = f"solid blocks are read up to {cursor.block.number} of {target.number}"
            return [Closed("catching_up", text)]
        if target.after_ms is not None and cursor.block.time_ms <= target.after_ms:
            left = (target.after_ms - cursor.block.time_ms) // 1000
            return [Closed("quarantine", f"quarantine for {left} more seconds of chain time")]
        return await self._doubted(cursor)

    async def _doubted(self, cursor: Cursor) -> list[Closed]:
        """Whether the chain that was read up to the opening may be one endpoint's own."""
        if not self._vouched:
            doubt = await self._chain.doubt(cursor.block)
            if doubt:
                return [Closed("unconfirmed", doubt)]
            self._vouched = True
        return []

    async def _target(self, cursor: Cursor) -> OpensAt:
        """Where dispatch opens: what the first head says, unless no chain of ours has that head."""
        known = self._opens_at
        if known is not None and cursor.block.number >= known.number:
            return known
        head = await self._chain.head()
        if known is None or head.number + DEEPEST_FORK < known.number:
            start = self._started_at or cursor
            quarantine = self._quarantine or bool(self._restored)
            known = opening(head, start, self._policy, quarantine=quarantine)
            self._opens_at = known
        return known


def _paused(pauses: Mapping[Pause, Gate], *, nothing_left: bool) -> Sequence[Closed]:
    """The pauses that close dispatch as a whole."""
    return [
        Closed(pause.name, described(pause, gate))
        for pause, gate in pauses.items()
        if pause.what is Activity.DISPATCH
        and (nothing_left or (pause.currency is None and pause.wallet is None))
    ]


def _lasting(standing: Standing) -> list[Closed]:
    """The other reasons that are stored, and hold for every replica."""
    cursor = standing.cursor
    reasons = [Closed("broken_link", cursor.broken)] if cursor and cursor.broken else []
    reasons += [
        Closed(gate.name, gate.reason)
        for gate in standing.gates
        if not gate.name.startswith(WALLET_GATE) and Pause.of(gate.name) is None
    ]
    if standing.open_unexplained:
        text = f"{standing.open_unexplained} transfers of our wallets that no payout explains"
        reasons.append(Closed("unexplained", text))
    return reasons
