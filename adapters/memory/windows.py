"""Limit windows in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from models.limits import Used
from models.spending import SpendWindow


@dataclass(slots=True)
class _Entry:
    amount: int
    at: datetime


@dataclass(slots=True)
class _Held:
    used: Used = field(default_factory=Used)
    entries: dict[str, _Entry] = field(default_factory=dict)


class LimitWindows:
    """What each window holds, and the payouts in flight that hold it."""

    def __init__(self) -> None:
        self._windows: dict[str, _Held] = {}

    def reserve(self, window: SpendWindow, payout_id: str, amount: int, now: datetime) -> bool:
        """Add an entry, or renew the one that is there; whether one is there now."""
        held = self._windows.setdefault(window.window_id, _Held())
        if payout_id not in held.entries and window.takes(held.used, amount):
            held.used = Used(held.used.amount + amount, held.used.count + 1)
            held.entries[payout_id] = _Entry(amount, now)
        if payout_id in held.entries:
            held.entries[payout_id].at = now
        return payout_id in held.entries

    def used(self, window_id: str) -> Used:
        """What a window holds."""
        return self._windows.get(window_id, _Held()).used

    def release(self, window_id: str, payout_id: str, until: datetime | None) -> None:
        """Take an entry and its amount out, unless it is younger than `until`."""
        held = self._windows.get(window_id, _Held())
        if until is not None and payout_id in held.entries and held.entries[payout_id].at > until:
            return
        entry = held.entries.pop(payout_id, None)
        if entry is not None:
            held.used = Used(held.used.amount - entry.amount, held.used.count - 1)

    def keep(self, window_id: str, payout_ids: Sequence[str]) -> None:
        """Forget entries but keep what they count for."""
        held = self._windows.get(window_id, _Held())
        for payout_id in payout_ids:
            held.entries.pop(payout_id, None)

    def entries_until(self, moment: datetime) -> Iterator[tuple[str, str]]:
        """(window id, payout id) of the entries made at that moment or before."""
        for window_id, held in self._windows.items():
            for payout_id, entry in held.entries.items():
                if entry.at <= moment:
                    yield window_id, payout_id
