"""Tokens between real processes: revoked everywhere, and signed by every active key."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest

from devnet.embedded import Mongod
from tests.e2e.kit import JWT_SECRET, Service, World, run_to_its_end, token, until
from tests.unit.keys import jwk, jwks, private_key

REVOKED_WITHIN_SECONDS = 2.0
"""What is promised for every replica."""


def asks(service: Service, bearer: str, path: str = "/payouts") -> httpx.Response:
    """The answer to a request with that token."""
    return httpx.get(
        f"{service.url}{path}", headers={"Authorization": f"Bearer {bearer}"}, timeout=30
    )


def revoke(service: Service, **what: str) -> None:
    """Revoke as an operator."""
    with service.api("ADMIN", "operator") as api:
        answer = api.post("/admin/tokens/revoke", json={"reason": "stolen", **what})
    assert answer.status_code == 200, answer.text


def refused_in_time(services: list[Service], bearer: str) -> None:
    """Every replica refuses the token, at the latest when it was promised."""
    deadline = time.monotonic() + REVOKED_WITHIN_SECONDS
    waiting = list(services)
    while waiting:
        late = time.monotonic() > deadline
        answers = {one.name: asks(one, bearer) for one in waiting}
        waiting = [one for one in waiting if answers[one.name].status_code != 401]
        assert not waiting or not late, f"{[one.name for one in waiting]} still let it in"


def test_a_revocation_holds_on_every_replica_whatever_becomes_of_redis(
    tmp_path: Path, mongodb_url: str
) -> None:
    with World(tmp_path, mongodb_url) as world:
        replicas = [world.service("first"), world.service("second")]
        for replica in replicas:
            replica.start()
        tokens = {name: token(subject=f"client-{name}", jti=name) for name in "abcd"}
        spared = token(subject="client-a", jti="spared")

        def let_in(*names: str) -> None:
            for one in replicas:
                for bearer in (*(tokens[name] for name in names), spared):
                    assert asks(one, bearer).status_code == 200

        let_in("a", "b", "c", "d")
        revoke(replicas[0], jti="a")
        refused_in_time(replicas, tokens["a"])
        let_in("b", "c", "d")
        revoke(replicas[1], subject="client-b")
        refused_in_time(replicas, tokens["b"])
        let_in("c", "d")

        world.valkey.kill()
        refused_in_time(replicas, tokens["a"])
        revoke(replicas[0], jti="c")
        refused_in_time(replicas, tokens["c"])
        let_in("d")

        world.start_valkey()
        replicas[0].stop()
        replicas[0].start()
        for name in "abc":
            refused_in_time(replicas, tokens[name])
        let_in("d")
        with replicas[1].api("ADMIN", "operator") as api:
            listed = api.get("/admin/tokens/revocations").json()["items"]
        assert [(one["subject"], one["jti"]) for one in listed] == [
            ("client-b", None),
            (None, "a"),
            (None, "c"),
        ]


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    """A database that goes away."""
    with Mongod(tmp_path / "mongod") as mongod:
        yield mongod


def test_while_mongodb_is_away_only_what_is_known_is_decided(
    tmp_path: Path, mongod: Mongod
) -> None:
    with World(tmp_path / "world", mongod.url, METRICS_PUBLIC="false") as world:
        service = world.service()
        service.start()
        stolen = token(subject="thief", jti="stolen")
        assert asks(service, stolen, "/metrics").status_code == 200
        revoke(service, jti="stolen")
        refused_in_time([service], stolen)
        mongod.kill()
        assert asks(service, stolen, "/metrics").status_code == 401
        unknown = asks(service, token(subject="somebody"), "/metrics")
        assert (unknown.status_code, unknown.json()["code"]) == (503, "P007")
        mongod.start()
        until(lambda: asks(service, token(subject="somebody"), "/metrics").status_code == 200)


def test_every_active_key_signs(world: World, tmp_path: Path) -> None:
    old = "e2e secret of the last month 1f7c99aa"
    keys = {
        "JWT_KEY_ID": "now",
        "JWT_OTHER_SECRET_KEYS": f"old:{old}",
        "JWT_JWKS_FILE": jwks(tmp_path, jwk("RSA"), jwk("Ed25519")),
        "JWT_ISSUER": "https://issuer.test",
    }
    service = world.service("keys", **keys)
    service.start()
    claims = jwt.decode(token(iss="https://issuer.test"), options={"verify_signature": False})
    signed = {
        200: [
            jwt.encode(claims, JWT_SECRET, "HS256"),
            jwt.encode(claims, JWT_SECRET, "HS256", {"kid": "now"}),
            jwt.encode(claims, old, "HS256", {"kid": "old"}),
            jwt.encode(claims, private_key("RSA"), "RS256", {"kid": "RSA"}),
            jwt.encode(claims, private_key("Ed25519"), "EdDSA", {"kid": "Ed25519"}),
        ],
        401: [
            jwt.encode(claims, old, "HS256"),
            jwt.encode(claims, old, "HS256", {"kid": "now"}),
            jwt.encode(claims, private_key("RSA"), "RS256", {"kid": "Ed25519"}),
            jwt.encode(claims, private_key("P-256"), "ES256", {"kid": "P-256"}),
            token(),
        ],
    }
    for status, bearers in signed.items():
        assert [asks(service, bearer).status_code for bearer in bearers] == [status] * 5
    arguments = ("token", "--sub", "shop", "--role", "USER", "--tenant", "north", "--kid", "old")
    made = run_to_its_end(world.environment(**keys), *arguments)
    assert made.returncode == 0
    assert asks(service, made.stdout.strip()).status_code == 200
    # Of two keys with one name nobody can tell which one is meant.
    run = run_to_its_end(world.environment(**keys | {"JWT_KEY_ID": "RSA"}))
    assert run.returncode == 78
    assert "JWT_JWKS_FILE: expected key ids that no other key has, found RSA again" in run.stderr
