"""The audit log: what happened, as entries of a numbered chain of hashes.

Each entry holds the hash of the one before it and the hash of its own content, so that none can be
changed, taken out, moved or put in without every later hash telling. docs/audit.md has the format.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from models.errors import Reason
from models.money import format_amount
from models.payout import Event, Payout

ACT_PREFIX: Final = "act_"


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened, before the log numbers it.

    `source` and `n` are its natural key: a payout and the place in its history (from 0), or an act
    and 0. `at` is the database's time. `action` is `payout:` and the status that it came into, or
    what was done to it where it stood, or the permission that an act took. `subject` is what it was
    done to: a payout id, a gate, a txid. `by` is "ROLE:subject" of a caller, or the loop that did
    it. `tenant` is whose payout it is, or the caller's. `before` and `after` are states, as text;
    `details` is what a new payout orders.
    """

    source: str
    n: int
    at: datetime
    action: str
    subject: str
    by: str
    tenant: str | None = None
    request_id: str | None = None
    before: str | None = None
    after: str | None = None
    why: Reason | None = None
    txid: str | None = None
    details: str | None = None

    @property
    def is_act(self) -> bool:
        """Whether a caller's act is the source, not a payout."""
        return self.source.startswith(ACT_PREFIX)

    @property
    def key(self) -> tuple[str, int]:
        """What only one entry of the log may have."""
        return self.source, self.n


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log ends: the number and the hash (hex) of its last entry."""

    number: int
    hash: str


GENESIS: Final = Head(0, "0" * 64)
"""What the first entry of every log follows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record in its place: numbered from 1 without gaps. The hashes are SHA-256 in hex."""

    number: int
    record: Record
    previous_hash: str
    hash: str

    @property
    def head(self) -> Head:
        """The head of a log that ends here."""
        return Head(self.number, self.hash)


def linked(after: Head, records: Sequence[Record]) -> Sequence[Entry]:
    """The entries that go on from a head with these records, in order."""
    entries: list[Entry] = []
    for record in records:
        number, digest = after.number + 1, digest_of(after.number + 1, record, after.hash)
        entries.append(Entry(number, record, after.hash, digest))
        after = entries[-1].head
    return entries


def digest_of(number: int, record: Record, previous_hash: str) -> str:
    """SHA-256 (hex) of an entry's canonical JSON without its `hash`."""
    return hashlib.sha256(canonical(_content(number, record, previous_hash)).encode()).hexdigest()


def entry_fields(entry: Entry) -> Mapping[str, Any]:
    """An entry as one flat JSON object."""
    content = _content(entry.number, entry.record, entry.previous_hash)
    return {**content, "hash": entry.hash}


def _content(number: int, record: Record, previous_hash: str) -> Mapping[str, Any]:
    fields = {**asdict(record), "at": moment_text(record.at)}
    return {**fields, "number": number, "previous_hash": previous_hash}


def canonical(value: Mapping[str, Any]) -> str:
    """The one JSON text of a value of text, integers, nulls, lists and objects: RFC 8785.

    Half a surrogate pair, which UTF-8 cannot carry, becomes a question mark, as in the database.
    """
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode("utf-8")


def moment_text(moment: datetime) -> str:
    """ISO 8601 in UTC to the millisecond, which is what the database keeps."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ---- what a payout says of its past ----


@dataclass(frozen=True, slots=True)
class Story:
    """A payout's own account of what happened to it.

    `details` is what it orders; `outbox` numbers the history's events that the log has not got.
    """

    payout_id: str
    tenant: str | None
    details: str
    history: tuple[Event, ...]
    outbox: tuple[int, ...] = ()


def story_of(payout: Payout) -> Story:
    """The account of a payout."""
    order = payout.order
    return Story(
        payout_id=payout.payout_id,
        tenant=payout.tenant,
        details=details_of(order.amount, order.currency, order.recipient_address),
        history=payout.history,
        outbox=payout.outbox,
    )


def details_of(amount: int, currency: str, recipient: str) -> str:
    """How much (base units) goes where, for people."""
    return f"{format_amount(amount)} {currency} to {recipient}"


def record_of(story: Story, n: int) -> Record:
    """Event `n` of a payout's history as the log keeps it."""
    event = story.history[n]
    return Record(
        source=story.payout_id,
        n=n,
        at=event.at,
        action=f"payout:{event.act or event.to_status.value}",
        subject=story.payout_id,
        by=event.by,
        tenant=story.tenant,
        request_id=event.request_id,
        before=None if event.from_status is None else event.from_status.value,
        after=event.to_status.value,
        why=event.why,
        txid=event.txid,
        details=story.details if n == 0 else None,
    )


def unlogged_of(story: Story) -> Sequence[Record]:
    """What the log has not got yet of a payout, in order."""
    return [record_of(story, n) for n in sorted(story.outbox)]


def lost_of(story: Story, logged: Collection[int]) -> int | None:
    """The first event that is neither in the log, which has `logged`, nor waits for it.

    The log may have begun after the payout: what was before its first entry is not asked for.
    """
    there = {*logged, *story.outbox}
    wanted = range(min(there, default=0), len(story.history))
    return next((n for n in wanted if n not in there), None)
