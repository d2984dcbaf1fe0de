"""Faults as data: what goes wrong, where, for whom and how often.

`KINDS` is the list. A fault is added to the registry, fires at each matching occasion until its
count is used up, and shows how often it fired.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from adapters.tron.protocol import address_to_hex
from devnet.refusal import BROADCAST_TEXTS

CONTRACT_FAILURES: Final = ("REVERT", "OUT_OF_ENERGY", "OUT_OF_TIME")
LOG_FAULTS: Final = ("missing", "doubled", "wrong_amount", "wrong_recipient")
LOSSES: Final = ("status", "hang", "reset")


@dataclass(frozen=True, slots=True)
class _Kind:
    about: str
    default: str | int | None = None
    choices: tuple[str, ...] = ()


KINDS: Final[Mapping[str, _Kind]] = {
    # the connection, before the node does anything
    "latency": _Kind("the answer comes so many milliseconds later", 1_000),
    "http_status": _Kind("this HTTP status instead of an answer", 503),
    "reset": _Kind("the connection is reset"),
    "hang": _Kind("no answer until the client gives up"),
    "huge": _Kind("an answer of so many bytes", 100_000_000),
    "nonsense": _Kind("an answer that is not JSON"),
    "content_type": _Kind("a right answer under this content type", "text/html"),
    # the connection, after the node has done what was asked
    "lost_answer": _Kind("done, but the answer is lost: 504, hang or reset", "status", LOSSES),
    # broadcasts
    "refuse": _Kind("this code, and the transaction is not taken", None, tuple(BROADCAST_TEXTS)),
    "misreport": _Kind("this code, though the transaction is taken", None, tuple(BROADCAST_TEXTS)),
    "swallow": _Kind("SUCCESS, but the transaction is never relayed or included"),
    # what the node shows
    "solid_lag": _Kind("the solid head is so many blocks behind the true one", 20),
    "solid_stall": _Kind("the solid head stands still at this block (default: where it is)"),
    "head_stall": _Kind("the head stands still at this block (default: where it is)"),
    "hide_transaction": _Kind("{} for a transaction that is there"),
    "hide_info": _Kind("{} for the info of a transaction that is included"),
    "info_block": _Kind("the info names a block so many above the true one", 1),
    "info_result": _Kind("the info says this result", "REVERT"),
    "omit_transactions": _Kind("blocks are served without transactions"),
    "alter_result": _Kind("blocks are served with this contractRet", "REVERT"),
    "break_parent": _Kind("blocks are served with another parent hash (and the id to fit)"),
    # the token, for everybody
    "force_result": _Kind("a token transfer ends so on the chain", "REVERT", CONTRACT_FAILURES),
    "transfer_log": _Kind("a successful token transfer logs this", "missing", LOG_FAULTS),
}
"""Every kind of fault: what happens, the default of its `value`, and what `value` may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong. Raises ValueError for what is not known.

    `node` is an endpoint's number, None for all; `count` how often it happens, None for ever;
    `path` one request path such as /wallet/broadcasthex, None for all; `recipient` the base58
    address that a transaction must pay, None for all.
    """

    kind: str
    value: str | int | None = None
    node: int | None = None
    count: int | None = None
    path: str | None = None
    recipient: str | None = None

    def __post_init__(self) -> None:
        """Check the kind and its value."""
        known = KINDS.get(self.kind)
        if known is None:
            raise ValueError(f"no fault of kind {self.kind!r}; there are {', '.join(KINDS)}")
        value = known.default if self.value is None else self.value
        if known.choices and value not in known.choices:
            raise ValueError(f"{self.kind} takes one of {', '.join(known.choices)}")
        if isinstance(known.default, int) and (not isinstance(value, int) or value < 0):
            raise ValueError(f"{self.kind} takes a number of 0 or more")
        if self.count is not None and self.count < 1:
            raise ValueError("count is at least 1, or null for ever")
        if self.recipient is not None:
            address_to_hex(self.recipient)
        object.__setattr__(self, "value", value)


@dataclass(slots=True)
class _Entry:
    fault: Fault
    left: int | None
    fired: int = 0
    payee: bytes | None = field(init=False)

    def __post_init__(self) -> None:
        recipient = self.fault.recipient
        self.payee = None if recipient is None else bytes.fromhex(address_to_hex(recipient))


@dataclass(frozen=True, slots=True)
class Occasion:
    """Where a fault may fire: an endpoint, a request path, who is paid."""

    node: int | None = None
    path: str | None = None
    recipient: bytes | None = None

    def fits(self, entry: _Entry) -> bool:
        """Whether an entry's restrictions allow this occasion."""
        fault = entry.fault
        return (
            entry.left != 0
            and (fault.node is None or fault.node == self.node)
            and (fault.path is None or fault.path == self.path)
            and (entry.payee is None or entry.payee == self.recipient)
        )


class Faults:
    """The faults of a devnet, oldest first; the first that fits an occasion fires."""

    def __init__(self) -> None:
        """Start without any."""
        self._entries: dict[str, list[_Entry]] = {}

    def add(self, fault: Fault) -> None:
        """Let a fault happen from now on."""
        self._entries.setdefault(fault.kind, []).append(_Entry(fault, fault.count))

    def clear(self, kind: str | None = None) -> None:
        """Remove all faults, or those of one kind."""
        if kind is None:
            self._entries.clear()
        else:
            self._entries.pop(kind, None)

    def take(self, kind: str, occasion: Occasion) -> Fault | None:
        """The fault of a kind that fires on an occasion, which uses one of its count."""
        for entry in self._entries.get(kind, ()):
            if occasion.fits(entry):
                entry.fired += 1
                if entry.left is not None:
                    entry.left -= 1
                return entry.fault
        return None

    def any_of(self, *kinds: str) -> bool:
        """Whether there is a fault of one of the kinds that can still fire."""
        return any(entry.left != 0 for kind in kinds for entry in self._entries.get(kind, ()))

    @property
    def ask_for_recipient(self) -> bool:
        """Whether there is a fault that is restricted to a recipient."""
        return any(entry.payee for entries in self._entries.values() for entry in entries)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Each fault with how often it fired and how often it still can (None: for ever)."""
        for entries in self._entries.values():
            for entry in entries:
                yield {**asdict(entry.fault), "fired": entry.fired, "left": entry.left}
