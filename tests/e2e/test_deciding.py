"""By which route, when, under which limits and with whose consent: what the service decides."""

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from adapters.signer.keys import address_of_private_key
from models.money import BASE_UNITS
from settings.environment import DEFAULT_CONFIG_DIR
from tests.e2e.kit import (
    PACE,
    QUICK,
    WALLET,
    Changes,
    Service,
    World,
    asked,
    at_once,
    completed,
    create,
    everything,
    keyed,
    look_at,
    order,
    sealed_keys,
    until,
)
from tests.harness import fresh_address

SECOND_KEY = sha256(b"the second wallet of the end-to-end tests").digest()
SECOND = address_of_private_key(SECOND_KEY)
SECOND_USDT = 500 * BASE_UNITS
"""Less than one payout by the route direct may ask for."""

BATCH_SIZE = 5

ROUTER, POLICIES = "payout-router-config.yaml", "payout-security-policies.yaml"


def shipped_rules(**effects: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The compliance rules as they are shipped, but for some fields of some of them."""
    text = (DEFAULT_CONFIG_DIR / POLICIES).read_text(encoding="utf-8")
    rules: list[dict[str, Any]] = yaml.safe_load(text)["compliance"]["rules"]
    return [{**rule, **effects.get(rule["name"], {})} for rule in rules]


AS_SHIPPED: Changes = {
    **PACE,
    ROUTER: {
        **PACE[ROUTER],
        "routes.direct": {
            **yaml.safe_load((DEFAULT_CONFIG_DIR / ROUTER).read_text(encoding="utf-8"))["routes"][
                "direct"
            ],
            "wallet": SECOND,
        },
        "scheduling.batch_interval_seconds": 3,
        "scheduling.batch_size": BATCH_SIZE,
    },
    POLICIES: {
        # To be on the deny list is for a person to judge here.
        "compliance.rules": shipped_rules(deny_list={"effect": "hold", "roles": ["ADMIN"]}),
    },
}
"""Routes and approvals as they are shipped, and a wallet of its own for the urgent."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, mongodb_url: str) -> Iterator[World]:
    """A world in which two wallets pay."""
    folder = tmp_path_factory.mktemp("deciding")
    keys = sealed_keys(folder / "keys", SECOND_KEY)
    with World(folder, mongodb_url, AS_SHIPPED, **keys) as world:
        world.fund(20_000 * BASE_UNITS)
        world.fund(SECOND_USDT, 10_000 * BASE_UNITS, SECOND)
        yield world


def post(api: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    """What a request that succeeds answers."""
    answer = api.post(path, json=body)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """The status and the P-code of a problem."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


def decide(
    service: Service, payout: Mapping[str, Any], act: str, role: str, subject: str
) -> httpx.Response:
    """A person's decision about a payout."""
    with service.api(role, subject) as person:
        path = f"/payouts/{payout['payout_id']}/{act}"
        return person.post(path, json={"comment": f"{act} by {subject}"})


def verify(service: Service, address: str, level: int) -> None:
    """Put an address into the KYC registry."""
    since = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    body = {"level": level, "verified_at": since, "reason": "a test"}
    with service.api("ADMIN", "ada") as admin:
        answer = admin.put(f"/kyc/{address}", json=body)
    assert answer.status_code == 200, answer.text


def put_on(service: Service, list_name: str, address: str) -> None:
    """Put an address on a list."""
    with service.api("ADMIN", "ada") as admin:
        answer = admin.put(f"/lists/{list_name}/{address}", json={"reason": "case 4711"})
    assert answer.status_code == 200, answer.text


class Paused:
    """Dispatch stands still in the block, all of it or that of one wallet."""

    def __init__(self, service: Service, **what: str) -> None:
        self._service = service
        self._what = what

    def __enter__(self) -> None:
        self._say("pause")

    def __exit__(self, *_: object) -> None:
        self._say("resume")

    def _say(self, act: str) -> None:
        with self._service.api("ADMIN", "ada") as admin:
            post(admin, f"/admin/{act}", what="dispatch", reason="a test", **self._what)


def rules_of(payout: Mapping[str, Any]) -> dict[str, str]:
    """What each rule said of a payout, by its name."""
    return {finding["rule"]: finding["text"] for finding in payout["findings"]}


# ---- routes ----


def test_quote_create_approve_settle(world: World, service: Service) -> None:
    body = order(amount="6000")
    verify(service, body["recipient_address"], 2)
    with service.api() as api:
        quoted = post(api, "/payouts/quote", **body)
        assert (quoted["accepted"], quoted["route"]) == (True, "kyc")
        assert quoted["decision"]["approval"]["workflow"] == "high_value"
        refused = {each["route"]: each["reasons"] for each in quoted["decision"]["refused"]}
        assert refused.keys() == {"v0", "direct"}
        assert [reason["rule"] for reason in refused["v0"]] == ["routes.v0.max_amount"]
        assert quoted["estimate"]["energy"] > 0
        assert everything(api, recipient=body["recipient_address"]) == []

        payout = create(api, body)
        assert (payout["status"], payout["route"], payout["wallet"]) == (
            *("awaiting_approval", "kyc"),
            WALLET,
        )
        assert payout["status_reason"]["code"] == "P602"
        assert rules_of(payout).keys() == {"routing.optimal", "first_payout", "high_value"}
        # What comes later is paid first.
        completed(api, [create(api, order())])
        assert look_at(api, payout)["status"] == "awaiting_approval"

        # The maker has no say, whatever role the token has; nor has who is not asked.
        assert refusal(decide(service, payout, "approve", "ADMIN", "platform")) == (403, "P002")
        assert refusal(decide(service, payout, "approve", "USER", "bob")) == (403, "P002")
        assert world.paid(body["recipient_address"]) == 0
        answer = decide(service, payout, "approve", "APPROVER", "bea")
        assert answer.status_code == 200
        (consent,) = answer.json()["approval"]["given"]
        assert (consent["by"], consent["role"], consent["comment"]) == (
            *("bea", "APPROVER"),
            "approve by bea",
        )
        assert refusal(decide(service, payout, "approve", "ADMIN", "cleo")) == (409, "P500")
        completed(api, [payout])
    assert world.paid(body["recipient_address"]) == 1


def test_a_rejected_payout_is_never_paid(world: World, service: Service) -> None:
    body = order(amount="5000")
    verify(service, body["recipient_address"], 1)
    with service.api() as api:
        payout = create(api, body)
        assert refusal(decide(service, payout, "reject", "ADMIN", "platform")) == (403, "P002")
        answer = decide(service, payout, "reject", "APPROVER", "bea")
        assert answer.json()["status"] == "rejected"
        assert answer.json()["status_reason"]["message"] == "reject by bea"
        assert refusal(decide(service, payout, "approve", "ADMIN", "cleo")) == (409, "P500")
        completed(api, [create(api, order())])
    assert world.paid(body["recipient_address"]) == 0


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"amount": "2000"}, 403, "P402"),
        ({"amount": "2000", "route": "v0"}, 400, "P102"),
        ({"amount": "20", "route": "kyc"}, 400, "P101"),
        ({"amount": "20", "route": "direct"}, 400, "P400"),
    ],
)
def test_what_no_route_takes_is_refused_with_all_reasons(
    service: Service, fields: dict[str, Any], status: int, code: str
) -> None:
    body = order(**fields)
    with service.api() as api:
        answer = api.post("/payouts", json=body)
        quoted = post(api, "/payouts/quote", **body)
    assert refusal(answer) == (status, code)
    problem = answer.json()
    named = {fields["route"]} if "route" in fields else {"v0", "kyc", "direct"}
    assert problem["extra"]["routes"].keys() == named
    assert all(problem["extra"]["routes"].values())
    assert (quoted["accepted"], quoted["route"]) == (False, None)
    assert (quoted["refusal"]["code"], quoted["refusal"]["message"]) == (code, problem["detail"])


def test_an_emergency_needs_two_people(world: World, service: Service) -> None:
    body = order(amount="20", payout_type="emergency", route="direct")
    with service.api() as api, service.api("USER", "alice") as user:
        assert refusal(user.post("/payouts", json=body)) == (403, "P002")
        payout = create(api, body)
        assert (payout["status"], payout["wallet"]) == ("awaiting_approval", SECOND)
        assert refusal(decide(service, payout, "approve", "APPROVER", "bea")) == (403, "P002")
        first = decide(service, payout, "approve", "ADMIN", "ada").json()
        assert (first["status"], len(first["approval"]["given"])) == ("awaiting_approval", 1)
        again = decide(service, payout, "approve", "SUPER_ADMIN", "ada")
        assert refusal(again) == (409, "P500")
        assert world.paid(body["recipient_address"]) == 0
        second = decide(service, payout, "approve", "SUPER_ADMIN", "sue").json()
        assert second["status"] == "pending"
        completed(api, [payout])
    assert world.paid(body["recipient_address"], SECOND) == 1


def test_approvals_that_race_count_each_person_once(world: World, service: Service) -> None:
    second = world.service("second")
    second.start()
    until(second.is_healthy, lambda: second.health().text)

    def approve(number: int, subject: str) -> int:
        replica = (service, second)[number % 2]
        return decide(replica, payout, "approve", "ADMIN", subject).status_code

    with service.api() as api:
        payout = create(api, order(amount="3", payout_type="emergency", route="direct"))
        by_one = at_once(lambda number: approve(number, "ada"), range(20))
        assert by_one.count(200) == 1
        assert set(by_one) <= {200, 409, 503}
        assert look_at(api, payout)["status"] == "awaiting_approval"
        by_many = at_once(lambda number: approve(number, f"person-{number}"), range(20))
        assert by_many.count(200) == 1
        assert set(by_many) <= {200, 409, 503}
        (done,) = completed(api, [payout])
    assert len({consent["by"] for consent in done["approval"]["given"]}) == 2
    assert len(done["approval"]["given"]) == 2
    assert world.paid(payout["recipient_address"], SECOND) == 1
    assert second.stop() == 0


def test_two_wallets_pay_side_by_side(world: World, service: Service) -> None:
    urgent = {"route": "direct", "priority": 9}
    with service.api() as api:
        bodies = [order(amount="2", **(urgent if n % 2 else {})) for n in range(20)]
        done = completed(api, at_once(lambda body: create(api, body), bodies, 8))
        assert Counter((one["route"], one["wallet"]) for one in done) == {
            ("v0", WALLET): 10,
            ("direct", SECOND): 10,
        }
        for wallet in (WALLET, SECOND):
            paid = [one for one in done if one["wallet"] == wallet]
            ledger = set(world.transfers(wallet))
            assert ledger >= set(asked(paid))
        # One that can't pay holds up nobody else's.
        waits = create(api, order(amount="900", **urgent))
        until(lambda: (look_at(api, waits)["status_reason"] or {}).get("code") == "P200")
        completed(api, [create(api, order())])
        also = post(api, "/payouts/quote", **order(amount="900", **urgent))
        assert also["accepted"]
        assert "USDT left" in rules_of(also["decision"])["routes.direct.funds"]
        world.fund(900 * BASE_UNITS, 0, SECOND)
        completed(api, [waits])
    assert world.paid(waits["recipient_address"], SECOND) == 1
    assert world.paid(waits["recipient_address"]) == 0


def test_smart_takes_the_next_route_while_the_best_is_out_of_order(
    world: World, service: Service
) -> None:
    with service.api() as api, service.api("APPROVER", "bea") as viewer:
        assert create(api, order(priority=9))["route"] == "direct"
        with Paused(service, wallet=SECOND):
            payout = create(api, order(priority=9))
            assert (payout["route"], payout["wallet"]) == ("v0", WALLET)
            (direct,) = [
                route
                for route in viewer.get("/routes").json()["items"]
                if route["name"] == "direct"
            ]
            assert direct["health"] == "offline"
            assert "a test" in direct["reasons"][0]
            asked_for = create(api, order(priority=9, route="direct"))
            assert "the payout waits" in rules_of(asked_for)["routes.direct.paused"]
            completed(api, [payout])
            assert look_at(api, asked_for)["status"] == "pending"
        completed(api, [asked_for])
    assert world.paid(payout["recipient_address"]) == 1
    assert world.paid(asked_for["recipient_address"], SECOND) == 1


def test_an_operator_chooses_another_route(world: World, service: Service) -> None:
    with service.api() as api, service.api("ADMIN", "ada") as admin:
        with Paused(service):
            payout = create(api, order(route="v0", priority=9))
            path = f"/payouts/{payout['payout_id']}/route"
            refused = admin.post(path, json={"route": "kyc", "reason": "by mistake"})
            assert refusal(refused) == (400, "P101")
            moved = post(admin, path, route="direct", reason="it is urgent now")
            assert (moved["route"], moved["wallet"]) == ("direct", SECOND)
            assert moved["requested_route"] == "v0"
            assert "it is urgent now" in rules_of(moved)["route_chosen"]
        completed(api, [payout])
        late = admin.post(path, json={"route": "v0", "reason": "too late"})
        assert refusal(late) == (409, "P500")
    assert world.paid(payout["recipient_address"], SECOND) == 1
    assert world.paid(payout["recipient_address"]) == 0


# ---- compliance ----


def test_a_rule_holds_a_payout_until_a_person_releases_it(world: World, service: Service) -> None:
    body = order()
    put_on(service, "deny", body["recipient_address"])
    with service.api() as api:
        payout = create(api, body)
        assert payout["status"] == "needs_review"
        assert payout["hold"]["rules"] == ["deny_list"]
        assert payout["hold"]["roles"] == ["ADMIN"]
        completed(api, [create(api, order())])
        assert look_at(api, payout)["status"] == "needs_review"
        for role, subject in (("APPROVER", "bea"), ("ADMIN", "platform")):
            assert refusal(decide(service, payout, "release", role, subject)) == (403, "P002")
        with service.api("ADMIN", "ada") as admin:
            path = f"/payouts/{payout['payout_id']}/resolve"
            retried = admin.post(path, json={"action": "retry", "reason": "around the rule"})
            assert refusal(retried) == (409, "P500")
        assert world.paid(body["recipient_address"]) == 0
        released = decide(service, payout, "release", "ADMIN", "ada").json()
        assert (released["status"], released["hold"]) == ("pending", None)
        # It is on the list still, and the rule is asked again before it is sent.
        completed(api, [payout])
    assert world.paid(body["recipient_address"]) == 1


@pytest.mark.parametrize(
    ("list_name", "status", "code"),
    [("deny", "needs_review", "P107"), ("sanctions", "rejected", "P601")],
)
def test_a_list_is_asked_again_before_a_payout_is_sent(
    world: World, service: Service, list_name: str, status: str, code: str
) -> None:
    with service.api() as api:
        with Paused(service):
            payout = create(api, order())
            assert payout["status"] == "pending"
            put_on(service, list_name, payout["recipient_address"])
        until(lambda: look_at(api, payout)["status"] == status)
        stopped = look_at(api, payout)
        assert (stopped["status_reason"]["code"], stopped["attempts"]) == (code, 0)
        if status == "needs_review":
            rejected = decide(service, payout, "reject", "ADMIN", "ada").json()
            assert rejected["status"] == "rejected"
        completed(api, [create(api, order())])
    assert world.paid(payout["recipient_address"]) == 0


def test_what_is_sanctioned_or_on_the_tokens_blacklist_is_not_paid(
    world: World, service: Service
) -> None:
    sanctioned, frozen = order(), order()
    put_on(service, "sanctions", sanctioned["recipient_address"])
    world.control("POST", "blacklist", address=frozen["recipient_address"])
    with service.api() as api:
        assert refusal(api.post("/payouts", json=sanctioned)) == (403, "P601")
        payout = create(api, frozen)
        until(lambda: look_at(api, payout)["status"] == "rejected")
        assert look_at(api, payout)["status_reason"]["code"] == "P107"
        # TRX is not the token's to freeze.
        completed(api, [create(api, {**frozen, "currency": "TRX"})])
    assert world.transfers().count((frozen["recipient_address"], "1.00", "USDT")) == 0


def test_a_burst_to_one_recipient_is_held(service: Service) -> None:
    body = order()
    with service.api() as api:
        statuses = [create(api, body)["status"] for _ in range(6)]
        assert statuses == [*["pending"] * 4, "needs_review", "needs_review"]
        (held, _) = everything(api, recipient=body["recipient_address"], status="needs_review")
    assert held["hold"]["rules"] == ["burst_to_recipient"]
    assert decide(service, held, "reject", "APPROVER", "bea").json()["status"] == "rejected"


# ---- time ----


def test_a_scheduled_payout_waits_for_its_time(world: World, service: Service) -> None:
    at = datetime.now(UTC) + timedelta(seconds=4)
    with service.api() as api:
        body = order(payout_type="scheduled", scheduled_at=at.isoformat())
        payout, dropped = create(api, body), create(api, {**body, **recipient()})
        assert (payout["status"], payout["status_reason"]["code"]) == ("scheduled", None)
        cancelled = post(api, f"/payouts/{dropped['payout_id']}/cancel")
        assert cancelled["status"] == "cancelled"
        (done,) = completed(api, [payout])
    assert datetime.fromisoformat(done["completed_at"]) > at
    assert world.paid(dropped["recipient_address"]) == 0


def recipient() -> dict[str, str]:
    return {"recipient_address": fresh_address()}


def test_a_batch_is_released_when_it_is_full_and_when_its_time_has_come(
    world: World, service: Service
) -> None:
    weekly = {"payout_type": "batch", "batch_window": "weekly"}
    with service.api() as api:
        batch = [create(api, order(**weekly)) for _ in range(BATCH_SIZE - 1)]
        assert {one["status"] for one in batch} == {"scheduled"}
        # One by the interval is not of this batch, and is released in seconds.
        completed(api, [create(api, order(payout_type="batch"))])
        assert {look_at(api, one)["status"] for one in batch} == {"scheduled"}
        batch.append(create(api, order(**weekly)))
        completed(api, batch)
    assert all(world.paid(one["recipient_address"]) == 1 for one in batch)


@pytest.mark.parametrize(
    "fields",
    [
        {"payout_type": "scheduled"},
        {"payout_type": "scheduled", "scheduled_at": "2020-01-01T00:00:00Z"},
        {"payout_type": "scheduled", "scheduled_at": "2999-01-01T00:00:00Z"},
        {"scheduled_at": "2999-01-01T00:00:00Z"},
        {"batch_window": "daily"},
    ],
)
def test_times_that_cannot_be_are_refused(service: Service, fields: dict[str, str]) -> None:
    with service.api() as api:
        answer = api.post("/payouts", json=order(**fields))
    assert refusal(answer) == (400, "P003")


# ---- limits ----

LIMITED: Changes = {
    **QUICK,
    ROUTER: {
        **QUICK[ROUTER],
        "routes.v0.currencies.USDT": {
            "min_amount": "0.01",
            "max_amount": "1000",
            "monthly_limit": "1000",
        },
        # As shipped: a crowd at one window waits longer than for a database that is gone.
        "mongodb.socket_timeout_seconds": 20,
    },
    POLICIES: {
        **QUICK[POLICIES],
        "client_limits.SERVICE.TRX": {"monthly_count": 40},
    },
}
REQUESTS = 200
FITTING = {"USDT": 100, "TRX": 40}
"""1,000 USDT a month by the route in payouts of 10, and 40 payouts of TRX a month of the client."""


def test_limits_are_exact_however_many_ask_at_once_on_two_replicas(
    tmp_path: Path, mongodb_url: str
) -> None:
    with World(tmp_path, mongodb_url, LIMITED) as world:
        first, second = services = world.service("first"), world.service("second")
        for service in services:
            service.start()
            until(service.is_healthy)
        with first.api() as one, second.api() as other:
            with Paused(first):
                for currency, fitting in FITTING.items():
                    answers = rush((one, other), currency, REQUESTS)
                    assert codes(answers) == {None: fitting, "P104": REQUESTS - fitting}
                    taken = [answer.json() for answer in answers if answer.is_success]
                    # What dies unpaid gives its place back.
                    for payout in taken[:3]:
                        post(other, f"/payouts/{payout['payout_id']}/cancel")
                    again = rush((one, other), currency, 20)
                    assert codes(again) == {None: 3, "P104": 17}
                with first.api("ADMIN") as admin:
                    windows = admin.get("/limits").json()["windows"]
                (window,) = [
                    each
                    for each in windows
                    if (each["owner"], each["currency"], each["period"]) == ("v0", "USDT", "month")
                ]
                full = {"limit": "1000.00", "used": "1000.00", "left": "0.00"}
                assert window["amount"] == full
            alive = [each for each in everything(one) if each["status"] != "cancelled"]
            done = completed(one, alive)
        assert Counter(payout["currency"] for payout in done) == FITTING
        assert sorted(world.transfers()) == asked(done)


def rush(apis: Sequence[httpx.Client], currency: str, count: int) -> list[httpx.Response]:
    """So many creates at once, spread over the replicas; each is sent until it is decided."""

    def send(number: int) -> httpx.Response:
        body, key = order(amount="10", currency=currency), keyed(uuid.uuid4().hex)
        while True:
            answer = apis[number % len(apis)].post("/payouts", json=body, headers=key)
            if answer.status_code not in (409, 503):
                return answer

    return at_once(send, range(count), count)


def codes(answers: Sequence[httpx.Response]) -> Counter[str | None]:
    """How many answers have which P-code; None for those that took the payout."""
    return Counter(answer.json().get("code") for answer in answers)
