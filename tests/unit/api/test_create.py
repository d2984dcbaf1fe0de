"""POST /payouts: what is taken, and every kind of bad input with its status, code and field."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from models.address import ZERO_ADDRESS
from models.order import (
    BatchWindow,
    NewPayout,
    Order,
    PayoutReason,
    PayoutType,
    RouteChoice,
)
from tests.unit.api.edge import ALICE, GOOD_BODY, World, assert_problem, payout_id, world

JSON = {"Content-Type": "application/json"}


async def accepted(edge: World, **fields: Any) -> NewPayout:
    answer = await edge.client.post("/payouts", json={**GOOD_BODY, **fields})
    assert answer.status_code == 201, answer.text
    asked: NewPayout = edge.router.asked[-1][2]
    return asked


@pytest.mark.parametrize("prefix", ["", "/api/v1/tron"])
async def test_a_payout_is_created_under_both_prefixes(edge: World, prefix: str) -> None:
    answer = await edge.client.post(f"{prefix}/payouts", json=GOOD_BODY)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{prefix}/payouts/{payout_id(1)}"
    assert answer.json() == {
        **GOOD_BODY,
        "payout_id": payout_id(1),
        "batch_id": None,
        "status": "pending",
        "status_reason": None,
        "payout_type": "immediate",
        "scheduled_at": None,
        "batch_window": "interval",
        "requested_route": "smart",
        "route": None,
        "wallet": None,
        "findings": [],
        "hold": None,
        "approval": None,
        "release_at": None,
        "reference": None,
        "description": None,
        "metadata": {},
        "session_id": None,
        "node_id": None,
        "priority": 5,
        "expires_at": None,
        "txid": None,
        "block_number": None,
        "confirmations": 0,
        "fee_trx": None,
        "energy_used": None,
        "attempts": 0,
        "created_at": "2030-01-31T12:00:00Z",
        "updated_at": "2030-01-31T12:00:00Z",
        "completed_at": None,
    }
    seen = await edge.client.get(answer.headers["Location"])
    assert seen.json() == answer.json()


async def test_every_field_reaches_the_use_case(edge: World) -> None:
    asked = await accepted(
        edge,
        amount="1.000001",
        reason="custom",
        reference="r" * 128,
        description="für März",
        metadata={"k" * 64: "v" * 256},
        session_id="s",
        node_id="n",
        priority=10,
        expires_at="2030-02-01T01:00:00.123456+01:00",
        payout_type="scheduled",
        scheduled_at="2030-01-31T23:00:00Z",
        batch_window="weekly",
        route="direct",
    )
    assert asked.order == Order(
        recipient_address=ALICE,
        amount=1_000_001,
        currency=asked.order.currency,
        reason=PayoutReason.CUSTOM,
        reference="r" * 128,
        description="für März",
        metadata={"k" * 64: "v" * 256},
        session_id="s",
        node_id="n",
        priority=10,
        expires_at=datetime(2030, 2, 1, 0, 0, 0, 123000, tzinfo=UTC),
        payout_type=PayoutType.SCHEDULED,
        scheduled_at=datetime(2030, 1, 31, 23, tzinfo=UTC),
        batch_window=BatchWindow.WEEKLY,
        route=RouteChoice.DIRECT,
    )


# ---- bad fields ----

ADDRESSES = {
    "empty": "",
    "wrong checksum": ALICE[:-1] + "9",
    "wrong prefix": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "right length, wrong prefix": "A" + ALICE[1:],
    "hex": "415cbdd86a2fa8dc4bddd8a8f69dba48572eec07fb",
    "0x": "0x5cbdd86a2fa8dc4bddd8a8f69dba48572eec07fb",
    "not base58": "T0OIl" + ALICE[5:],
    "space after": ALICE + " ",
    "newline after": ALICE + "\n",
    "number": 1,
    "null": None,
    "list": [ALICE],
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
async def test_bad_addresses(edge: World, address: Any) -> None:
    answer = await edge.client.post("/payouts", json={**GOOD_BODY, "recipient_address": address})
    assert_problem(answer, 400, "P100", "recipient_address")
    assert edge.router.asked == []


AMOUNTS = {
    "negative": '"-1"',
    "plus": '"+1"',
    "NaN as text": '"NaN"',
    "infinity as text": '"Infinity"',
    "exponent": '"1e3"',
    "1e400": '"1e400"',
    "seven decimals": '"1.0000001"',
    "seven decimals, the last zero": '"1.0000000"',
    "no digits": '"."',
    "no whole part": '".5"',
    "no fraction": '"1."',
    "comma": '"1,5"',
    "thousands": '"1 000"',
    "space": '" 1"',
    "newline": '"1\\n"',
    "other digits": '"١٢"',
    "empty": '""',
    "fourteen digits": '"10000000000000"',
    "huge": '"' + "9" * 5000 + '"',
    "number": "1",
    "float that is not exact": "0.1",
    "number 1e400": "1e400",
    "true": "true",
    "null": "null",
    "list": '["1"]',
    "object": '{"value": "1"}',
}


@pytest.mark.parametrize("amount", AMOUNTS.values(), ids=AMOUNTS)
async def test_bad_amounts(edge: World, amount: str) -> None:
    body = json.dumps({**GOOD_BODY, "amount": 0}).replace('"amount": 0', f'"amount": {amount}')
    answer = await edge.client.post("/payouts", content=body.encode(), headers=JSON)
    assert_problem(answer, 400, "P003", "amount")
    assert edge.router.asked == []


async def test_a_json_number_is_told_to_be_a_string(edge: World) -> None:
    answer = await edge.client.post("/payouts", json={**GOOD_BODY, "amount": 12.5})
    assert "decimal string" in assert_problem(answer, 400, "P003", "amount")["detail"]


@pytest.mark.parametrize("amount", ["0", "0.00", "0.009999"])
async def test_amounts_below_the_minimum_say_what_it_is(edge: World, amount: str) -> None:
    answer = await edge.client.post("/payouts", json={**GOOD_BODY, "amount": amount})
    problem = assert_problem(answer, 400, "P101", "amount")
    assert problem["extra"] == {"minimum": "0.01"}
    assert problem["errors"][0]["code"] == "P101"


async def test_amounts_above_the_maximum_say_what_it_is(edge: World) -> None:
    answer = await edge.client.post("/payouts", json={**GOOD_BODY, "amount": "9" * 13})
    assert assert_problem(answer, 400, "P102", "amount")["extra"] == {"maximum": "10000.00"}


BAD_FIELDS: dict[str, tuple[str, Any, str]] = {
    "currency unknown": ("currency", "EUR", "P106"),
    "currency in lower case": ("currency", "usdt", "P106"),
    "currency as list": ("currency", ["USDT"], "P106"),
    "currency null": ("currency", None, "P106"),
    "reason unknown": ("reason", "because", "P108"),
    "reason null": ("reason", None, "P108"),
    "unknown field": ("amuont", "1", "P003"),
    "client": ("client", "bob", "P003"),
    "reference too long": ("reference", "r" * 129, "P003"),
    "reference empty": ("reference", "", "P003"),
    "reference a number": ("reference", 1, "P003"),
    "reference with NUL": ("reference", "a\0b", "P003"),
    "description too long": ("description", "d" * 501, "P003"),
    "description with newline": ("description", "a\nb", "P003"),
    "description with C1 control": ("description", "a\x85b", "P003"),
    "session too long": ("session_id", "s" * 129, "P003"),
    "node too long": ("node_id", "n" * 129, "P003"),
    "priority 0": ("priority", 0, "P003"),
    "priority 11": ("priority", 11, "P003"),
    "priority huge": ("priority", 10**400, "P003"),
    "priority true": ("priority", True, "P003"),
    "priority a float": ("priority", 5.0, "P003"),
    "priority as text": ("priority", "5", "P003"),
    "priority null": ("priority", None, "P003"),
    "expiry without offset": ("expires_at", "2030-01-31T12:00:00", "P003"),
    "expiry a date": ("expires_at", "2030-01-31", "P003"),
    "expiry a number": ("expires_at", 1_900_000_000, "P003"),
    "expiry out of range": ("expires_at", "0001-01-01T00:00:00+10:00", "P003"),
    "expiry no time": ("expires_at", "soon", "P003"),
    "type unknown": ("payout_type", "later", "P003"),
    "type null": ("payout_type", None, "P003"),
    "route unknown": ("route", "v1", "P400"),
    "route null": ("route", None, "P400"),
    "window unknown": ("batch_window", "yearly", "P003"),
    "schedule without offset": ("scheduled_at", "2030-01-31T12:00:00", "P003"),
    "metadata a list": ("metadata", [], "P003"),
    "metadata null": ("metadata", None, "P003"),
    "metadata of 21": ("metadata", {str(n): "" for n in range(21)}, "P003"),
}


@pytest.mark.parametrize(("field", "value", "code"), BAD_FIELDS.values(), ids=BAD_FIELDS)
async def test_bad_fields(edge: World, field: str, value: Any, code: str) -> None:
    answer = await edge.client.post("/payouts", json={**GOOD_BODY, field: value})
    problem = assert_problem(answer, 400, code, field)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert edge.router.asked == []


@pytest.mark.parametrize(
    "metadata",
    [{"k": 1}, {"k": None}, {"k": {"deep": "v"}}, {"k": "v" * 257}, {"k": "a\tb"}],
)
async def test_bad_metadata_values_name_their_key(edge: World, metadata: dict[str, Any]) -> None:
    answer = await edge.client.post("/payouts", json={**GOOD_BODY, "metadata": metadata})
    assert_problem(answer, 400, "P003", "metadata.k")


@pytest.mark.parametrize("key", ["", "k" * 65, "a\0b"])
async def test_bad_metadata_keys(edge: World, key: str) -> None:
    answer = await edge.client.post("/payouts", json={**GOOD_BODY, "metadata": {key: "v"}})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "P003")
    assert problem["field"].startswith("metadata.")
    assert "\0" not in problem["field"]


@pytest.mark.parametrize("field", GOOD_BODY)
async def test_missing_fields(edge: World, field: str) -> None:
    body = {name: value for name, value in GOOD_BODY.items() if name != field}
    answer = await edge.client.post("/payouts", json=body)
    assert_problem(answer, 400, "P003", field)


async def test_all_faults_are_told_at_once(edge: World) -> None:
    answer = await edge.client.post(
        "/payouts",
        json={"recipient_address": "T", "amount": 1, "currency": "EUR", "priority": 0, "x": 1},
    )
    problem = assert_problem(answer, 400, "P100", "recipient_address")
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [
        ("recipient_address", "P100"),
        ("amount", "P003"),
        ("currency", "P106"),
        ("reason", "P003"),
        ("priority", "P003"),
        ("x", "P003"),
    ]


async def test_thousands_of_faults_make_a_short_answer(edge: World) -> None:
    body = {f"field{number}": number for number in range(3000)}
    answer = await edge.client.post("/payouts", json=body)
    assert len(assert_problem(answer, 400, "P003", "recipient_address")["errors"]) == 50


async def test_what_was_sent_is_not_repeated(edge: World) -> None:
    secret = "hunter2-hunter2"
    answer = await edge.client.post(
        "/payouts", json={**GOOD_BODY, "recipient_address": secret, "reference": [secret]}
    )
    assert_problem(answer, 400, "P100", "recipient_address")
    assert secret not in answer.text


async def test_the_name_of_an_unknown_field_is_made_harmless(edge: World) -> None:
    answer = await edge.client.post("/payouts", json={**GOOD_BODY, "\x1b[31m" + "x" * 999: 1})
    assert answer.json()["field"] == "\N{REPLACEMENT CHARACTER}[31m" + "x" * 59


async def test_the_zero_address_passes_the_shape_and_is_the_use_cases_to_refuse(
    edge: World,
) -> None:
    assert (await accepted(edge, recipient_address=ZERO_ADDRESS)).order.amount == 12_500_000


# ---- bad bodies ----

BAD_BODIES = {
    "empty": b"",
    "not JSON": b"recipient=T",
    "cut off": b'{"amount": "1"',
    "two values": b"{}{}",
    "a list": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "NaN": b'{"amount": NaN}',
    "-Infinity": b'{"amount": -Infinity}',
    "invalid UTF-8": b'{"reference": "\xff\xfe"}',
    "UTF-16": '{"amount": "1"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "a surrogate half as name": b'{"\\ud800": "1"}',
    "deep list": b"[" * 30_000,
    "deep object": b'{"a":' * 10_000,
    "deep and closed": b'{"metadata":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a number of 5000 digits": b'{"priority": ' + b"9" * 5000 + b"}",
    "a name twice": b'{"amount": "1", "amount": "2"}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_bad_bodies(edge: World, body: bytes) -> None:
    answer = await edge.client.post("/payouts", content=body, headers=JSON)
    assert_problem(answer, 400, "P003", "body")
    assert edge.router.asked == []


async def test_half_a_surrogate_pair_is_no_text(edge: World) -> None:
    body = json.dumps({**GOOD_BODY, "reference": "\ud800"}).encode()
    answer = await edge.client.post("/payouts", content=body, headers=JSON)
    assert_problem(answer, 400, "P003", "reference")


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=latin-1",
        "nonsense",
    ],
)
async def test_other_media_types_are_refused(edge: World, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    answer = await edge.client.post(
        "/payouts", content=json.dumps(GOOD_BODY).encode(), headers=headers
    )
    assert_problem(answer, 415, "P013")


@pytest.mark.parametrize("media_type", ["application/json; charset=UTF-8", "Application/JSON"])
async def test_json_may_name_its_charset(edge: World, media_type: str) -> None:
    answer = await edge.client.post(
        "/payouts",
        content=json.dumps(GOOD_BODY).encode(),
        headers={"Content-Type": media_type},
    )
    assert answer.status_code == 201


# ---- idempotency ----


async def test_a_replay_answers_200_with_the_same_payout(edge: World) -> None:
    key = {"Idempotency-Key": "order-7"}
    first = await edge.client.post("/payouts", json=GOOD_BODY, headers=key)
    second = await edge.client.post("/payouts", json=GOOD_BODY, headers=key)
    assert (first.status_code, second.status_code) == (201, 200)
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert first.json() == second.json()
    assert edge.router.asked[0][2].idempotency_key == "order-7"


@pytest.mark.parametrize("key", ["", "a b", "ä".encode(), "x" * 256, "tab\tinside"])
async def test_bad_idempotency_keys(edge: World, key: str | bytes) -> None:
    answer = await edge.client.post(
        "/payouts",
        json=GOOD_BODY,
        headers={"Idempotency-Key": key},  # type: ignore[dict-item]
    )
    assert_problem(answer, 400, "P003", "Idempotency-Key")


async def test_the_longest_idempotency_key(edge: World) -> None:
    answer = await edge.client.post(
        "/payouts", json=GOOD_BODY, headers={"Idempotency-Key": "~" * 255}
    )
    assert answer.status_code == 201


@pytest.fixture
async def strict_edge() -> AsyncIterator[World]:
    async with world(REQUIRE_IDEMPOTENCY_KEY="true") as made:
        yield made


async def test_a_key_can_be_required(strict_edge: World) -> None:
    without = await strict_edge.client.post("/payouts", json=GOOD_BODY)
    assert_problem(without, 400, "P009", "Idempotency-Key")
    key = {"Idempotency-Key": "order-7"}
    given = await strict_edge.client.post("/payouts", json=GOOD_BODY, headers=key)
    assert given.status_code == 201


async def test_the_fingerprint_ignores_how_a_body_is_written(edge: World) -> None:
    written = [
        {},
        {"amount": "12.5"},
        {"amount": "12.500000"},
        {"priority": 5, "metadata": {}, "reference": None},
        {"payout_type": "immediate", "batch_window": "interval", "route": "smart"},
    ]
    assert len({(await accepted(edge, **fields)).fingerprint for fields in written}) == 1
    expiries = ["2030-02-01T00:00:00Z", "2030-02-01T01:00:00+01:00"]
    assert len({(await accepted(edge, expires_at=e)).fingerprint for e in expiries}) == 1


async def test_the_fingerprints_of_earlier_versions_stay(edge: World) -> None:
    """A key that was used before a field was added still gives its payout."""
    asked = await accepted(edge, reference="r", priority=6)
    of_the_first_fields = "d9e5384b56652408e31f04c0747f33a9171f7e0b971c6de4a06587d58c539ee8"
    assert asked.fingerprint == of_the_first_fields


async def test_the_fingerprint_tells_every_field(edge: World) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"recipient_address": ZERO_ADDRESS},
        {"amount": "12.51"},
        {"currency": "TRX"},
        {"reason": "custom"},
        {"reference": "x"},
        {"description": "x"},
        {"metadata": {"x": "x"}},
        {"session_id": "x"},
        {"node_id": "x"},
        {"priority": 6},
        {"expires_at": "2030-02-01T00:00:00Z"},
        {"payout_type": "batch"},
        {"scheduled_at": "2030-02-01T00:00:00Z"},
        {"batch_window": "daily"},
        {"route": "v0"},
    ]
    prints = {(await accepted(edge, **fields)).fingerprint for fields in changes}
    assert len(prints) == len(changes)
    assert all(len(bytes.fromhex(one)) == 32 for one in prints)
