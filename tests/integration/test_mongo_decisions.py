"""What decisions read from MongoDB: by one command each, over indexes, and within bounds."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from pymongo import WriteConcern
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from adapters.mongo.client import Database, Document, majority_database, open_client
from adapters.mongo.compliance import Compliance
from adapters.mongo.dispatch import Dispatch
from adapters.mongo.documents import payout_document
from adapters.mongo.figures import Figures
from adapters.mongo.indexes import ensure_indexes
from models.order import RouteName
from models.payout import PayoutStatus
from models.registry import AddressList, KycRecord
from ports.store import StoreError
from tests.databases import fresh_database
from tests.factories import LONG_AGO, OWNER, RECIPIENT, a_payout

DENY = AddressList.DENY
KYC = KycRecord(RECIPIENT, 1, LONG_AGO, LONG_AGO + timedelta(days=180))
OPEN = (PayoutStatus.PENDING, PayoutStatus.PROCESSING)
ENDED = (PayoutStatus.COMPLETED, PayoutStatus.FAILED)
EACH_KIND = 20
"""So many payouts per route and status: half of them of now, the others old."""

UP_TO, SAMPLE = 30, 5
FIGURE_KEYS = len(RouteName) * (len(OPEN) * EACH_KIND + len(ENDED) * EACH_KIND // 2 + SAMPLE)
FIGURE_DOCUMENTS = len(RouteName) * (len(ENDED) * EACH_KIND // 2 + SAMPLE)
BRANCHES = len(RouteName) * 5

LAST = a_payout(created_at=LONG_AGO - timedelta(days=1))
"""The last one of a page before the first that there are."""

Call = Callable[[Database], Awaitable[object]]


@dataclass(frozen=True)
class Read:
    """A call, the indexes that serve it, and how many keys and documents it may look at."""

    call: Call
    indexes: Set[str]
    keys: int
    documents: int


READS: dict[str, Read] = {
    "listed": Read(
        lambda database: Compliance(database).listed([RECIPIENT, OWNER]),
        indexes={"_id_"},
        keys=8,
        documents=2,
    ),
    "list_page": Read(
        lambda database: Compliance(database).list_page(DENY, None, 10),
        indexes={"_id_"},
        keys=11,
        documents=10,
    ),
    "kyc_of": Read(
        lambda database: Compliance(database).kyc_of([RECIPIENT, OWNER]),
        indexes={"_id_"},
        keys=4,
        documents=2,
    ),
    "kyc_page": Read(
        lambda database: Compliance(database).kyc_page(None, 10),
        indexes={"_id_"},
        keys=11,
        documents=10,
    ),
    "velocity": Read(
        lambda database: Compliance(database).velocity(RECIPIENT, "c", "t", [600, 3600], UP_TO),
        indexes={"recipient_by_time", "owner_by_time"},
        keys=2 * UP_TO,
        documents=0,
    ),
    "velocity without tenant": Read(
        lambda database: Compliance(database).velocity(RECIPIENT, "c", None, [600, 3600], UP_TO),
        indexes={"recipient_by_time", "owner_by_time"},
        keys=2 * UP_TO + 2,
        documents=UP_TO,  # an index does not tell null from missing
    ),
    "route_figures": Read(
        lambda database: Figures(database).route_figures(3_600, SAMPLE),
        indexes={"route_by_status"},
        keys=FIGURE_KEYS + BRANCHES,
        documents=FIGURE_DOCUMENTS,
    ),
    "waiting_on": Read(
        lambda database: Dispatch(database).waiting_on(RouteName.KYC, 60, None, 10 * EACH_KIND),
        indexes={"pending_by_route"},
        keys=EACH_KIND // 2 + 1,
        documents=EACH_KIND // 2,
    ),
    "waiting_on, a further page": Read(
        lambda database: Dispatch(database).waiting_on(RouteName.KYC, 60, LAST, 10 * EACH_KIND),
        indexes={"pending_by_route"},
        keys=EACH_KIND // 2 + 1,
        documents=EACH_KIND // 2,
    ),
}
WRITES: dict[str, Call] = {
    "put_listed": lambda database: Compliance(database).put_listed(DENY, {OWNER: None}, "ann"),
    "remove_listed": lambda database: Compliance(database).remove_listed(DENY, [OWNER]),
    "put_kyc": lambda database: Compliance(database).put_kyc(KYC),
    "remove_kyc": lambda database: Compliance(database).remove_kyc(RECIPIENT),
}


class Commands(CommandListener):
    """Keeps the commands that were sent."""

    def __init__(self) -> None:
        self.sent: list[Document] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
async def database(mongodb_url: str, commands: Commands) -> AsyncIterator[Database]:
    """Payouts of two clients to one recipient over all routes, and an address in each list."""
    async with fresh_database(mongodb_url, [commands]) as database:
        await ensure_indexes(database)
        now = (await database.client.admin.command("hello"))["localTime"]
        kinds = product(RouteName, PayoutStatus, range(EACH_KIND))
        await database["payouts"].insert_many(
            [a_document(route, status, number, now) for route, status, number in kinds]
        )
        for name in ("put_listed", "put_kyc"):
            await WRITES[name](database)
        yield database


def a_document(route: RouteName, status: PayoutStatus, number: int, now: datetime) -> Document:
    """A payout of a client with or without a tenant, of now or old."""
    moment = now if number % 4 < 2 else LONG_AGO
    payout = a_payout(
        client="c",
        tenant="t" if number % 2 else None,
        status=status,
        created_at=moment,
        updated_at=moment,
    )
    return payout_document(payout) | {"route": route.value}


def plan_of(explanation: Any) -> Iterator[tuple[str, Any]]:
    """Every named part of an explained command, however deep, but for plans not chosen."""
    if isinstance(explanation, dict):
        for name, part in explanation.items():
            if name != "rejectedPlans":
                yield name, part
                yield from plan_of(part)
    elif isinstance(explanation, list):
        for part in explanation:
            yield from plan_of(part)


async def explained(database: Database, command: Document) -> list[tuple[str, Any]]:
    """What the server says of a command that a client sent."""
    asked = {
        name: part
        for name, part in command.items()
        if not name.startswith("$") and name not in ("lsid", "txnNumber", "readConcern")
    }
    answer = await database.command("explain", asked, verbosity="executionStats")
    return [*plan_of(answer)]


def examined(plan: list[tuple[str, Any]], what: str) -> int:
    """How many keys or documents the command's queries looked at."""
    return sum(part[f"total{what}Examined"] for name, part in plan if name == "executionStats")


@pytest.mark.parametrize("name", READS)
async def test_a_decision_reads_by_one_command_over_indexes(
    database: Database, commands: Commands, name: str
) -> None:
    read = READS[name]
    commands.sent.clear()
    await read.call(database)
    (command,) = commands.sent
    plan = await explained(database, command)
    assert ("stage", "COLLSCAN") not in plan
    assert {value for part, value in plan if part == "indexName"} == read.indexes
    assert 0 < examined(plan, "Keys") <= read.keys
    assert examined(plan, "Docs") <= read.documents


@pytest.mark.parametrize("name", [*READS, *WRITES])
async def test_nothing_is_believed_that_no_server_confirms(name: str) -> None:
    client = open_client("mongodb://127.0.0.1:1/?replicaSet=rs0", timeout_seconds=0.2)
    call = WRITES.get(name) or READS[name].call
    with pytest.raises(StoreError):
        await call(majority_database(client, "nowhere"))
    client.close()


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_that_no_majority_confirms_is_unknown(database: Database, name: str) -> None:
    unconfirmed = database.with_options(write_concern=WriteConcern(w=2, wtimeout=100))
    with pytest.raises(StoreError):
        await WRITES[name](unconfirmed)
    await WRITES[name](database)
