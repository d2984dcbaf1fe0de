"""What the audit log tells of a payout, and that nobody changes it unseen: on real parts."""

# ruff: noqa: S603, S607 - programs of this machine, without a shell

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pymongo
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.kit import (
    Service,
    World,
    completed,
    create,
    order,
    run_to_its_end,
    until,
)


def told(api: httpx.Client, **filters: Any) -> list[dict[str, Any]]:
    """What the log has, oldest first."""
    answer = api.get("/audit", params={"limit": 200, **filters})
    assert answer.status_code == 200, answer.text
    return [*reversed(answer.json()["items"])]


@pytest.fixture(scope="module")
def paid(service: Service) -> dict[str, Any]:
    """A payout that was completed, and whose end is in the log."""
    with service.api() as api, service.api("ADMIN", "ada") as auditor:
        (payout,) = completed(api, [create(api, order(amount="12.5"))])
        until(lambda: told(auditor, subject=payout["payout_id"], action="payout:completed"))
    return payout


@pytest.fixture(scope="module")
def export(
    service: Service, paid: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An export of the whole log with histories."""
    file = tmp_path_factory.mktemp("export") / "audit.ndjson"
    with service.api("ADMIN", "ada") as auditor:
        answer = auditor.get("/audit/export", params={"histories": "true"})
    assert answer.status_code == 200
    file.write_bytes(answer.content)
    assert paid["payout_id"] in answer.text
    return file


def verified(world: World, *arguments: str) -> tuple[int, str]:
    """Exit code and words of the command, which gets nothing but the file."""
    run = run_to_its_end({"PATH": world.environment().get("PATH", "")}, "verify", *arguments)
    return run.returncode, run.stdout + run.stderr


def test_the_whole_story_of_a_payout(service: Service, paid: dict[str, Any]) -> None:
    with service.api("ADMIN", "ada") as auditor:
        story = told(auditor, subject=paid["payout_id"])
    assert [(one["n"], one["action"], one["before"], one["after"]) for one in story] == [
        (0, "payout:pending", None, "pending"),
        (1, "payout:processing", "pending", "processing"),
        (2, "payout:completed", "processing", "completed"),
    ]
    created, recorded, settled = story
    assert created["by"] == "SERVICE:platform"
    assert created["details"] == f"12.50 USDT to {paid['recipient_address']}"
    assert created["request_id"]
    assert (recorded["txid"], settled["txid"]) == (paid["txid"], paid["txid"])
    assert created["at"] <= recorded["at"] <= settled["at"]


def test_a_privileged_act_and_the_reading_of_it(service: Service, paid: dict[str, Any]) -> None:
    with service.api("ADMIN", "ada") as admin:
        stop = {"what": "intake", "currency": "TRX", "reason": "the books are closed"}
        answer = admin.post("/admin/pause", json=stop, headers={"X-Request-ID": "stop-1"})
        assert answer.status_code == 200, answer.text
        assert admin.post("/admin/resume", json=stop).status_code == 200
        (act,) = until(lambda: told(admin, request_id="stop-1"))
        assert (act["by"], act["action"]) == ("ADMIN:ada", "system:pause")
        assert act["why"] == {"code": None, "message": "the books are closed"}
        until(
            lambda: any(
                reading["after"] == "request_id=stop-1"
                for reading in told(admin, action="audit:view")
            )
        )


def test_what_nobody_touched_is_whole(
    world: World, service: Service, paid: dict[str, Any], export: Path
) -> None:
    with service.api("ADMIN", "ada") as auditor:
        report = auditor.get("/audit/verify").json()
    assert (report["ok"], report["fault"]) == (True, None)
    entries = [json.loads(line) for line in export.read_text(encoding="utf-8").split("\n") if line]
    last = [entry for entry in entries if "number" in entry][-1]
    code, said = verified(world, str(export), "--head", f"{last['number']}:{last['hash'][:12]}")
    whole = f"entries 1 to {last['number']} are whole; head {last['number']}:{last['hash']}\n"
    assert (code, said) == (0, whole)


def test_an_export_that_was_tampered_with(world: World, export: Path, paid: dict[str, Any]) -> None:
    forged = export.with_name("forged.ndjson")
    for script, word in (
        (f"s/12.50 USDT to {paid['recipient_address']}/99.00 USDT to T/", "changed"),
        ("2d", "missing"),
        ("2{h;d};3{G}", "reordered"),
        ("2{p}", "duplicate"),
    ):
        with forged.open("wb") as output:
            subprocess.run(["sed", script, str(export)], stdout=output, check=True)
        assert forged.read_bytes() != export.read_bytes()
        code, said = verified(world, str(forged))
        assert (code, word in said) == (1, True), said
    forged.write_text("hello\n", encoding="utf-8")
    assert verified(world, str(forged))[0] == 65


def test_the_head_is_published(world: World, paid: dict[str, Any]) -> None:
    """A log line and the metrics of a replica that starts now name an entry that is in the log."""
    replica = world.service("publisher")
    replica.start()
    (line, *_) = until(lambda: heads_in(world.folder / "publisher.log"))
    with replica.api("ADMIN", "ada") as auditor:
        hashes = {entry["number"]: entry["hash"] for entry in told(auditor)}
        families = {
            family.name: family.samples[0].value
            for family in text_string_to_metric_families(auditor.get("/metrics").text)
            if family.samples
        }
    replica.stop()
    assert hashes[line["number"]] == line["hash"]
    fingerprint = f"{int(families['payout_audit_head_fingerprint']):012x}"
    assert hashes[int(families["payout_audit_head_number"])].startswith(fingerprint)
    assert families["payout_audit_waiting"] >= 0


def heads_in(log: Path) -> list[dict[str, Any]]:
    """The heads that a service's log tells of."""
    lines = (line for line in log.read_text(encoding="utf-8").splitlines() if "audit head" in line)
    return [json.loads(line) for line in lines]


def test_a_document_that_was_tampered_with(
    world: World, service: Service, paid: dict[str, Any]
) -> None:
    """The last test of this module: from here on the log is not whole."""
    with (
        pymongo.MongoClient[dict[str, Any]](world.mongodb_url.geturl()) as client,
        service.api("ADMIN", "ada") as auditor,
    ):
        log = client.get_default_database()["audit_log"]
        (created,) = told(auditor, subject=paid["payout_id"], action="payout:pending")
        log.update_one({"_id": created["number"]}, {"$set": {"details": "1.00 USDT to T"}})
        report = auditor.get("/audit/verify").json()
    assert (report["ok"], report["fault"]["number"]) == (False, created["number"])
    assert report["fault"]["kind"] == "changed"
    assert report["head"]["number"] == created["number"] - 1
