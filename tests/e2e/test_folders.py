"""What the service keeps in folders: a file that is paid, the log, and what tells a restored
database from the real one."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pymongo
import pytest

from tests.e2e.kit import (
    Service,
    World,
    asked,
    completed,
    create,
    everything,
    order,
    run_to_its_end,
    spilled,
    token,
    until,
)

Documents = Mapping[str, list[dict[str, Any]]]


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """Every folder that the service can have, by variable."""
    names = ("LOG_DIR", "PAYMENT_SYSTEMS_DIR", "PAYOUTS_DIR", "BATCHES_DIR")
    paths = {name: tmp_path / "folders" / name.lower() for name in names}
    for path in paths.values():
        path.mkdir(parents=True)
    return {name: str(path) for name, path in paths.items()}


@pytest.fixture
def world(tmp_path: Path, mongodb_url: str, folders: dict[str, str]) -> Iterator[World]:
    """A world whose services have them all."""
    with World(tmp_path, mongodb_url, **folders) as world:
        yield world


def healthy(service: Service) -> Service:
    service.start()
    until(service.is_healthy, lambda: service.health().text)
    return service


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")


def results_of(file: Path) -> list[dict[str, Any]]:
    text = file.with_name(f"{file.name}.results.ndjson").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()][1:]


def test_a_file_is_paid_once_however_often_it_is_run(world: World, folders: dict[str, str]) -> None:
    service = world.service()
    environment = {**world.environment(), "SERVICE_PORT": str(service.port)}
    file = Path(folders["BATCHES_DIR"]) / "march.csv"
    rows = [order(amount=f"{number}.25", reference=f"row-{number}") for number in range(1, 13)]
    write_csv(file, [*rows, order(amount="99999", reference="too much")])

    def pay(**more: str) -> tuple[int, str, str]:
        run = run_to_its_end(environment | more, "pay-file", "march.csv")
        return run.returncode, run.stdout, run.stderr

    code, _, error = pay()
    assert (code, error) == (78, "pay-file needs BATCHES_DIR, and PAYOUT_TOKEN or --token-file\n")
    code, _, error = pay(PAYOUT_TOKEN=token())
    assert code == 65
    assert error.startswith("row 14: amount: the amount is above the maximum")
    write_csv(file, rows)
    code, _, error = pay(PAYOUT_TOKEN=token())
    assert code == 75
    assert error.endswith("run it again, which pays nothing twice\n")

    healthy(service)
    code, _, error = pay(PAYOUT_TOKEN=token()[:-4] + "AAAA")
    assert (code, error) == (78, "P001: the token is not valid\n")
    assert pay(PAYOUT_TOKEN=token()) == (0, "12 created, 0 there before, 0 refused\n", "")
    assert {line["status"] for line in results_of(file)} == {"pending"}
    token_file = world.folder / "token"
    token_file.write_text(token(), encoding="utf-8")
    with service.api() as api:
        done = completed(api, everything(api))
    run = run_to_its_end(environment, "pay-file", "march.csv", "--token-file", str(token_file))
    assert (run.returncode, run.stdout) == (0, "0 created, 12 there before, 0 refused\n")
    assert {line["txid"] for line in results_of(file)} == {one["txid"] for one in done}
    assert {line["status"] for line in results_of(file)} == {"completed"}
    assert sorted(world.transfers()) == asked(done) == asked(rows)

    log = (Path(folders["LOG_DIR"]) / "tron-payout-router.log").read_text(encoding="utf-8")
    assert "serving" in {json.loads(line)["event"] for line in log.splitlines()}
    assert not spilled(log)
    assert sorted(path.name for path in Path(folders["BATCHES_DIR"]).iterdir()) == [
        "march.csv",
        "march.csv.results.ndjson",
    ]


# ---- a database that is restored ----


def dump(world: World) -> Documents:
    """Everything that the database holds."""
    with pymongo.MongoClient[dict[str, Any]](world.mongodb_url.geturl()) as client:
        database = client.get_default_database()
        return {name: [*database[name].find()] for name in database.list_collection_names()}


def restore(world: World, backup: Documents) -> None:
    """The database as it was; its indexes stay."""
    with pymongo.MongoClient[dict[str, Any]](world.mongodb_url.geturl()) as client:
        database = client.get_default_database()
        for name in database.list_collection_names():
            database[name].delete_many({})
            if documents := backup.get(name):
                database[name].insert_many(documents)


def test_a_restored_database_starts_in_quarantine_by_itself(
    world: World, folders: dict[str, str]
) -> None:
    mark = Path(folders["PAYMENT_SYSTEMS_DIR"]) / "tron-payout-router.json"
    service = healthy(world.service("first"))
    with service.api() as api:
        completed(api, [create(api, order())])
        service.stop()
        backup = dump(world)
        (cursor,) = (one["cursor"] for one in backup["payouts"] if one["_id"] == "cursor")
    service.start()
    until(service.is_healthy, lambda: service.health().text)
    with service.api() as api:
        forgotten = completed(api, [create(api, order(), "forgotten")])[0]
    read_further = cursor["block"]["number"] + 1
    until(lambda: json.loads(mark.read_bytes())["block"]["number"] >= read_further)
    service.stop()

    restore(world, backup)
    after = world.service("restored")
    after.start()

    def closed_by(role: str = "ADMIN") -> dict[str, str]:
        with after.api(role) as api:
            found = api.get("/admin/status").json()["dispatch_closed_by"]
        return {one["name"]: one["reason"] for one in found}

    reasons = until(lambda: "quarantine" in (seen := closed_by()) and seen)
    assert f"has read blocks up to {cursor['block']['number']}, but" in reasons["restored"]
    with after.api() as api:
        waiting = create(api, order(), "waits")
        until(lambda: closed_by().keys() == {"unexplained"}, closed_by)
        assert [one["status"] for one in everything(api)] == ["pending", "completed"]
    with after.api("ADMIN") as api:
        answer = api.post(
            f"/unexplained/{forgotten['txid']}/explain", json={"note": "before the restore"}
        )
        assert answer.status_code < 300, answer.text
    with after.api() as api:
        completed(api, [waiting])
    assert world.paid(forgotten["recipient_address"]) == 1
    assert after.stop() == 0


def test_a_mark_of_another_wallet_stops_the_start_with_one_line(
    world: World, folders: dict[str, str]
) -> None:
    mark = Path(folders["PAYMENT_SYSTEMS_DIR"]) / "tron-payout-router.json"
    theirs = "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"
    block = {"number": 5, "block_id": "05", "time_ms": 5}
    mark.write_text(json.dumps({"genesis_id": "00", "wallet": theirs, "block": block}))
    run = run_to_its_end(world.environment())
    assert (run.returncode, run.stdout) == (78, "")
    assert run.stderr.startswith(
        f"the high-water mark in PAYMENT_SYSTEMS_DIR is that of wallet {theirs}"
    )
    assert run.stderr.count("\n") == 1


def test_folders_that_cannot_be_used_stop_the_start_all_at_once(
    world: World, folders: dict[str, str]
) -> None:
    gone = {name: f"{path}/gone" for name, path in folders.items()}
    run = run_to_its_end(world.environment(**gone))
    assert run.returncode == 78
    found = [line.split(":")[0].strip(" -") for line in run.stderr.splitlines()[1:]]
    assert found == list(folders)
