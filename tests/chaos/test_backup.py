"""A copy of the database from before some payouts were paid, restored with a real mongod."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from devnet.embedded import Mongod
from devnet.process import HOST
from tests.e2e.kit import (
    Service,
    World,
    asked,
    at_once,
    completed,
    create,
    everything,
    look_at,
    order,
    until,
)


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    """The database that will be lost."""
    with Mongod(tmp_path / "lost") as mongod:
        yield mongod


def accepted(service: Service, count: int) -> list[dict[str, Any]]:
    """So many new payouts."""
    with service.api() as api:
        return at_once(lambda body: create(api, body), [order() for _ in range(count)], 8)


def paid(service: Service, payouts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The payouts, once they are completed."""
    with service.api() as api:
        return completed(api, payouts)


def all_processing(service: Service, payouts: Sequence[dict[str, Any]]) -> None:
    """Wait until each of them is under way."""
    with service.api() as api:
        until(lambda: {look_at(api, one)["status"] for one in payouts} == {"processing"})


def copy_of(mongod: Mongod, folder: Path) -> Path:
    """The files of a database, copied while it is down."""
    mongod.stop()
    shutil.copytree(mongod.log.parent, folder)
    mongod.start()
    return folder


def open_txids(api: httpx.Client) -> set[str]:
    """The transfers that nobody has explained yet."""
    answer = api.get("/unexplained?limit=200")
    assert answer.status_code == 200, answer.text
    return {one["txid"] for one in answer.json()["items"]}


def explain(api: httpx.Client, txid: str, payout_id: str | None) -> httpx.Response:
    """Say which payout a transfer paid, or that it is known."""
    body = {"payout_id": payout_id, "note": "paid after the backup was taken"}
    return api.post(f"/unexplained/{txid}/explain", json=body)


def closed_by(api: httpx.Client) -> set[str]:
    """Why nothing is paid now."""
    return {one["name"] for one in api.get("/admin/status").json()["dispatch_closed_by"]}


def test_a_restored_backup_pays_nothing_twice(tmp_path: Path, mongod: Mongod) -> None:
    with World(tmp_path / "world", mongod.url) as world:
        before = world.service("before")
        before.start()
        until(before.is_healthy, lambda: before.health().text)
        # In the backup: some whose transfer is in no solid block yet, and some that wait.
        world.control("POST", "faults", kind="solid_stall")
        flying = accepted(before, 6)
        all_processing(before, flying)
        world.devnet.stop()
        waiting = accepted(before, 4)
        before.kill()
        backup = copy_of(mongod, tmp_path / "restored")
        # After the backup all of them are paid, and some of which it knows nothing.
        world.devnet.start()
        before.start()
        paid(before, flying)
        txids = {one["payout_id"]: one["txid"] for one in paid(before, waiting)}
        forgotten = [one["txid"] for one in paid(before, accepted(before, 3))]
        before.stop()
        transfers = sorted(world.transfers())
        assert len(transfers) == 13
        mongod.kill()

        with Mongod(backup) as restored:
            host = restored.port
            url = world.mongodb_url._replace(
                netloc=world.mongodb_url.netloc.replace(f"{HOST}:{mongod.port}", f"{HOST}:{host}")
            )
            after = world.service("after", MONGODB_URL=url.geturl(), QUARANTINE="true")
            after.start()
            paid(after, flying)
            with after.api("ADMIN") as api:
                unexplained = {*txids.values(), *forgotten}
                until(lambda: open_txids(api) == unexplained, lambda: open_txids(api))
                until(lambda: closed_by(api) == {"unexplained"}, lambda: closed_by(api))
                assert {look_at(api, one)["status"] for one in waiting} == {"pending"}
                # A transfer can't be tied to a payout that it did not pay.
                one, other = (payout["payout_id"] for payout in waiting[:2])
                wrong = explain(api, txids[one], other)
                assert (wrong.status_code, wrong.json()["code"]) == (409, "P500")
                for payout_id, txid in txids.items():
                    assert explain(api, txid, payout_id).status_code == 200
                assert {look_at(api, one)["status"] for one in waiting} == {"completed"}
                for txid in forgotten:
                    assert explain(api, txid, None).status_code == 200
                assert open_txids(api) == set()
                until(lambda: closed_by(api) == set(), lambda: closed_by(api))
                assert sorted(world.transfers()) == transfers
                new = paid(after, accepted(after, 2))
                known = everything(api)
            assert Counter(one["status"] for one in known) == {"completed": 12}
            assert sorted(world.transfers()) == sorted([*transfers, *asked(new)])
            after.stop()
