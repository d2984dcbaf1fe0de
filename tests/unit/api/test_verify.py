"""Which keys verify which tokens: rotation, public keys, and keys that are taken for others."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.verify import Claims, authenticate, verify
from config import Settings
from models.errors import PayoutError
from models.permission import Reach
from tests.unit.api.edge import KEY, make_settings, token
from tests.unit.keys import jwk, jwks, private_key

OLD, NEW = "o" * 64, "n" * 64
ALGORITHMS = {"RSA": "RS256", "P-256": "ES256", "Ed25519": "EdDSA"}


def taken(settings: Settings, bearer: str) -> Claims:
    return verify(bearer, settings.token_keys, settings.security.jwt)


def refused(settings: Settings, bearer: str) -> str:
    with pytest.raises(PayoutError) as refusal:
        taken(settings, bearer)
    assert refusal.value.code == "P001"
    return refusal.value.message


def by(kid: str | None, key: Any = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    """A good token of that key, which it names."""
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(
        jwt.decode(token(**claims), options={"verify_signature": False}), key, algorithm, headers
    )


@pytest.fixture
def public(tmp_path: Path) -> Settings:
    """A secret, and a public key of each kind whose id is its kind."""
    return make_settings(JWT_KEY_ID="own", JWT_JWKS_FILE=jwks(tmp_path, *map(jwk, ALGORITHMS)))


# ---- secrets and their rotation ----


def test_a_token_names_its_secret_or_is_of_the_current_one() -> None:
    settings = make_settings(JWT_KEY_ID="now", JWT_OTHER_SECRET_KEYS=f"old:{OLD}")
    for bearer in (by(None), by("now"), by("old", OLD)):
        assert taken(settings, bearer).sub == "alice"
    for bearer in (by(None, OLD), by("now", OLD), by("old", KEY)):
        assert refused(settings, bearer) == "the token is not valid"


@pytest.mark.parametrize("kid", ["unknown", "", "None", "NOW", "now "])
def test_a_key_that_is_not_active(kid: str) -> None:
    settings = make_settings(JWT_KEY_ID="now")
    assert "not active" in refused(settings, by(kid))


def test_a_secret_without_a_name_is_not_found_by_one() -> None:
    assert "not active" in refused(make_settings(), by("now"))


STEPS: list[tuple[Mapping[str, str], set[str]]] = [
    ({"JWT_SECRET_KEY": OLD}, {"bare"}),
    ({"JWT_SECRET_KEY": OLD, "JWT_KEY_ID": "old"}, {"bare", "old"}),
    (
        {"JWT_SECRET_KEY": OLD, "JWT_KEY_ID": "old", "JWT_OTHER_SECRET_KEYS": f"new:{NEW}"},
        {"bare", "old", "new"},
    ),
    (
        {"JWT_SECRET_KEY": NEW, "JWT_KEY_ID": "new", "JWT_OTHER_SECRET_KEYS": f"old:{OLD}"},
        {"old", "new"},
    ),
    ({"JWT_SECRET_KEY": NEW, "JWT_KEY_ID": "new"}, {"new"}),
]
"""The rotation of docs/tokens.md: the settings after each step, and whose tokens then count."""


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_each_step_of_a_rotation(step: int) -> None:
    bearers = {"bare": by(None, OLD), "old": by("old", OLD), "new": by("new", NEW)}
    environ, expected = STEPS[step]
    settings = make_settings(**environ)
    keys, policy = settings.token_keys, settings.security.jwt
    counted = set()
    for name, bearer in bearers.items():
        try:
            verify(bearer, keys, policy)
        except PayoutError:
            continue
        counted.add(name)
    assert counted == expected


# ---- public keys, and keys taken for others ----


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_a_public_key_verifies(public: Settings, kind: str) -> None:
    assert taken(public, by(kind, private_key(kind), ALGORITHMS[kind])).sub == "alice"


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("RSA", "RS384"), ("RSA", "RS512"), ("RSA", "PS256")],
)
def test_a_public_key_verifies_no_other_algorithm(
    public: Settings, kind: str, algorithm: str
) -> None:
    refused(public, by(kind, private_key(kind), algorithm))


@pytest.mark.parametrize("kind", ALGORITHMS)
@pytest.mark.parametrize("kid", [None, "own", *ALGORITHMS])
def test_a_key_verifies_under_its_own_name_only(
    public: Settings, kind: str, kid: str | None
) -> None:
    bearer = by(kid, private_key(kind), ALGORITHMS[kind])
    if kid == kind:
        taken(public, bearer)
    else:
        refused(public, bearer)


def hmac_with(key: bytes, kid: str, algorithm: str = "HS256") -> str:
    """A token signed with any bytes: the library itself refuses keys that are public."""
    payload = jwt.decode(token(), options={"verify_signature": False})
    parts = [{"alg": algorithm, "typ": "JWT", "kid": kid}, payload]
    text = b".".join(
        base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in parts
    )
    digest = hmac.new(key, text, hashlib.sha256).digest()
    return (text + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")).decode()


def public_bytes(kind: str) -> list[bytes]:
    """Every way in which a public key is commonly written."""
    key = private_key(kind).public_key()
    spki = PublicFormat.SubjectPublicKeyInfo
    return [
        key.public_bytes(Encoding.PEM, spki),
        key.public_bytes(Encoding.PEM, spki).strip(),
        key.public_bytes(Encoding.DER, spki),
        json.dumps(jwk(kind)).encode(),
    ]


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_a_public_key_is_no_secret(public: Settings, kind: str) -> None:
    """The attack: the public key, which everybody has, taken as the secret of an HMAC."""
    for key in public_bytes(kind):
        for kid in (kind, "own"):
            refused(public, hmac_with(key, kid))
    assert taken(public, hmac_with(KEY.encode(), "own")), "that is how such a token is made"


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_a_secret_is_no_public_key(public: Settings, kind: str) -> None:
    refused(public, hmac_with(KEY.encode(), "own", ALGORITHMS[kind]))
    refused(public, by("own", private_key(kind), ALGORITHMS[kind]))


def test_a_token_brings_no_key_of_its_own(public: Settings) -> None:
    payload = jwt.decode(token(), options={"verify_signature": False})
    headers: list[Callable[[], dict[str, Any]]] = [
        lambda: {"jwk": jwk("Ed448")},
        lambda: {"jku": "https://keys.test/jwks.json", "kid": "Ed448"},
        lambda: {"x5u": "https://keys.test/chain.pem"},
        lambda: {"jwk": jwk("Ed448"), "kid": "Ed25519"},
    ]
    for made in headers:
        refused(public, jwt.encode(payload, private_key("Ed448"), "EdDSA", headers=made()))


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], "exp", None])
def test_what_is_critical_is_not_understood(crit: Any) -> None:
    payload = jwt.decode(token(), options={"verify_signature": False})
    bearer = jwt.encode(payload, KEY, "HS256", headers={"crit": crit})
    refused(make_settings(), bearer)


def test_a_kid_is_text() -> None:
    for kid in (7, None, ["own"], {"a": 1}):
        parts = [{"alg": "HS256", "kid": kid}, {"sub": "alice"}]
        encoded = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in parts]
        refused(make_settings(), b".".join([*encoded, b"AAAA"]).decode())


# ---- claims ----


@pytest.mark.parametrize(
    ("claims", "fine"),
    [
        ({"iss": "https://issuer.test", "aud": "payouts"}, True),
        ({"iss": "https://issuer.test", "aud": ["other", "payouts"]}, True),
        ({"iss": "https://issuer.test"}, False),
        ({"aud": "payouts"}, False),
        ({"iss": "https://other.test", "aud": "payouts"}, False),
        ({"iss": "https://issuer.test/", "aud": "payouts"}, False),
        ({"iss": "https://issuer.test", "aud": "payouts2"}, False),
        ({"iss": "https://issuer.test", "aud": []}, False),
        ({}, False),
    ],
)
def test_issuer_and_audience_where_they_are_set(claims: dict[str, Any], fine: bool) -> None:
    settings = make_settings(JWT_ISSUER="https://issuer.test", JWT_AUDIENCE="payouts")
    if fine:
        taken(settings, token(**claims))
    else:
        refused(settings, token(**claims))


def test_issuer_and_audience_are_not_looked_at_otherwise() -> None:
    taken(make_settings(), token(iss="anybody", aud="anything"))
    refused(make_settings(JWT_ISSUER="i"), token(aud="anything"))
    taken(make_settings(JWT_ISSUER="i"), token(iss="i", aud="anything"))


@pytest.mark.parametrize("tenant", ["", "a b", "a:b", "a/b", "x" * 65, 7, ["a"], "ä"])
def test_what_is_no_tenant(tenant: Any) -> None:
    refused(make_settings(), token(tenant=tenant))


@pytest.mark.parametrize("jti", ["", 7, "x" * 129, "a\nb", ["a"]])
def test_what_is_no_token_id(jti: Any) -> None:
    refused(make_settings(), token(jti=jti))


def test_the_caller_that_a_token_speaks_for() -> None:
    settings = make_settings()
    issued = int(time.time()) - 5
    bearer = token("USER", tenant="north", node_id="n1", jti="one", iat=issued)
    caller = authenticate(bearer, settings.token_keys, settings.security, "request-1")
    assert (caller.subject, caller.role, caller.tenant) == ("alice", "USER", "north")
    assert (caller.node_id, caller.token_id, caller.issued_at) == ("n1", "one", issued)
    assert caller.request_id == "request-1"
    assert caller.grants["payout:create"] is Reach.OWN
