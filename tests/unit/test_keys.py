"""The keys that verify tokens: which are taken, and for which algorithms."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config import ConfigError, Settings, load_settings
from settings.keys import MAX_JWKS_BYTES
from tests.unit.keys import jwk, jwks
from tests.unit.test_config import ENVIRON, SECRET

OLD, OLDER = "o" * 32, "p" * 32


def settings(**environ: str) -> Settings:
    return load_settings(ENVIRON | environ)


def complaint(**environ: str) -> str:
    with pytest.raises(ConfigError) as refusal:
        settings(**environ)
    (problem,) = refusal.value.problems
    return str(problem)


def test_one_secret_verifies_tokens_that_name_no_key() -> None:
    (kid,) = settings().token_keys
    assert kid is None


def test_a_named_secret_verifies_with_and_without_its_name() -> None:
    keys = settings(JWT_KEY_ID="2030-02").token_keys
    assert set(keys) == {None, "2030-02"}
    assert {key.key for key in keys.values()} == {SECRET}


@pytest.mark.parametrize(
    "others",
    [f"old:{OLD},older:{OLDER}", f"old:{OLD}\nolder:{OLDER}\n", f" old:{OLD} , older:{OLDER},"],
)
def test_other_secrets_have_names(others: str) -> None:
    keys = settings(JWT_OTHER_SECRET_KEYS=others).token_keys
    assert {kid: key.key for kid, key in keys.items()} == {None: SECRET, "old": OLD, "older": OLDER}
    assert {key.algorithms for key in keys.values()} == {("HS256",)}


def test_a_secret_may_hold_colons() -> None:
    keys = settings(JWT_OTHER_SECRET_KEYS=f"old:{OLD}:{OLDER}").token_keys
    assert keys["old"].key == f"{OLD}:{OLDER}"


@pytest.mark.parametrize(
    "others",
    [
        "old",
        f":{OLD}",
        f"two words:{OLD}",
        "old:" + "o" * 31,
        f"old:{OLD},old:{OLDER}",
        f"old:{OLD},x",
    ],
)
def test_other_secrets_that_are_none(others: str) -> None:
    text = complaint(JWT_OTHER_SECRET_KEYS=others)
    assert text.startswith("JWT_OTHER_SECRET_KEYS: expected ")
    assert OLD not in text


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("RSA", "RS256"), ("P-256", "ES256"), ("Ed25519", "EdDSA")]
)
def test_a_public_key_verifies_one_algorithm(tmp_path: Path, kind: str, algorithm: str) -> None:
    for entry in (jwk(kind), jwk(kind, alg=algorithm, use="sig", key_ops=["verify"])):
        keys = settings(JWT_JWKS_FILE=jwks(tmp_path, entry)).token_keys
        assert set(keys) == {None, kind}
        assert keys[kind].algorithms == (algorithm,)


UNFIT = {
    "no kid": lambda: jwk("RSA", kid=None),
    "kid a number": lambda: jwk("RSA", kid=7),
    "kid empty": lambda: jwk("RSA", kid=""),
    "kid of two words": lambda: jwk("RSA", kid="a b"),
    "an RSA key that is short": lambda: jwk("RSA-1024"),
    "another curve": lambda: jwk("P-384"),
    "the curve of TRON": lambda: jwk("secp256k1"),
    "another Edwards curve": lambda: jwk("Ed448"),
    "a shared secret": lambda: {"kty": "oct", "k": "c2VjcmV0", "kid": "s"},
    "a private RSA key": lambda: jwk("RSA", private=True),
    "a private EC key": lambda: jwk("P-256", private=True),
    "another algorithm of the key": lambda: jwk("RSA", alg="RS512"),
    "an algorithm of secrets": lambda: jwk("RSA", alg="HS256"),
    "a key to encrypt with": lambda: jwk("RSA", use="enc"),
    "a point off the curve": lambda: jwk("P-256", x=jwk("P-256")["y"]),
    "a modulus that is none": lambda: jwk("RSA", n="!"),
    "no modulus": lambda: jwk("RSA", n=None),
    "a curve that is a list": lambda: jwk("P-256", crv=["P-256"]),
    "no object": lambda: "key",
}


@pytest.mark.parametrize("unfit", UNFIT.values(), ids=UNFIT)
def test_unfit_public_keys(tmp_path: Path, unfit: Callable[[], Any]) -> None:
    text = complaint(JWT_JWKS_FILE=jwks(tmp_path, jwk("Ed25519"), unfit()))
    assert text.startswith("JWT_JWKS_FILE: expected keys[1] to be a public key")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"keys": []}', '{"keys": {}}', '{"keys": null}', "\ud800", "[" * 100_000],
    ids=["empty", "list", "object", "no key", "keys an object", "null", "no UTF-8", "deep"],
)
def test_what_is_no_jwks_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert complaint(JWT_JWKS_FILE=str(file)).startswith("JWT_JWKS_FILE: expected a JWKS file")


def test_a_jwks_file_that_is_too_large(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [jwk("RSA")]}) + " " * MAX_JWKS_BYTES)
    assert "JWKS" in complaint(JWT_JWKS_FILE=str(file))


def test_a_jwks_file_that_is_not_there(tmp_path: Path) -> None:
    text = complaint(JWT_JWKS_FILE=str(tmp_path / "none.json"))
    assert text.startswith("JWT_JWKS_FILE: expected a readable JWKS file (No such file")


def test_key_ids_are_unique(tmp_path: Path) -> None:
    file = jwks(tmp_path, jwk("RSA"), jwk("P-256", kid="RSA"))
    assert "each key id once" in complaint(JWT_JWKS_FILE=file)
    file = jwks(tmp_path, jwk("RSA"))
    for others in ({"JWT_KEY_ID": "RSA"}, {"JWT_OTHER_SECRET_KEYS": f"RSA:{OLD}"}):
        text = complaint(JWT_JWKS_FILE=file, **others)
        assert text == "JWT_JWKS_FILE: expected key ids that no other key has, found RSA again"
    text = complaint(JWT_KEY_ID="old", JWT_OTHER_SECRET_KEYS=f"old:{OLD}")
    assert text.startswith("JWT_OTHER_SECRET_KEYS: ")


def test_no_key_is_shown() -> None:
    keys = settings(JWT_OTHER_SECRET_KEYS=f"old:{OLD}").token_keys
    assert SECRET not in repr(keys)
    assert OLD not in repr(keys)
