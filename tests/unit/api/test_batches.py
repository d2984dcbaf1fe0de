"""What the edge makes of a batch: which faults are whose, and which answer says what."""

from typing import Any

import httpx
import pytest

from tests.front import Front, open_front, token
from tests.unit.api.edge import assert_problem

ORDER = {
    "recipient_address": "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8",
    "amount": "12.50",
    "currency": "USDT",
    "reason": "custom",
}
NUMBER = {**ORDER, "amount": 12.5}


async def sent(front: Front, body: Any, prefix: str = "", key: str | None = "k") -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    path = f"{prefix}/batches"
    return await front.ask("POST", path, token("SERVICE"), json=body, headers=headers)


def of(*orders: Any) -> dict[str, Any]:
    return {"payouts": list(orders)}


async def refused(body: Any, status: int, code: str, field: str | None) -> dict[str, Any]:
    """The problem that a body gets; nothing is kept of it."""
    async with open_front() as front:
        answer = await sent(front, body)
        listed = await front.ask("GET", "/payouts", token("SERVICE"))
        assert listed.json()["items"] == []
    return assert_problem(answer, status, code, field)


async def test_faults_of_payouts_are_told_all_at_once() -> None:
    body = of(ORDER, NUMBER, 7, {**ORDER, "recipient_address": "T", "amuont": "1"})
    problem = await refused(body, 400, "P300", "payouts.1.amount")
    assert [(fault["field"], fault["code"]) for fault in problem["errors"]] == [
        ("payouts.1.amount", "P003"),
        ("payouts.2", "P003"),
        ("payouts.3.recipient_address", "P100"),
        ("payouts.3.amuont", "P003"),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "payouts"),
        (of(), "payouts"),
        ({"payouts": ORDER}, "payouts"),
        ({"payouts": None}, "payouts"),
        ({**of(ORDER), "name": "march"}, "name"),
        ({**of(NUMBER), "name": "march"}, "payouts.0.amount"),
    ],
)
async def test_faults_of_the_request_itself_are_another_thing(body: Any, field: str) -> None:
    await refused(body, 400, "P003", field)


@pytest.mark.parametrize("orders", [[ORDER] * 101, [7] * 101, [{}] * 5_000])
async def test_there_may_be_so_many_and_no_more(orders: list[Any]) -> None:
    problem = await refused(of(*orders), 400, "P301", "payouts")
    assert problem["extra"] == {"limit": 100}


async def test_as_many_as_there_may_be() -> None:
    async with open_front() as front:
        answer = await sent(front, of(*[ORDER] * 100))
        assert answer.status_code == 201
        assert [item["index"] for item in answer.json()["items"]] == [*range(100)]


@pytest.mark.parametrize("body", [of(ORDER), of(NUMBER), {}])
async def test_a_key_is_asked_for_first(body: Any) -> None:
    async with open_front() as front:
        assert_problem(await sent(front, body, key=None), 400, "P009", "Idempotency-Key")


async def test_a_key_has_no_blanks() -> None:
    async with open_front() as front:
        answer = await sent(front, of(ORDER), key="two words")
        assert_problem(answer, 400, "P003", "Idempotency-Key")


@pytest.mark.parametrize("prefix", ["", "/api/v1/tron"])
async def test_a_batch_is_made_and_found_under_both_prefixes(prefix: str) -> None:
    async with open_front() as front:
        made = await sent(front, of(ORDER, {**ORDER, "currency": "TRX"}), prefix)
        batch = made.json()
        assert made.status_code == 201
        assert made.headers["Location"] == f"{prefix}/batches/{batch['batch_id']}"
        assert "Idempotency-Replayed" not in made.headers
        assert batch["status_reason"] is None
        assert [(total["currency"], total["amount"]) for total in batch["totals"]] == [
            ("TRX", "12.50"),
            ("USDT", "12.50"),
        ]
        seen = await front.ask("GET", made.headers["Location"], token("SERVICE"))
        assert (seen.status_code, seen.json()) == (200, batch)
        again = await sent(front, of(ORDER, {**ORDER, "currency": "TRX"}))
        assert (again.status_code, again.json()) == (200, batch)
        assert again.headers["Idempotency-Replayed"] == "true"
        listed = await front.ask(
            "GET", "/payouts", token("SERVICE"), params={"batch_id": batch["batch_id"]}
        )
        assert [one["currency"] for one in listed.json()["items"]] in (
            ["TRX", "USDT"],
            ["USDT", "TRX"],
        )


async def test_how_a_payout_is_written_changes_nothing() -> None:
    async with open_front() as front:
        await sent(front, of(ORDER))
        same = of({**dict(reversed(ORDER.items())), "amount": "12.5", "priority": 5})
        assert (await sent(front, same)).status_code == 200
        assert_problem(
            await sent(front, of({**ORDER, "priority": 6})), 422, "P005", "Idempotency-Key"
        )


async def test_one_refusal_among_others_is_shown_in_its_place() -> None:
    async with open_front() as front:
        answer = await sent(front, of({**ORDER, "amount": "0.001"}, ORDER))
        batch = answer.json()
        assert answer.status_code == 207
        assert batch["status_reason"]["code"] == "P303"
        small, taken = batch["items"]
        assert (small["payout"], taken["problem"]) == (None, None)
        assert taken["payout"]["batch_id"] == batch["batch_id"]
        alone = await front.ask(
            "POST", "/payouts", token("SERVICE"), json={**ORDER, "amount": "0.001"}
        )
        told_alone = alone.json()
        for name in ("instance", "request_id"):
            assert name not in small["problem"]
            del told_alone[name]
        assert small["problem"] | told_alone == small["problem"]


async def test_where_nothing_was_taken_there_is_nothing_to_look_at() -> None:
    async with open_front() as front:
        answer = await sent(front, of({**ORDER, "amount": "0.001"}))
        assert answer.status_code == 207
        assert "Location" not in answer.headers
        path = f"/batches/{answer.json()['batch_id']}"
        assert_problem(await front.ask("GET", path, token("SERVICE")), 404, "P010", "batch_id")
