"""A wallet runs dry after payouts were taken for it: the other route pays them, once."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import httpx
import pytest

from adapters.signer.keys import address_of_private_key
from models.money import BASE_UNITS
from tests.e2e.kit import (
    PACE,
    WALLET,
    Changes,
    Service,
    World,
    at_once,
    completed,
    create,
    look_at,
    order,
    sealed_keys,
    until,
)

POOR_KEY = sha256(b"the poor wallet of the end-to-end tests").digest()
POOR = address_of_private_key(POOR_KEY)

ROUTER = "payout-router-config.yaml"
ANYBODY: dict[str, Any] = {
    "enabled": True,
    "currencies": {"USDT": {"min_amount": "0.01"}, "TRX": {"min_amount": "0.01"}},
    "fee_cap_trx": "100",
    "capacity": 100,
}
OVERLAPPING: Changes = {
    **PACE,
    ROUTER: {
        **PACE[ROUTER],
        "routes.v0": {**ANYBODY, "wallet": POOR, "priority": 10},
        "routes.kyc": {**ANYBODY, "priority": 1},
        "routing.weights.optimal": {"priority": 100},
        "routing.fallback": {"after_seconds": 1, "times": 2},
    },
}
"""Two routes for everybody, each with a wallet: the poor one comes first."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, mongodb_url: str) -> Iterator[World]:
    """A world in which two wallets pay, of which one has enough for one payout."""
    folder = tmp_path_factory.mktemp("fallback")
    keys = sealed_keys(folder / "keys", POOR_KEY)
    with World(folder, mongodb_url, OVERLAPPING, **keys) as world:
        world.fund(50 * BASE_UNITS, 10_000 * BASE_UNITS, POOR)
        yield world


def said_by(admin: httpx.Client, act: str) -> None:
    """An administrator pauses the dispatch of USDT, or lets it go on."""
    body = {"what": "dispatch", "currency": "USDT", "reason": "a test"}
    assert admin.post(f"/admin/{act}", json=body).status_code == 200


def test_what_a_dry_wallet_leaves_is_paid_by_the_other_route_once(
    world: World, service: Service
) -> None:
    second = world.service("second")
    second.start()
    until(second.is_healthy, lambda: second.health().text)
    with service.api() as api, service.api("ADMIN", "ada") as admin:
        # Until all are taken none is paid: while the wallet still has enough for each of them.
        said_by(admin, "pause")
        payouts = at_once(lambda _: create(api, order(amount="30")), range(6), 6)
        assert {one["route"] for one in payouts} == {"v0"}
        said_by(admin, "resume")
        until(lambda: world.transfers(POOR))
        named = create(api, order(amount="30", route="v0"))
        done = completed(api, payouts)
        waits = look_at(api, named)
    (first,) = [one for one in done if one["route"] == "v0"]
    moved = [one for one in done if one["route"] == "kyc"]
    assert len(moved) == 5
    assert first["wallet"] == POOR
    for one in done:
        recipient, wallet = one["recipient_address"], one["wallet"]
        paid = {each: world.paid(recipient, each) for each in (POOR, WALLET)}
        assert paid == {POOR: 0, WALLET: 0} | {wallet: 1}
    for one in moved:
        said = {finding["rule"]: finding["text"] for finding in one["findings"]}
        assert said["routing.fallback"] == (
            "the route kyc pays instead of v0, which cannot now: "
            "the wallet has 20.00 USDT left, and 30.00 USDT is needed"
        )
    assert (waits["status"], waits["route"], waits["attempts"]) == ("pending", "v0", 0)
    assert second.stop() == 0
