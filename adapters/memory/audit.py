"""The audit log in memory: the same semantics as in MongoDB."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from models.audit import GENESIS, Entry, Head, Record, Story, story_of, unlogged_of
from models.payout import Payout
from ports.audit import AuditQuery


class MemoryAuditLog:
    """The audit part of the store in memory: the outbox of acts, and the log with its archive."""

    def __init__(self, payouts: dict[str, Payout], now: Callable[[], datetime]) -> None:
        """`payouts` are the store's, by id; `now` is its clock."""
        self._payouts = payouts
        self._clock = now
        self._acts: dict[str, Record] = {}
        self._entries: dict[int, Entry] = {}
        self._keys: set[tuple[str, int]] = set()
        self._archived = 0

    # outboxes

    async def note_act(self, act: Record) -> None:
        self._acts.setdefault(act.source, act)

    async def unlogged(self, limit: int) -> Sequence[Record]:
        acts = sorted(self._acts.values(), key=lambda act: (act.at, act.source))
        waiting = [payout for payout in self._payouts.values() if payout.outbox]
        # As the index of the other adapter has them.
        waiting.sort(key=lambda payout: min(payout.outbox))
        of_payouts = [unlogged_of(story_of(payout)) for payout in waiting[:limit]]
        return [*acts[:limit], *(record for records in of_payouts for record in records)]

    async def count_unlogged(self) -> int:
        return len(self._acts) + sum(bool(payout.outbox) for payout in self._payouts.values())

    async def forget_logged(self, records: Sequence[Record]) -> None:
        for record in records:
            self._acts.pop(record.source, None)
            payout = self._payouts.get(record.source)
            if payout is not None:
                left = tuple(n for n in payout.outbox if n != record.n)
                self._payouts[payout.payout_id] = replace(payout, outbox=left)

    # the log

    async def audit_head(self) -> Head:
        return self._entries[max(self._entries)].head if self._entries else GENESIS

    async def append_entries(self, entries: Sequence[Entry]) -> bool:
        for entry in entries:
            if entry.number in self._entries or entry.record.key in self._keys:
                return False
            self._entries[entry.number] = entry
            self._keys.add(entry.record.key)
        return True

    async def logged(self, sources: Collection[str]) -> Collection[tuple[str, int]]:
        return {key for key in self._keys if key[0] in sources}

    async def archive_entries(self, older_than_seconds: float, limit: int) -> int:
        moved = 0
        cutoff = self._clock() - timedelta(seconds=older_than_seconds)
        for number in range(self._archived + 1, max(self._entries, default=0)):
            if moved == limit or self._entries[number].record.at > cutoff:
                break
            moved += 1
        self._archived += moved
        return moved

    # reading

    async def audit_entry(self, number: int) -> Entry | None:
        return self._entries.get(number)

    async def list_entries(self, query: AuditQuery, limit: int) -> Sequence[Entry]:
        newest_first = (self._entries[number] for number in sorted(self._entries, reverse=True))
        return [*islice((entry for entry in newest_first if _fits(query, entry)), limit)]

    async def entries_after(self, number: int, limit: int) -> Sequence[Entry]:
        numbers = sorted(each for each in self._entries if each > number)
        return [self._entries[each] for each in numbers[:limit]]

    async def stories(self, payout_ids: Collection[str]) -> Mapping[str, Story]:
        found = (self._payouts.get(payout_id) for payout_id in payout_ids)
        return {each.payout_id: story_of(each) for each in found if each is not None}


def _fits(query: AuditQuery, entry: Entry) -> bool:
    record = entry.record
    equal = (
        (query.subject, record.subject),
        (query.action, record.action),
        (query.by, record.by),
        (query.request_id, record.request_id),
    )
    return (
        all(wanted is None or wanted == found for wanted, found in equal)
        and (query.at_from is None or query.at_from <= record.at)
        and (query.at_to is None or record.at < query.at_to)
        and (query.before is None or entry.number < query.before)
    )
