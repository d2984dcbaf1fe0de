"""The audit log, held against the payouts' own histories and against the acts that were noted.

The hashes are computed here anew, as docs/audit.md describes them, and not by the code that writes
them.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC
from typing import Any

from models.audit import GENESIS, Entry, Head, Record, lost_of, story_of
from models.audit_check import contradiction, verify
from models.payout import Payout
from tests.simulation.store import WatchedStore
from tests.simulation.violation import Violation, instantly

EVERYTHING = 1_000_000


class LogOracle:
    """Reads the log as it grows: gapless, chained, each record once, each as it happened."""

    def __init__(self, store: WatchedStore) -> None:
        self.promised: set[str] = set()
        """The reasons of the acts that somebody was told are done."""
        self.restored(store)

    def restored(self, store: WatchedStore) -> None:
        """Read the log of this store, from its first entry; what the store does not remember was
        not promised."""
        self._store = store
        self._last: Entry | None = None
        self._logged: Counter[str] = Counter()
        self.promised &= {_reason(act) for act in store.acts.values()}

    @property
    def head(self) -> Head:
        """How far the log has been read."""
        return GENESIS if self._last is None else self._last.head

    def check(self, payouts: Mapping[str, Payout]) -> None:
        """Hold what is new, and that nothing is neither in the log nor waits for it."""
        number = self.head.number
        if self._last is not None and instantly(self._store.audit_entry(number)) != self._last:
            raise Violation(f"entry {number} of the log is not what it was")
        for entry in instantly(self._store.entries_after(number, EVERYTHING)):
            self._check_place(entry)
            self._check_record(entry, payouts)
            self._logged[entry.record.source] += 1
            self._last = entry
        self._check_waiting(payouts)

    def check_end(self, payouts: Iterable[Payout]) -> None:
        """The whole log is what it was, the acts that were promised are in it, and whoever verifies
        it finds no fault."""
        entries = instantly(self._store.entries_after(0, EVERYTHING))
        verdict = verify(entries)
        if verdict.fault is not None or verdict.head != self.head:
            raise Violation(f"the log is not whole: {verdict}")
        missing = self.promised - {_reason(entry.record) for entry in entries}
        if missing:
            raise Violation(f"what was done because of {sorted(missing)[0]} is not in the log")
        for payout in payouts:
            story, count = story_of(payout), self._logged[payout.payout_id]
            fault = contradiction(story, entries)
            if fault is not None or lost_of(story, range(count)) is not None:
                raise Violation(f"a fault is found that is none: {fault}", payout.payout_id)

    def owed(self, payouts: Iterable[Payout]) -> Violation | None:
        """What is not in the log, or waits for it though it is."""
        for payout in payouts:
            name, count = payout.payout_id, self._logged[payout.payout_id]
            if count != len(payout.history) or payout.outbox:
                return Violation(f"{count} events of {name} are in the log, not all", name)
        waiting = instantly(self._store.unlogged(1))
        if waiting or self._store.acts.keys() - self._logged.keys():
            return Violation(f"an act is not in the log: {waiting}")
        return None

    def _check_place(self, entry: Entry) -> None:
        head = self.head
        if (entry.number, entry.previous_hash) != (head.number + 1, head.hash):
            raise Violation(f"{entry} does not follow {head}")
        if entry.hash != _digest(entry):
            raise Violation(f"the hash of entry {entry.number} is not that of its content")

    def _check_record(self, entry: Entry, payouts: Mapping[str, Payout]) -> None:
        """The next thing that happened to its source, as it happened."""
        record = entry.record
        if record.n != self._logged[record.source]:
            raise Violation(f"entry {entry.number} is {record.n} of {record.source}, not the next")
        act = self._store.acts.get(record.source)
        payout = payouts.get(record.source)
        if act is None and (payout is None or record.n >= len(payout.history)):
            raise Violation(f"entry {entry.number} never happened: {record}")
        if act is not None and record != act:
            raise Violation(f"entry {entry.number} is not the act that was noted: {act}")
        if payout is not None and _told(record) != _as_it_was(payout, record.n):
            raise Violation(f"entry {entry.number} is not as it was: {record}", payout.payout_id)

    def _check_waiting(self, payouts: Mapping[str, Payout]) -> None:
        for payout in payouts.values():
            name = payout.payout_id
            left = range(self._logged[name], len(payout.history))
            if not {*left} <= {*payout.outbox}:
                raise Violation(f"an event of {name} will never be in the log", name)
        acts: Collection[Record] = [
            act for act in instantly(self._store.unlogged(EVERYTHING)) if act.is_act
        ]
        lost = self._store.acts.keys() - self._logged.keys() - {act.source for act in acts}
        if lost:
            raise Violation(f"an act will never be in the log: {self._store.acts[min(lost)]}")


def _digest(entry: Entry) -> str:
    record = entry.record
    moment = record.at.astimezone(UTC)
    content = {
        "action": record.action,
        "after": record.after,
        "at": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z",
        "before": record.before,
        "by": record.by,
        "details": record.details,
        "n": record.n,
        "number": entry.number,
        "previous_hash": entry.previous_hash,
        "request_id": record.request_id,
        "source": record.source,
        "subject": record.subject,
        "tenant": record.tenant,
        "txid": record.txid,
        "why": record.why and {"code": record.why.code, "message": record.why.message},
    }
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _told(record: Record) -> tuple[Any, ...]:
    """What an entry says of a payout's event."""
    states = record.before, record.after
    return record.at, record.by, *states, record.why, record.txid, record.request_id, record.subject


def _as_it_was(payout: Payout, n: int) -> tuple[Any, ...]:
    """What the payout says of it."""
    event = payout.history[n]
    states = event.from_status, event.to_status
    return event.at, event.by, *states, event.why, event.txid, event.request_id, payout.payout_id


def _reason(record: Record) -> str:
    return "" if record.why is None else record.why.message
