"""Lists, the KYC registry, and how often payouts come."""

from collections.abc import Collection, Mapping, Sequence

from pymongo import UpdateOne

from adapters.mongo.client import Document
from adapters.mongo.documents import decode, encode
from adapters.mongo.errors import confirmed
from adapters.mongo.expressions import NOW, Expression, after_now, literal, united
from adapters.mongo.part import StorePart
from models.registry import AddressList, KycRecord, ListEntry, Velocity

_RECIPIENT, _CLIENT = "to_recipient", "by_client"


class Compliance(StorePart):
    """ports.compliance.ComplianceStore.

    The id of a list's entry is "deny:<address>" or "allow:<address>", and that of a KYC record
    its address, so that looking up and paging need no index besides that of ids.
    """

    # lists

    @confirmed
    async def put_listed(
        self, list_name: AddressList, reasons: Mapping[str, str | None], by: str
    ) -> int:
        if not reasons:
            return 0
        puts = [_putting(list_name, address, reason, by) for address, reason in reasons.items()]
        return (await self._lists.bulk_write(puts, ordered=False)).upserted_count

    @confirmed
    async def remove_listed(self, list_name: AddressList, addresses: Collection[str]) -> int:
        ids = [_entry_id(list_name, address) for address in addresses]
        return (await self._lists.delete_many({"_id": {"$in": ids}})).deleted_count

    @confirmed
    async def listed(self, addresses: Collection[str]) -> Sequence[ListEntry]:
        ids = [_entry_id(name, address) for name in AddressList for address in addresses]
        found = self._lists.find({"_id": {"$in": ids}}, sort=[("_id", 1)])
        return [decode(ListEntry, document) async for document in found]

    @confirmed
    async def list_page(
        self, list_name: AddressList, after: str | None, limit: int
    ) -> Sequence[ListEntry]:
        # ";" is the character after ":", so these are the ids of this list and of no other.
        beyond = {"$gt": _entry_id(list_name, after or ""), "$lt": f"{list_name};"}
        found = self._lists.find({"_id": beyond}, sort=[("_id", 1)], limit=limit)
        return [decode(ListEntry, document) async for document in found]

    # KYC registry

    @confirmed
    async def put_kyc(self, record: KycRecord) -> None:
        await self._kyc.replace_one({"_id": record.address}, encode(record), upsert=True)

    @confirmed
    async def remove_kyc(self, address: str) -> bool:
        return (await self._kyc.delete_one({"_id": address})).deleted_count == 1

    @confirmed
    async def kyc_of(self, addresses: Collection[str]) -> Mapping[str, KycRecord]:
        found = self._kyc.find({"_id": {"$in": list(addresses)}})
        return {document["_id"]: decode(KycRecord, document) async for document in found}

    @confirmed
    async def kyc_page(self, after: str | None, limit: int) -> Sequence[KycRecord]:
        beyond = {"_id": {"$gt": after or ""}}
        found = self._kyc.find(beyond, sort=[("_id", 1)], limit=limit)
        return [decode(KycRecord, document) async for document in found]

    # velocity

    @confirmed
    async def velocity(
        self,
        recipient: str,
        client: str,
        tenant: str | None,
        windows: Collection[int],
        up_to: int,
    ) -> Velocity:
        branches = [
            _counting(_RECIPIENT, {"order.recipient_address": recipient}, windows, up_to),
            _counting(_CLIENT, {"client": client, "tenant": tenant}, windows, up_to),
        ]
        found = self._payouts.aggregate(united(self._payouts.name, branches))
        counts = {group.pop("_id"): group async for group in found}
        return Velocity(
            to_recipient=_by_window(counts.get(_RECIPIENT, {}), windows),
            by_client=_by_window(counts.get(_CLIENT, {}), windows),
            recipient_known=_RECIPIENT in counts,
        )


def _entry_id(list_name: AddressList, address: str) -> str:
    return f"{list_name}:{address}"


def _putting(list_name: AddressList, address: str, reason: str | None, by: str) -> UpdateOne:
    """Put an entry, unless there is one with that reason.

    Where there is none, its reason is missing, which is not equal to null.
    """
    is_there: Expression = {"$eq": ["$reason", literal(reason)]}
    entry = {
        "list_name": list_name.value,
        "address": literal(address),
        "reason": literal(reason),
        "by": {"$cond": [is_there, "$by", literal(by)]},
        "at": {"$cond": [is_there, "$at", NOW]},
    }
    return UpdateOne({"_id": _entry_id(list_name, address)}, [{"$set": entry}], upsert=True)


def _counting(
    what: str, owner: Document, windows: Collection[int], up_to: int
) -> Sequence[Document]:
    """Of the newest `up_to` payouts of an owner, how many each window holds; nothing if none is.

    What a smaller count leaves out is older than all that it read, so that it is exact.
    """
    within = {
        _field(seconds): {"$sum": {"$cond": [{"$gte": ["$created_at", after_now(-seconds)]}, 1, 0]}}
        for seconds in windows
    }
    return [
        {"$match": owner},
        {"$sort": {"created_at": -1}},
        {"$limit": up_to},
        {"$group": {"_id": what, **within}},
    ]


def _by_window(counts: Document, windows: Collection[int]) -> Mapping[int, int]:
    return {seconds: counts.get(_field(seconds), 0) for seconds in windows}


def _field(seconds: int) -> str:
    return f"within_{seconds}"
