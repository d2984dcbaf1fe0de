"""Publishing the head: in the metrics always, in the log when it is new and now and then."""

from structlog.testing import capture_logs

from adapters.memory.store import MemoryPayoutStore
from models.audit import GENESIS, linked
from services.audit_head import QUIET_ROUNDS, HeadPublisher
from tests.audit import an_act
from tests.harness import FakeClock, RecordedFigures


async def rounds(publisher: HeadPublisher, count: int = 1) -> list[tuple[int, str, int]]:
    """(number, hash, waiting) of each line that so many rounds log."""
    with capture_logs() as lines:
        for _ in range(count):
            await publisher.run()
    return [(line["number"], line["hash"], line["waiting"]) for line in lines]


async def test_a_new_head_is_logged_and_an_old_one_every_tenth_round() -> None:
    store, figures = MemoryPayoutStore(FakeClock()), RecordedFigures()
    publisher = HeadPublisher(store, figures)
    assert await rounds(publisher) == [(0, GENESIS.hash, 0)]
    (entry,) = linked(GENESIS, [an_act()])
    await store.append_entries([entry])
    assert await rounds(publisher) == [(1, entry.hash, 0)]
    assert await rounds(publisher, QUIET_ROUNDS - 1) == []
    assert await rounds(publisher) == [(1, entry.hash, 0)]
    assert await rounds(publisher, QUIET_ROUNDS) == [(1, entry.hash, 0)]


async def test_the_metrics_show_the_head_and_what_waits() -> None:
    store, figures = MemoryPayoutStore(FakeClock()), RecordedFigures()
    (entry,) = linked(GENESIS, [an_act()])
    await store.append_entries([entry])
    await store.note_act(an_act())
    await HeadPublisher(store, figures).run()
    fingerprint = figures.counts["payout_audit_head_fingerprint"]
    assert figures.counts["payout_audit_head_number"] == 1
    assert figures.counts["payout_audit_waiting"] == 1
    assert f"{int(fingerprint):012x}" == entry.hash[:12]
    assert float(fingerprint) == fingerprint
