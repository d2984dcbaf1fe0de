"""Records, histories and whole logs of the audit, made up or drawn."""

from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import strategies as st

from models.audit import ACT_PREFIX, GENESIS, Entry, Record, Story, linked, record_of
from models.errors import Reason
from models.payout import LEGAL_MOVES, Event, PayoutStatus
from tests.factories import LONG_AGO, a_payout_id

_acts = count(1)


def an_act(**overrides: Any) -> Record:
    """Somebody opened a gate."""
    return Record(
        **{
            "source": f"{ACT_PREFIX}{next(_acts):04}",
            "n": 0,
            "at": LONG_AGO,
            "action": "gate:open",
            "subject": "frozen",
            "by": "ADMIN:ada",
            "request_id": "r-1",
            "before": "closed",
            "after": "open",
            "why": Reason(None, "looked at by hand"),
        }
        | overrides
    )


def history_of(*path: PayoutStatus, **overrides: Any) -> tuple[Event, ...]:
    """The events of a payout that went this way, a second apart."""
    before = [None, *path]
    return tuple(
        Event(
            **{
                "at": LONG_AGO + timedelta(seconds=n),
                "by": "SERVICE:platform" if n == 0 else "settler",
                "from_status": came_from,
                "to_status": to,
                "why": None,
            }
            | overrides
        )
        for n, (came_from, to) in enumerate(zip(before, path, strict=False))
    )


def a_story(*path: PayoutStatus, payout_id: str | None = None, **overrides: Any) -> Story:
    """A payout that went this way; one that was paid, unless told otherwise."""
    way = path or (PayoutStatus.PENDING, PayoutStatus.PROCESSING, PayoutStatus.COMPLETED)
    return Story(
        **{
            "payout_id": payout_id or a_payout_id(),
            "tenant": None,
            "details": "12.50 USDT to T…",
            "history": history_of(*way),
        }
        | overrides
    )


def records_of(*stories: Story) -> list[Record]:
    """All that these payouts say, one after the other."""
    return [record_of(story, n) for story in stories for n in range(len(story.history))]


def a_log(*records: Record) -> list[Entry]:
    """These records from the first entry on; a payout that was paid and an act by default."""
    return [*linked(GENESIS, records or [*records_of(a_story()), an_act()])]


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
MAYBE = st.none() | TEXT


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A payout that went some legal way."""
    path = [PayoutStatus.PENDING]
    for _ in range(draw(st.integers(0, 4))):
        moves = sorted(LEGAL_MOVES[path[-1]])
        if not moves:
            break
        path.append(draw(st.sampled_from(moves)))
    history = tuple(
        Event(
            at=event.at,
            by=draw(TEXT),
            from_status=event.from_status,
            to_status=event.to_status,
            why=draw(st.none() | st.builds(Reason, MAYBE, TEXT)),
            txid=draw(MAYBE),
            request_id=draw(MAYBE),
        )
        for event in history_of(*path)
    )
    return a_story(history=history, tenant=draw(MAYBE), details=draw(TEXT))


@st.composite
def logs(draw: st.DrawFn, min_size: int = 1) -> list[Entry]:
    """A log of some payouts and acts, whose records came in some order of their own."""
    told = draw(st.lists(stories(), max_size=3))
    waiting = [records_of(story) for story in told]
    waiting += [[an_act(subject=draw(TEXT))] for _ in range(draw(st.integers(min_size, 3)))]
    mixed: list[Record] = []
    while waiting:
        source = draw(st.sampled_from(range(len(waiting))))
        mixed.append(waiting[source].pop(0))
        waiting = [records for records in waiting if records]
    return a_log(*mixed)
