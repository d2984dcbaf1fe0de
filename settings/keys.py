"""The keys that verify tokens: shared secrets by key id, and public keys of a JWKS file."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import AfterValidator, BeforeValidator, SecretStr

MIN_SECRET_BYTES: Final = 32
MIN_RSA_BITS: Final = 2048
MAX_JWKS_BYTES: Final = 1 << 20

_KEY_ID: Final = re.compile(r"[!-~]{1,128}")

_ALGORITHMS: Final[Mapping[str, str]] = MappingProxyType(
    {"RSA": "RS256", "EC P-256": "ES256", "OKP Ed25519": "EdDSA"}
)
"""kty and crv of a public key → the one algorithm that it verifies (RFC 7518 §3.1, RFC 8037
§3.1). No other kind is taken."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key, and the algorithms that it verifies: a token cannot choose another one."""

    algorithms: tuple[str, ...]
    key: Any = field(repr=False)


KeyRing: TypeAlias = Mapping[str | None, VerifyingKey]
"""Key id → key; None is for tokens that name no key."""


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """An HMAC secret besides JWT_SECRET_KEY."""

    kid: str
    secret: SecretStr


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key of a JWKS file."""

    kid: str
    verifying: VerifyingKey


def key_ring(
    current: SecretStr,
    current_id: str | None,
    others: Sequence[SharedSecret],
    public: Sequence[PublicKey],
    algorithms: tuple[str, ...],
) -> KeyRing:
    """Every active key. `algorithms` are those of the secrets; a public key has its own."""
    first = VerifyingKey(algorithms, current.get_secret_value())
    return {
        **{one.kid: VerifyingKey(algorithms, one.secret.get_secret_value()) for one in others},
        **{one.kid: one.verifying for one in public},
        **dict.fromkeys({None, current_id}, first),
    }


def _key_id(value: str) -> str:
    if not _KEY_ID.fullmatch(value):
        raise ValueError("a key id of 1 to 128 visible ASCII characters")
    return value


def _secret(value: SecretStr) -> SecretStr:
    if not _is_long(value.get_secret_value()):
        raise ValueError(f"at least {MIN_SECRET_BYTES} bytes")
    return value


def _is_long(secret: str) -> bool:
    return len(secret.encode()) >= MIN_SECRET_BYTES


def _secrets(value: str) -> tuple[SharedSecret, ...]:
    """`kid:secret`, separated by commas or line breaks."""
    parts = [part.strip() for part in re.split(r"[,\n]", value) if part.strip()]
    named = [part.partition(":")[::2] for part in parts]
    if not all(_KEY_ID.fullmatch(kid) and _is_long(key) for kid, key in named):
        raise ValueError(
            "kid:secret, several separated by commas or line breaks, each secret of at least "
            f"{MIN_SECRET_BYTES} bytes"
        )
    _check_unique([kid for kid, _ in named])
    return tuple(SharedSecret(kid, SecretStr(key)) for kid, key in named)


def _public_keys(value: str) -> tuple[PublicKey, ...]:
    """The keys of the JWKS file (RFC 7517 §5) at a path."""
    try:
        with Path(value).open("rb") as file:
            content = file.read(MAX_JWKS_BYTES + 1)
        entries = json.loads(content[:MAX_JWKS_BYTES])["keys"]
        if len(content) > MAX_JWKS_BYTES or not isinstance(entries, list) or not entries:
            raise ValueError
    except OSError as error:
        raise ValueError(f"a readable JWKS file ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(
            f'a JWKS file, {{"keys": […]}} with one key or more, of at most {MAX_JWKS_BYTES} bytes'
        ) from None
    keys = tuple(_public_key(number, entry) for number, entry in enumerate(entries))
    _check_unique([one.kid for one in keys])
    return keys


def _public_key(number: int, entry: object) -> PublicKey:
    """One key of a JWKS. Raises ValueError that says which one and what is taken."""
    jwk = entry if isinstance(entry, dict) else {}
    kind = " ".join(str(jwk[member]) for member in ("kty", "crv") if member in jwk)
    kid, algorithm = jwk.get("kid"), _ALGORITHMS.get(kind)
    fits = (
        isinstance(kid, str)
        and _KEY_ID.fullmatch(kid)
        and algorithm is not None
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and "d" not in jwk
    )
    try:
        key = jwt.PyJWK(jwk, algorithm).key if fits else None
        if key is None or (isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS):
            raise ValueError
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        raise ValueError(
            f"keys[{number}] to be a public key to verify with, and a kid: RSA of at least "
            f"{MIN_RSA_BITS} bits for RS256, EC P-256 for ES256, or OKP Ed25519 for EdDSA"
        ) from None
    return PublicKey(str(kid), VerifyingKey((str(algorithm),), key))


def _check_unique(kids: Sequence[str]) -> None:
    if len(set(kids)) != len(kids):
        raise ValueError("each key id once")


JwtKey = Annotated[SecretStr, AfterValidator(_secret)]
KeyId = Annotated[str, AfterValidator(_key_id)]
SharedSecrets = Annotated[tuple[SharedSecret, ...], BeforeValidator(_secrets)]
PublicKeys = Annotated[tuple[PublicKey, ...], BeforeValidator(_public_keys)]
