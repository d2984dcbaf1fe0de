"""The audit log: the outboxes, the log that the sequencer writes, and its archive."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

import structlog
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from adapters.mongo.client import Document
from adapters.mongo.documents import Kind, decode, encode
from adapters.mongo.errors import confirmed, only_duplicates
from adapters.mongo.expressions import after_now
from adapters.mongo.part import StorePart
from models.audit import GENESIS, Entry, Head, Record, Story, details_of, unlogged_of
from models.payout import Event
from ports.audit import AuditQuery, UnreadableEntryError
from ports.store import StoreError

log = structlog.get_logger(__name__)

_UNLOGGED: Document = {"kind": Kind.PAYOUT, "outbox": {"$gte": 0}}
_STORY: Document = {
    "tenant": 1,
    "order.amount": 1,
    "order.currency": 1,
    "order.recipient_address": 1,
    "history": 1,
    "outbox": 1,
}
_NUMBERED: Document = {"_id": {"$gt": 0}}
_UNFIT = (KeyError, TypeError, ValueError, IndexError, AttributeError)
"""What a document that somebody changed by hand makes the decoder raise."""


class Audit(StorePart):
    """What the sequencer, and whoever reads the log, ask of the store."""

    # outboxes

    @confirmed
    async def note_act(self, act: Record) -> None:
        document: Document = encode(act)
        try:
            await self._acts.insert_one({"_id": document.pop("source"), **document})
        except DuplicateKeyError:
            return

    @confirmed
    async def unlogged(self, limit: int) -> Sequence[Record]:
        acts: list[Document] = [{"$sort": {"at": 1, "_id": 1}}, {"$limit": limit}]
        stages: list[Document] = [
            {"$match": _UNLOGGED},
            {"$limit": limit},
            {"$project": _STORY},
            {"$unionWith": {"coll": self._acts.name, "pipeline": acts}},
        ]
        found = [
            document async for document in self._payouts.aggregate(stages, batchSize=2 * limit)
        ]
        found.sort(key=lambda document: "history" in document)  # acts first
        return [record for document in found for record in _records_of(document)]

    @confirmed
    async def count_unlogged(self) -> int:
        acts = await self._acts.count_documents({})
        return acts + await self._payouts.count_documents(_UNLOGGED)

    @confirmed
    async def forget_logged(self, records: Sequence[Record]) -> None:
        acts = [record.source for record in records if record.is_act]
        numbers: dict[str, list[int]] = defaultdict(list)
        for record in records:
            if not record.is_act:
                numbers[record.source].append(record.n)
        if numbers:
            pulls = [
                UpdateOne({"_id": payout_id}, {"$pullAll": {"outbox": logged}})
                for payout_id, logged in numbers.items()
            ]
            await self._payouts.bulk_write(pulls, ordered=False)
        if acts:
            await self._acts.delete_many({"_id": {"$in": acts}})

    # the log

    @confirmed
    async def audit_head(self) -> Head:
        last = await self._spanning(_NUMBERED, limit=1, newest_first=True)
        return _entry_of(last[0]).head if last else GENESIS

    @confirmed
    async def append_entries(self, entries: Sequence[Entry]) -> bool:
        try:
            await self._log.insert_many([_document_of(entry) for entry in entries], ordered=True)
        except BulkWriteError as error:
            if only_duplicates(error):
                return False
            raise
        return True

    @confirmed
    async def logged(self, sources: Collection[str]) -> Collection[tuple[str, int]]:
        keys: list[Document] = [
            {"$match": {"source": {"$in": list(sources)}, "n": {"$gte": 0}}},
            {"$project": {"source": 1, "n": 1}},
        ]
        both = [*keys, {"$unionWith": {"coll": self._archive.name, "pipeline": keys}}]
        return {(each["source"], each["n"]) async for each in self._log.aggregate(both)}

    @confirmed
    async def archive_entries(self, older_than_seconds: float, limit: int) -> int:
        stages: list[Document] = [
            {"$sort": {"_id": 1}},
            {"$limit": limit + 1},
            {"$project": {"hash": 1, "old": {"$lte": ["$at", after_now(-older_than_seconds)]}}},
        ]
        first = await self._log.aggregate(stages).to_list(limit + 1)
        # All but the last one that was found, which may be the last one that there is.
        old = takewhile(lambda entry: entry["old"], first[:-1])
        moving = {entry["_id"]: entry["hash"] for entry in old}
        if moving:
            await self._move(moving)
        return len(moving)

    async def _move(self, hashes: Mapping[int, str]) -> None:
        """Copy, look at the copies, and only then delete."""
        these: Document = {"_id": {"$in": list(hashes)}}
        keep = {"into": self._archive.name, "on": "_id", "whenMatched": "keepExisting"}
        await self._log.aggregate([{"$match": these}, {"$merge": keep}]).to_list(None)
        found = self._archive.find(these, {"hash": 1})
        copies = {copy["_id"]: copy["hash"] async for copy in found}
        if copies != hashes:
            raise StoreError("the archive of the audit log has other entries of these numbers")
        await self._log.delete_many(these)

    # reading

    @confirmed
    async def audit_entry(self, number: int) -> Entry | None:
        found = await self._spanning({"_id": number}, limit=1)
        return _entry_of(found[0]) if found else None

    @confirmed
    async def list_entries(self, query: AuditQuery, limit: int) -> Sequence[Entry]:
        found = await self._spanning(_filter(query), limit, newest_first=True)
        return [_entry_of(document) for document in found]

    @confirmed
    async def entries_after(self, number: int, limit: int) -> Sequence[Entry]:
        found = await self._spanning({"_id": {"$gt": number}}, limit)
        return [_entry_of(document) for document in found]

    @confirmed
    async def stories(self, payout_ids: Collection[str]) -> Mapping[str, Story]:
        wanted = {"_id": {"$in": list(payout_ids)}, "kind": Kind.PAYOUT}
        stories: dict[str, Story] = {}
        async for document in self._payouts.find(wanted, _STORY):
            try:
                stories[document["_id"]] = _story_of(document)
            except _UNFIT as error:
                log.error("history cannot be read", source=document["_id"], error=repr(error))
        return stories

    async def _spanning(
        self, wanted: Document, limit: int, *, newest_first: bool = False
    ) -> Sequence[Document]:
        """Documents of log and archive by number. An entry that is on its way is in both."""
        order = -1 if newest_first else 1
        page: list[Document] = [{"$match": wanted}, {"$sort": {"_id": order}}, {"$limit": limit}]
        both = [*page, {"$unionWith": {"coll": self._archive.name, "pipeline": page}}]
        found = {document["_id"]: document async for document in self._log.aggregate(both)}
        return [found[number] for number in sorted(found, reverse=newest_first)[:limit]]


def _filter(query: AuditQuery) -> Document:
    equal = {
        "subject": query.subject,
        "action": query.action,
        "by": query.by,
        "request_id": query.request_id,
    }
    compared: dict[str, dict[str, Any]] = {
        "at": {"$gte": query.at_from, "$lt": query.at_to},
        "_id": {"$gt": 0, "$lt": query.before},
    }
    wanted: Document = {path: {"$eq": value} for path, value in equal.items() if value is not None}
    for path, bounds in compared.items():
        set_bounds = {operator: bound for operator, bound in bounds.items() if bound is not None}
        if set_bounds:
            wanted[path] = set_bounds
    return wanted


def _document_of(entry: Entry) -> Document:
    record: Document = encode(entry.record)
    return {
        "_id": entry.number,
        **record,
        "previous_hash": entry.previous_hash,
        "hash": entry.hash,
    }


def _entry_of(document: Document) -> Entry:
    """Raises UnreadableEntryError."""
    number = document["_id"]
    try:
        if not isinstance(document["at"], datetime):
            raise TypeError("at is no time")
        record = decode(Record, document)
        return Entry(number, record, document["previous_hash"], document["hash"])
    except _UNFIT as error:
        raise UnreadableEntryError(number) from error


def _records_of(document: Document) -> Sequence[Record]:
    """What waits in an act's or a payout's document; nothing where it cannot be read."""
    try:
        if "history" in document:
            return unlogged_of(_story_of(document))
        return [decode(Record, {**document, "source": document["_id"]})]
    except _UNFIT as error:
        log.error("outbox cannot be read", source=document["_id"], error=repr(error))
        return []


def _story_of(document: Document) -> Story:
    order = document["order"]
    return Story(
        payout_id=document["_id"],
        tenant=document.get("tenant"),
        details=details_of(order["amount"], order["currency"], order["recipient_address"]),
        history=tuple(decode(Event, event) for event in document["history"]),
        outbox=tuple(document.get("outbox", ())),
    )
