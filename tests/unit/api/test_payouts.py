"""Looking at payouts, listing, cancelling, resolving, counting; unexplained transfers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from api.views import PayoutView, shown_transaction
from models.chain import BlockRef, Hit, Transfer
from models.errors import Reason
from models.money import Currency
from models.order import PayoutType, RouteName
from models.payout import Payout, PayoutStatus, Resolution
from models.transaction import Attempt, AttemptState
from ports.store import PayoutQuery, Unexplained
from tests.unit.api.edge import ALICE, NOW, World, assert_problem, make_payout, payout_id

OWNER = "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"
USDT = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
BLOCK = BlockRef(42, "00" * 32, 1_900_000_000_000)
PAID = Transfer(USDT, OWNER, ALICE, 12_500_000)


def make_hit(txid: str, contract_ret: str = "SUCCESS", fee_sun: int = 345_000) -> Hit:
    transfers = (PAID,) if contract_ret == "SUCCESS" else ()
    return Hit(txid, OWNER, BLOCK, contract_ret, transfers, fee_sun, 65_000)


def make_attempt(number: int, state: AttemptState, hit: Hit | None = None) -> Attempt:
    return Attempt(
        number=number,
        txid=f"{number:064x}",
        owner=OWNER,
        transfer=PAID,
        raw=b"",
        signature=b"",
        ref_block=BLOCK,
        expiration_ms=0,
        fee_limit_sun=0,
        max_cost_sun=0,
        created_at=NOW,
        state=state,
        hit=hit,
    )


DEAD = make_attempt(1, AttemptState.DEAD)
BURNED = make_hit(f"{2:064x}", "OUT_OF_ENERGY")
FAILED = make_attempt(2, AttemptState.FAILED_ON_CHAIN, BURNED)
SUCCESS = make_hit(f"{3:064x}")
SETTLED = make_attempt(3, AttemptState.SETTLED, SUCCESS)
LIVE = make_attempt(4, AttemptState.LIVE)
SEEN = make_hit(LIVE.txid)
LINKED = make_hit(f"{9:064x}")

SHOWN: dict[str, tuple[Payout, str | None, Hit | None]] = {
    "none yet": (make_payout(), None, None),
    "live, not seen": (make_payout(live_attempt=LIVE, attempts=(DEAD,)), LIVE.txid, None),
    "live, seen": (make_payout(live_attempt=LIVE, hits=(SEEN,)), LIVE.txid, SEEN),
    "paid": (make_payout(attempts=(SETTLED,), hits=(SUCCESS,)), SETTLED.txid, SUCCESS),
    "paid after a failure": (
        make_payout(attempts=(FAILED, SETTLED), hits=(BURNED, SUCCESS)),
        SETTLED.txid,
        SUCCESS,
    ),
    "failed on chain": (
        make_payout(attempts=(DEAD, FAILED), hits=(BURNED,)),
        FAILED.txid,
        BURNED,
    ),
    "dead": (make_payout(attempts=(FAILED, DEAD), hits=(BURNED,)), DEAD.txid, None),
    "linked": (make_payout(attempts=(DEAD,), linked_hit=LINKED), LINKED.txid, LINKED),
}


@pytest.mark.parametrize(("payout", "txid", "hit"), SHOWN.values(), ids=SHOWN)
def test_which_transaction_stands_for_a_payout(
    payout: Payout, txid: str | None, hit: Hit | None
) -> None:
    assert shown_transaction(payout) == (txid, hit)


def test_a_paid_payout_is_shown_with_its_block_and_fee() -> None:
    payout = make_payout(
        status=PayoutStatus.COMPLETED,
        attempts=(FAILED, SETTLED),
        hits=(BURNED, SUCCESS),
        completed_at=NOW,
    )
    view = PayoutView.of(payout, 21).model_dump(mode="json")
    expected = {
        "txid": SETTLED.txid,
        "block_number": 42,
        "confirmations": 21,
        "fee_trx": "0.345",
        "energy_used": 65_000,
        "attempts": 2,
        "completed_at": "2030-01-31T12:00:00Z",
    }
    assert {name: view[name] for name in expected} == expected


def test_a_free_transfer_shows_a_fee_of_zero() -> None:
    free = make_hit(SETTLED.txid, fee_sun=0)
    view = PayoutView.of(make_payout(attempts=(SETTLED,), linked_hit=free), 1)
    assert (view.fee_trx, view.block_number) == ("0.00", 42)


def test_live_attempts_count_and_reasons_show() -> None:
    payout = make_payout(
        live_attempt=LIVE, attempts=(DEAD,), status_reason=Reason("P200", "fund the wallet")
    )
    view = PayoutView.of(payout, 0).model_dump()
    assert view["attempts"] == 2
    assert view["status_reason"] == {"code": "P200", "message": "fund the wallet"}


# ---- list ----


async def test_pages_lead_to_each_other(edge: World) -> None:
    for number in range(1, 6):
        edge.router.payouts[payout_id(number)] = make_payout(number)
    seen, path = [], "/api/v1/tron/payouts?limit=2&currency=USDT"
    for _ in range(3):
        answer = await edge.client.get(path)
        page = answer.json()
        seen += [item["payout_id"] for item in page["items"]]
        link = answer.links.get("next")
        assert (link is None) == (page["next_cursor"] is None)
        if link is not None:
            path = link["url"]
            assert path.startswith("/api/v1/tron/payouts?")
            assert page["next_cursor"] in path
    assert seen == [payout_id(number) for number in (5, 4, 3, 2, 1)]
    assert link is None


@pytest.mark.parametrize(("limit", "asked"), [(None, 50), ("1", 1), ("200", 200)])
async def test_page_sizes(edge: World, limit: str | None, asked: int) -> None:
    await edge.client.get("/payouts", params={} if limit is None else {"limit": limit})
    # One more tells whether there is a next page.
    assert edge.router.asked[-1][3] == asked + 1


async def test_every_filter_reaches_the_use_case(edge: World) -> None:
    answer = await edge.client.get(
        "/payouts",
        params={
            "status": "needs_review",
            "currency": "TRX",
            "recipient": ALICE,
            "txid": "AB" * 32,
            "session_id": "s",
            "node_id": "n",
            "reference": "r",
            "route": "kyc",
            "payout_type": "batch",
            "created_from": "2030-01-01T00:00:00Z",
            "created_to": "2030-02-01T02:00:00+02:00",
        },
    )
    assert answer.status_code == 200
    assert edge.router.asked[-1][2] == PayoutQuery(
        status=PayoutStatus.NEEDS_REVIEW,
        currency=Currency.TRX,
        recipient=ALICE,
        txid="ab" * 32,
        session_id="s",
        node_id="n",
        reference="r",
        route=RouteName.KYC,
        payout_type=PayoutType.BATCH,
        created_from=datetime(2030, 1, 1, tzinfo=UTC),
        created_to=datetime(2030, 2, 1, tzinfo=UTC),
    )


BAD_FILTERS = {
    "unknown filter": ("curency", "USDT", "P003"),
    "scope": ("scope", "all", "P003"),
    "unknown status": ("status", "paid", "P003"),
    "unknown currency": ("currency", "EUR", "P106"),
    "unknown route": ("route", "smart", "P400"),
    "unknown type": ("payout_type", "later", "P003"),
    "bad recipient": ("recipient", "T123", "P100"),
    "bad txid": ("txid", "ab", "P003"),
    "txid not hex": ("txid", "zz" * 32, "P003"),
    "control character": ("reference", "a\0", "P003"),
    "empty reference": ("reference", "", "P003"),
    "time without offset": ("created_from", "2030-01-01T00:00:00", "P003"),
    "no time": ("created_to", "now", "P003"),
    "limit 0": ("limit", "0", "P003"),
    "limit negative": ("limit", "-1", "P003"),
    "limit 201": ("limit", "201", "P003"),
    "limit huge": ("limit", "9" * 400, "P003"),
    "limit text": ("limit", "all", "P003"),
    "cursor garbage": ("cursor", "!", "P003"),
    "cursor of another kind": ("cursor", "cGF5b3V0XzE=", "P003"),
    "cursor no UTF-8": ("cursor", "_____w==", "P003"),
    "cursor not ASCII": ("cursor", "ä", "P003"),
}


@pytest.mark.parametrize(("name", "value", "code"), BAD_FILTERS.values(), ids=BAD_FILTERS)
async def test_bad_filters(edge: World, name: str, value: str, code: str) -> None:
    answer = await edge.client.get("/payouts", params={name: value})
    assert_problem(answer, 400, code, name)
    assert edge.router.asked == []


# ---- cancel, resolve, stats ----


@pytest.mark.parametrize(
    ("body", "reason"), [(None, None), ({}, None), ({"reason": "typo"}, "typo")]
)
async def test_cancel(edge: World, body: dict[str, Any] | None, reason: str | None) -> None:
    edge.router.payouts[payout_id(1)] = make_payout(1)
    answer = await edge.client.post(f"/payouts/{payout_id(1)}/cancel", json=body)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert edge.router.asked[-1][3] == reason


@pytest.mark.parametrize("action", list(Resolution))
async def test_resolve(edge: World, action: Resolution) -> None:
    edge.router.payouts[payout_id(1)] = make_payout(1)
    answer = await edge.client.post(
        f"/payouts/{payout_id(1)}/resolve",
        json={"action": action, "reason": "seen on chain"},
        headers=edge.as_role("ADMIN"),
    )
    assert answer.status_code == 200
    assert edge.router.asked[-1][3:] == (action, "seen on chain")


BAD_RESOLUTIONS: dict[str, tuple[Any, str]] = {
    "no action": ({"reason": "x"}, "action"),
    "unknown action": ({"action": "pay", "reason": "x"}, "action"),
    "no reason": ({"action": "fail"}, "reason"),
    "null reason": ({"action": "fail", "reason": None}, "reason"),
    "empty reason": ({"action": "fail", "reason": ""}, "reason"),
    "long reason": ({"action": "fail", "reason": "x" * 501}, "reason"),
    "unknown field": ({"action": "fail", "reason": "x", "force": True}, "force"),
    "nothing": (None, "body"),
}


@pytest.mark.parametrize(("body", "field"), BAD_RESOLUTIONS.values(), ids=BAD_RESOLUTIONS)
async def test_bad_resolutions(edge: World, body: Any, field: str) -> None:
    answer = await edge.client.post(
        f"/payouts/{payout_id(1)}/resolve", json=body, headers=edge.as_role("ADMIN")
    )
    assert_problem(answer, 400, "P003", field)
    assert edge.router.asked == []


async def test_stats_are_not_taken_for_a_payout_id(edge: World) -> None:
    answer = await edge.client.get("/payouts/stats")
    assert answer.json() == {
        "items": [{"status": "completed", "currency": "TRX", "count": 3, "amount": "1.50"}]
    }


# ---- unexplained ----


@pytest.mark.parametrize("prefix", ["", "/api/v1/tron"])
async def test_unexplained_transfers(edge: World, prefix: str) -> None:
    found = Unexplained(SUCCESS.txid, SUCCESS, None, None, None, None)
    edge.router.open_transfers = [found]
    admin = edge.as_role("ADMIN")
    answer = await edge.client.get(f"{prefix}/unexplained", headers=admin)
    assert edge.router.asked[-1][2:] == (True, 50)
    assert answer.json() == {
        "items": [
            {
                "txid": SUCCESS.txid,
                "owner": OWNER,
                "block_number": 42,
                "block_time": "2030-03-17T17:46:40Z",
                "result": "SUCCESS",
                "transfers": [
                    {"contract": USDT, "owner": OWNER, "recipient": ALICE, "base_units": "12500000"}
                ],
                "fee_trx": "0.345",
                "energy_used": 65_000,
                "payout_id": None,
                "explained_by": None,
                "explained_at": None,
                "note": None,
            }
        ]
    }
    explained = await edge.client.post(
        f"{prefix}/unexplained/{SUCCESS.txid}/explain",
        json={"payout_id": payout_id(1), "note": "from the backup"},
        headers=admin,
    )
    assert explained.json() == answer.json()["items"][0]
    assert edge.router.asked[-1][2:] == (SUCCESS.txid, payout_id(1), "from the backup")


async def test_explained_transfers_show_on_demand(edge: World) -> None:
    await edge.client.get(
        "/unexplained?include_explained=true&limit=7", headers=edge.as_role("ADMIN")
    )
    assert edge.router.asked[-1][2:] == (False, 7)


@pytest.mark.parametrize("limit", ["0", "201", "x"])
async def test_bad_limits_of_unexplained(edge: World, limit: str) -> None:
    answer = await edge.client.get(
        "/unexplained", params={"limit": limit}, headers=edge.as_role("ADMIN")
    )
    assert_problem(answer, 400, "P003", "limit")


@pytest.mark.parametrize("body", [{}, {"note": ""}, {"payout_id": None}])
async def test_an_explanation_needs_a_note(edge: World, body: dict[str, Any]) -> None:
    answer = await edge.client.post(
        f"/unexplained/{SUCCESS.txid}/explain", json=body, headers=edge.as_role("ADMIN")
    )
    assert_problem(answer, 400, "P003", "note")
