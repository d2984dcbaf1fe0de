"""Whatever is sent, the edge answers with a problem of the client's, never with a fault of ours."""

import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from api.body import parse_json
from api.paging import Cursor, encode_cursor
from models.money import format_amount, parse_amount
from tests.throttles import OpenDoor
from tests.unit.api.edge import ALICE, GOOD_BODY, World, payout_id

JSON = {"Content-Type": "application/json"}
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

surrogates = st.text(st.characters(categories=["L", "N", "P", "Z", "C", "S"]), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | surrogates
    | st.sampled_from(["12.50", "USDT", "custom", ALICE, "2030-01-31T12:00:00Z", "batch", "v0"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(surrogates, inner, max_size=4),
    max_leaves=10,
)
names = st.sampled_from(
    [
        *GOOD_BODY,
        *("reference", "description", "metadata", "session_id", "priority", "expires_at"),
        *("payout_type", "scheduled_at", "batch_window", "route"),
    ]
)
near_misses = st.dictionaries(names | surrogates, values, max_size=4).map(
    lambda fields: {**GOOD_BODY, **fields}
)


def assert_ours(answer: httpx.Response) -> None:
    assert answer.status_code in (201, 400), answer.text
    if answer.status_code == 400:
        problem = answer.json()
        assert problem["errors"]
        assert problem["code"] == problem["errors"][0]["code"]


@PATIENT
@given(body=values | near_misses)
async def test_any_json_body(edge: World, body: Any) -> None:
    content = json.dumps(body).encode()
    assert_ours(await edge.client.post("/payouts", content=content, headers=JSON))


@PATIENT
@given(body=st.binary(max_size=200))
async def test_any_bytes(edge: World, body: bytes) -> None:
    assert_ours(await edge.client.post("/payouts", content=body, headers=JSON))


@PATIENT
@given(
    name=st.sampled_from(["cursor", "created_from", "limit", "txid", "reference", "status", "x"]),
    value=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
async def test_any_filter(edge: World, name: str, value: str) -> None:
    answer = await edge.client.get("/payouts", params={name: value})
    assert answer.status_code in (200, 400), answer.text


@PATIENT
@given(token=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=200))
async def test_any_token(edge: World, token: str) -> None:
    edge.container.throttle = OpenDoor()
    headers = {"Authorization": f"Bearer {token}"}
    assert (await edge.client.get("/payouts", headers=headers)).status_code == 401


@PATIENT
@given(path=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
async def test_any_payout_id(edge: World, path: str) -> None:
    url = httpx.URL("http://payouts.test").copy_with(
        raw_path=b"/payouts/" + "".join(f"%{byte:02x}" for byte in path.encode()).encode()
    )
    answer = await edge.client.get(url)
    assert answer.status_code in (200, 404), answer.text


@given(units=st.integers(min_value=0, max_value=10**18))
def test_amounts_come_back_as_they_went(units: int) -> None:
    assert parse_amount(format_amount(units)) == units


@given(number=st.integers(min_value=0, max_value=2**128 - 1))
def test_cursors_come_back_as_they_went(number: int) -> None:
    cursor = encode_cursor(payout_id(number))
    assert TypeAdapter(Cursor).validate_python(cursor) == payout_id(number)


@given(value=values)
def test_strict_json_reads_what_json_writes(value: Any) -> None:
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        return
    assert parse_json(text.encode()) == json.loads(text)
