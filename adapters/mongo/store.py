"""The payout store in MongoDB: its parts, and the check that the server can carry it."""

from datetime import datetime

import pymongo

from adapters.mongo.audit import Audit
from adapters.mongo.client import Document
from adapters.mongo.compliance import Compliance
from adapters.mongo.dispatch import Dispatch
from adapters.mongo.errors import confirmed, store_errors
from adapters.mongo.expressions import NOW
from adapters.mongo.figures import Figures
from adapters.mongo.indexes import ensure_indexes
from adapters.mongo.limits import Limits
from adapters.mongo.marks import Marks
from adapters.mongo.payouts import Payouts
from adapters.mongo.settlement import Settlement
from adapters.mongo.times import Times
from adapters.mongo.unexplained import UnexplainedTransfers
from ports.store import StoreError, UnfitStoreError

OLDEST_SERVER = (5, 0)
INDEX_SECONDS = 600
"""How long new indexes over an old collection may take."""


class MongoPayoutStore(
    Payouts,
    Dispatch,
    Settlement,
    UnexplainedTransfers,
    Limits,
    Marks,
    Times,
    Compliance,
    Figures,
    Audit,
):
    """ports.store.PayoutStore over a database of `adapters.mongo.client.majority_database`."""

    async def prepare(self) -> None:
        await self._check_server()
        with store_errors(), pymongo.timeout(INDEX_SECONDS):
            await ensure_indexes(self._database)

    @confirmed
    async def _check_server(self) -> None:
        """Raise UnfitStoreError unless it is a replica set, new enough, whose majority writes."""
        hello = await self._hello()
        if not hello.get("setName"):
            raise UnfitStoreError(
                "MONGODB_URL leads to a MongoDB that is not a replica set, so no write of it is "
                "safe from a fail-over. One node is enough: start mongod with --replSet rs0, run "
                "rs.initiate() once, and set MONGODB_URL to mongodb://HOST:PORT/payout_router"
                "?replicaSet=rs0"
            )
        version = (await self._database.client.admin.command("buildInfo"))["versionArray"]
        if tuple(version[:2]) < OLDEST_SERVER:
            raise UnfitStoreError(
                f"MONGODB_URL leads to MongoDB {'.'.join(map(str, version[:3]))}; "
                f"{'.'.join(map(str, OLDEST_SERVER))} or newer is needed"
            )
        await self._beat()

    @confirmed
    async def ping(self) -> None:
        if not (await self._hello()).get("isWritablePrimary"):
            raise StoreError("MongoDB has no writable primary")
        await self._beat()

    @confirmed
    async def now(self) -> datetime:
        now: datetime = (await self._hello())["localTime"]
        return now

    async def _hello(self) -> Document:
        # A command does not take the client's codec (time zones) by itself.
        codec = self._database.codec_options
        return await self._database.client.admin.command("hello", codec_options=codec)

    async def _beat(self) -> None:
        """Write something that a majority must journal: only that proves that it can."""
        await self._marks.update_one(
            {"_id": "heartbeat"}, [{"$set": {"kind": "heartbeat", "at": NOW}}], upsert=True
        )
