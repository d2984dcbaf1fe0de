"""What can go wrong, how often, and how often it did.

Two tables: faults of a single port call, which the ports ask for at each call, and events, which
happen to the whole world at random moments. A seed draws the rate of every kind by itself.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

STORE, NODE, SIGNER, WAKEUPS, LOCKS = "store", "node", "signer", "wakeups", "locks"
CACHE = "cache"
EVERY_PORT: Final = (STORE, NODE, SIGNER, WAKEUPS, LOCKS, CACHE)


@dataclass(frozen=True, slots=True)
class CallFault:
    """A fault of one call: at which ports (and methods; none named means all), and its usual rate
    for each call."""

    ports: tuple[str, ...]
    rate: float
    methods: tuple[str, ...] = ()

    def fits(self, port: str, method: str) -> bool:
        """Whether it can happen to this call."""
        return port in self.ports and (not self.methods or method in self.methods)


GROUPS: Final = ("apply", "move_cursor", "note_broadcasts", "append_entries", "forget_logged")
"""Calls that write many things, of which some may be written and others not."""

CALL_FAULTS: Final[Mapping[str, CallFault]] = {
    # the replica
    "crash_before": CallFault(EVERY_PORT, 0.002),
    "crash_unanswered": CallFault(EVERY_PORT, 0.002),
    "crash_answered": CallFault(EVERY_PORT, 0.002),
    "pause_before": CallFault(EVERY_PORT, 0.001),
    "pause_after": CallFault(EVERY_PORT, 0.001),
    "cancel_before": CallFault(EVERY_PORT, 0.001),
    "cancel_after": CallFault(EVERY_PORT, 0.001),
    # the store
    "store_refuses": CallFault((STORE,), 0.01),
    "store_reply_lost": CallFault((STORE,), 0.01),
    "store_late": CallFault((STORE,), 0.005),
    "store_partial": CallFault((STORE,), 0.03, GROUPS),
    # the nodes' connections
    "node_unreachable": CallFault((NODE,), 0.01),
    "node_status": CallFault((NODE,), 0.01),
    "node_nonsense": CallFault((NODE,), 0.01),
    "node_reply_lost": CallFault((NODE,), 0.02),
    "node_late": CallFault((NODE,), 0.01),
    # the signer
    "signer_unavailable": CallFault((SIGNER,), 0.1),
    "signer_timeout": CallFault((SIGNER,), 0.1),
    "signer_wrong": CallFault((SIGNER,), 0.1),
    "signer_slow": CallFault((SIGNER,), 0.1),
    # Redis
    "wakeup_lost": CallFault((WAKEUPS,), 0.3, ("signal",)),
    "wakeup_doubled": CallFault((WAKEUPS,), 0.3, ("signal",)),
    "cache_gone": CallFault((CACHE,), 0.1),
    "cache_reply_lost": CallFault((CACHE,), 0.1),
    "lock_given": CallFault((LOCKS,), 0.1, ("hold",)),
    "lock_refused": CallFault((LOCKS,), 0.1, ("hold",)),
}

EVENTS: Final[Mapping[str, float]] = {
    # the router's surroundings
    "no_majority": 0.01,
    "redis_flushed": 0.02,
    "endpoint_down": 0.01,
    "blackout": 0.004,
    "restored_backup": 0.006,
    # people
    "click_in_review": 0.1,
    "click_elsewhere": 0.03,
    "explains": 0.08,
    "pauses": 0.02,
    "pauses_midway": 0.04,
    "pauses_wallet": 0.03,
    "resumes": 0.1,
    "opens_gate": 0.03,
    "approves": 0.15,
    "approves_batch": 0.1,
    "rejects_batch": 0.01,
    "rejects": 0.02,
    "releases": 0.1,
    "reroutes": 0.05,
    "lists": 0.1,
    "lists_midway": 0.04,
    "verifies": 0.1,
    "trespasses": 0.1,
    "revokes": 0.02,
    "knocks": 0.2,
    # the chain
    "fork": 0.04,
    "fork_drops": 0.08,
    "fork_reorders": 0.02,
    "block_gap": 0.02,
    "theft": 0.006,
    # broadcasts: what a node says of them, and what it does with them
    "refuse": 0.05,
    "misreport": 0.04,
    "swallow": 0.04,
    "busy_storm": 0.01,
    # what a node shows
    "solid_lag": 0.02,
    "solid_stall": 0.01,
    "head_stall": 0.01,
    "hide_info": 0.03,
    "info_block": 0.02,
    "info_result": 0.02,
    "omit_transactions": 0.03,
    "alter_result": 0.02,
    "break_parent": 0.01,
    "false_chain": 0.02,
    "made_up_inclusion": 0.02,
    "withheld": 0.01,
    # the token
    "force_result": 0.05,
    "transfer_log": 0.02,
    "blacklist": 0.01,
    "token_pause": 0.005,
}
"""How often an event happens in a second, usually."""

SITUATIONS: Final[Mapping[str, float]] = {
    "short_of_token": 0.15,
    "short_of_trx": 0.15,
    "tight_fee_limit": 0.2,
    "tight_limits": 0.3,
    "expiring": 0.3,
    "key_reused": 0.4,
    "body_changed": 0.3,
    "sent_at_once": 0.3,
    "cancel": 0.4,
    "client_gone": 0.3,
    "other_chain": 0.15,
    "ends_paused": 0.2,
    "several_routes": 0.4,
    "two_wallets": 0.7,
    "narrow_routes": 0.2,
    "fragile_routes": 0.2,
    "typed": 0.5,
    "asks_approval": 0.4,
    "denies": 0.4,
    "holds": 0.3,
    "forces_consent": 0.3,
    "long_windows": 0.3,
    "tenants": 0.3,
    "batches": 0.3,
    "batch_consent": 0.5,
    "falls_back": 0.4,
    "one_wallet_poor": 0.2,
}
"""How likely a situation is that holds from the start; clients' behaviour is among them."""

ALL_KINDS: Final = (*CALL_FAULTS, *EVENTS, *SITUATIONS)

SHARE_OFF: Final = 0.5
INTENSITIES: Final = (0.3, 1.0, 3.0)


@dataclass(slots=True)
class Rates:
    """How often each kind happens in one world; `fired` counts how often it did."""

    calls: dict[str, float]
    events: dict[str, float]
    situations: frozenset[str]
    fired: Counter[str] = field(default_factory=Counter)


def draw_rates(random_of: Callable[[str], Random], without: Collection[str] = ()) -> Rates:
    """Each kind by itself: off in half of all worlds, else rarer, usual or more often. `without`
    turns kinds off and leaves the others as they were."""

    def rate(kind: str, usual: float) -> float:
        draw = random_of(f"rate of {kind}")
        off, factor = draw.random() < SHARE_OFF, draw.choice(INTENSITIES)
        return 0.0 if off or kind in without else usual * factor

    return Rates(
        calls={kind: rate(kind, fault.rate) for kind, fault in CALL_FAULTS.items()},
        events={kind: rate(kind, usual) for kind, usual in EVENTS.items()},
        situations=frozenset(
            kind
            for kind, likely in SITUATIONS.items()
            if random_of(f"rate of {kind}").random() < likely and kind not in without
        ),
    )


class RandomPlan:
    """Decides for each call whether something happens to it: one draw a call, and each kind has a
    stretch of its own, so that turning one off leaves the others as they were."""

    def __init__(self, rates: Rates, random: Random) -> None:
        self._rates = rates
        self._draw = random.random
        self._stretches: dict[tuple[str, str], list[tuple[float, float, str]]] = {}

    def pick(self, port: str, method: str) -> str | None:
        """The fault of this call, if any."""
        stretches = self._stretches.get((port, method))
        if stretches is None:
            stretches = self._stretches[port, method] = self._stretched(port, method)
        drawn = self._draw()
        for start, end, kind in stretches:
            if start <= drawn < end:
                return kind
        return None

    def _stretched(self, port: str, method: str) -> list[tuple[float, float, str]]:
        start, stretches = 0.0, []
        for kind, fault in CALL_FAULTS.items():
            if fault.fits(port, method):
                if rate := self._rates.calls[kind]:
                    stretches.append((start, start + rate, kind))
                start += fault.rate * max(INTENSITIES)
        return stretches


class SinglePlan:
    """One fault, at one call of the run, counted from 0; `calls` notes every call."""

    def __init__(self, at: int = -1, kind: str = "") -> None:
        self._at = at
        self._kind = kind
        self.calls: list[tuple[str, str]] = []

    def pick(self, port: str, method: str) -> str | None:
        """The fault of this call, if it is the one."""
        self.calls.append((port, method))
        return self._kind if len(self.calls) == self._at + 1 else None


class NoPlan:
    """Nothing happens any more."""

    def pick(self, port: str, method: str) -> str | None:
        """Nothing."""
        return None


Plan = RandomPlan | SinglePlan | NoPlan
