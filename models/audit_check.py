"""Verifying the audit log: pure functions that find the first entry that is not as it was written.

Three things are held: the chain of numbers and hashes, what the entries of one payout say one after
the other, and what the payout's own history says.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from models.audit import GENESIS, Entry, Head, Record, Story, digest_of, record_of
from models.payout import LEGAL_MOVES, OPEN, PayoutStatus


class FaultKind(StrEnum):
    """What is wrong with an entry."""

    CHANGED = "changed"
    MISSING = "missing"
    REORDERED = "reordered"
    DUPLICATE = "duplicate"
    CONTRADICTION = "contradiction"


@dataclass(frozen=True, slots=True)
class Fault:
    """The entry that is at fault (or the number that nothing has), and why, for people."""

    number: int
    kind: FaultKind
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far the entries are a whole chain; `fault` is what ends it before their end."""

    head: Head
    fault: Fault | None = None


def verify(entries: Iterable[Entry], after: Head = GENESIS) -> Verdict:
    """Hold entries, as they come, against the head that they go on from, and each other."""
    head = after
    past: dict[str, Record] = {}
    following = iter(entries)
    for entry in following:
        fault = _misplaced(entry, head, following) or _changed(entry, head)
        fault = fault or _contradicting(entry, past.get(entry.record.source))
        if fault is not None:
            return Verdict(head, fault)
        head = entry.head
        past[entry.record.source] = entry.record
    return Verdict(head)


def _misplaced(entry: Entry, head: Head, following: Iterable[Entry]) -> Fault | None:
    wanted = head.number + 1
    if entry.number == wanted:
        return None
    if entry.number < wanted:
        text = f"it comes again, or too late: after entry {head.number}"
        return Fault(entry.number, FaultKind.DUPLICATE, text)
    if any(later.number == wanted for later in following):
        return Fault(wanted, FaultKind.REORDERED, f"entry {entry.number} comes before it")
    return Fault(wanted, FaultKind.MISSING, f"entry {entry.number} comes in its place")


def _changed(entry: Entry, head: Head) -> Fault | None:
    if entry.previous_hash != head.hash:
        text = f"its previous_hash is not the hash of entry {head.number}"
        return Fault(entry.number, FaultKind.CHANGED, text)
    if entry.hash != digest_of(entry.number, entry.record, entry.previous_hash):
        return Fault(entry.number, FaultKind.CHANGED, "its hash is not that of its content")
    return None


def _contradicting(entry: Entry, before: Record | None) -> Fault | None:
    """Whether an entry cannot follow the last one of the same source."""
    problem = _source_problem(entry.record, before)
    return Fault(entry.number, FaultKind.CONTRADICTION, problem) if problem else None


def _source_problem(record: Record, before: Record | None) -> str:
    if record.is_act:
        return "an act is in the log once, as n 0" if before or record.n else ""
    if before is not None and record.n != before.n + 1:
        return f"n {record.n} of {record.source} follows n {before.n}"
    if (record.n == 0) is not (record.before is None):
        return "the first event of a payout, and only that, comes from no status"
    if before is not None and record.before != before.after:
        return f"{record.source} was {before.after}, not {record.before}"
    if record.before is not None and not _is_legal(record.before, record.after, record.action):
        return f"a payout that is {record.before} cannot become {record.after}"
    return ""


def _is_legal(before: str, after: str | None, action: str) -> bool:
    if before not in tuple(PayoutStatus):
        return False
    if before == after:  # something else was done to it, which ended payouts do not know
        return before in OPEN and action != f"payout:{after}"
    return after in LEGAL_MOVES[PayoutStatus(before)]


def contradiction(story: Story, entries: Iterable[Entry]) -> Fault | None:
    """The first of these entries that is not what their payout's own history says."""
    for entry in entries:
        record = entry.record
        if record.source != story.payout_id:
            continue
        if record.n >= len(story.history):
            text = f"the history of {record.source} has no event {record.n}"
            return Fault(entry.number, FaultKind.CONTRADICTION, text)
        if record != record_of(story, record.n):
            text = f"the history of {record.source} says otherwise of event {record.n}"
            return Fault(entry.number, FaultKind.CONTRADICTION, text)
    return None
