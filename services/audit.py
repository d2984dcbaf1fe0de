"""Reading the audit log: lists, verification, exports. To read it is an act that it keeps."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from models.audit import GENESIS, Entry, Head, Story, lost_of, moment_text
from models.audit_check import Fault, FaultKind, contradiction, verify
from models.caller import Caller
from models.errors import PayoutError
from ports.audit import AuditLog, AuditQuery, UnreadableEntryError
from services.acts import Acts
from services.audit_export import PAGE, entry_line, story_line


@dataclass(frozen=True, slots=True)
class Report:
    """What verifying some entries found: they go on from `start` and are whole up to `head`.

    `log_head` is where the log ended then. `fault` is the first thing found: in the entry right
    after `head`, in one that cannot be read at all, or, where the chain is whole, in what the
    payouts' own histories say of these entries.
    """

    start: Head
    head: Head
    log_head: Head
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class LogStanding:
    """Where the log ends, and how many acts and payouts wait for it."""

    head: Head
    waiting: int


class Audit:
    """What the edge can ask of the log."""

    def __init__(self, log: AuditLog, acts: Acts) -> None:
        self._log = log
        self._acts = acts

    async def standing(self) -> LogStanding:
        """How the log stands. Raises StoreError."""
        return LogStanding(await self._log.audit_head(), await self._log.count_unlogged())

    async def list(self, caller: Caller, query: AuditQuery, limit: int) -> Sequence[Entry]:
        """A page of entries, newest first. Raises StoreError."""
        await self._note(caller, "list", _filters(query))
        return await self._log.list_entries(query, limit)

    async def verify(self, caller: Caller, after: int, limit: int) -> Report:
        """Verify up to `limit` entries that follow one; go on with `after` = `head.number`.

        Raises PayoutError P003 where `after` is not in the log, StoreError.
        """
        await self._note(caller, "verify", {"after": after, "limit": limit})
        start = await self._start(after)
        try:
            entries = await self._log.entries_after(after, limit)
        except UnreadableEntryError as error:
            fault = Fault(error.number, FaultKind.CHANGED, "it is not as the service writes it")
            return Report(start, start, await self._log.audit_head(), fault)
        verdict = verify(entries, start)
        return Report(
            start=start,
            head=verdict.head,
            log_head=await self._log.audit_head(),
            fault=verdict.fault or await self._contradiction(entries),
        )

    async def export(
        self, caller: Caller, after: int, limit: int, *, histories: bool
    ) -> AsyncIterator[str]:
        """Up to `limit` entries that follow one, as lines, a page at a time; with `histories`, each
        page is followed by what its payouts say of their past.

        Raises PayoutError P003 where `after` is not in the log, StoreError.
        """
        wanted = {"after": after, "limit": limit, "histories": histories}
        await self._note(caller, "export", wanted)
        await self._start(after)
        return self._pages(after, limit, histories)

    async def _pages(self, after: int, limit: int, histories: bool) -> AsyncIterator[str]:
        while limit > 0:
            entries = await self._log.entries_after(after, min(PAGE, limit))
            if not entries:
                return
            lines = [entry_line(entry) for entry in entries]
            if histories:
                stories = await self._stories(entries)
                lines += [story_line(story) for story in stories.values()]
            yield "".join(f"{line}\n" for line in lines)
            after, limit = entries[-1].number, limit - len(entries)

    async def _start(self, after: int) -> Head:
        if after == 0:
            return GENESIS
        entry = await self._log.audit_entry(after)
        if entry is None:
            raise PayoutError("P003", f"the log has no entry {after}", field="after")
        return entry.head

    async def _stories(self, entries: Sequence[Entry]) -> Mapping[str, Story]:
        """What the payouts of these entries say; of one that is gone, nothing happened to it."""
        records = [entry.record for entry in entries]
        sources = dict.fromkeys(record.source for record in records if not record.is_act)
        found = await self._log.stories(sources)
        return {source: found.get(source, Story(source, None, "", ())) for source in sources}

    async def _contradiction(self, entries: Sequence[Entry]) -> Fault | None:
        """The first fault that the payouts' own histories show in these entries."""
        # In this order: what the log got in between is not missed.
        stories = await self._stories(entries)
        logged = await self._log.logged(stories) if stories else ()
        numbers: dict[str, set[int]] = defaultdict(set)
        for source, n in logged:
            numbers[source].add(n)
        of_source: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            of_source[entry.record.source].append(entry)
        faults = (
            _fault_of(story, of_source[source], numbers[source])
            for source, story in stories.items()
        )
        found = [fault for fault in faults if fault is not None]
        return min(found, key=lambda fault: fault.number, default=None)

    async def _note(self, caller: Caller, what: str, wanted: Mapping[str, object]) -> None:
        caller.require("audit:view")
        text = " ".join(f"{name}={value}" for name, value in wanted.items())
        await self._acts.note(caller, "audit:view", what, after=text)


def _fault_of(story: Story, entries: Sequence[Entry], logged: set[int]) -> Fault | None:
    fault, lost = contradiction(story, entries), lost_of(story, logged)
    if fault is not None or lost is None:
        return fault
    text = f"event {lost} of {story.payout_id} is not in the log"
    return Fault(entries[-1].number, FaultKind.MISSING, text)


def _filters(query: AuditQuery) -> Mapping[str, object]:
    wanted = {name: value for name, value in asdict(query).items() if value is not None}
    return {
        name: moment_text(value) if isinstance(value, datetime) else value
        for name, value in wanted.items()
    }
