"""Keys and JWKS files for tests."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

EXPONENT = 65537


@cache
def private_key(kind: str) -> Any:
    """A key of a kind, the same one each time."""
    match kind:
        case "RSA" | "RSA-1024":
            return rsa.generate_private_key(EXPONENT, 1024 if kind.endswith("1024") else 2048)
        case "P-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "secp256k1":
            return ec.generate_private_key(ec.SECP256K1())
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
    return ed448.Ed448PrivateKey.generate()


def jwk(kind: str, *, private: bool = False, **members: Any) -> dict[str, Any]:
    """The JWK of such a key; `members` replace its own."""
    key = private_key(kind)
    shown = key if private else key.public_key()
    family: Any = RSAAlgorithm if kind.startswith("RSA") else ECAlgorithm
    family = OKPAlgorithm if kind.startswith("Ed") else family
    own = {name: value for name, value in family.to_jwk(shown, True).items() if name != "key_ops"}
    given = own | {"kid": kind} | members
    return {name: value for name, value in given.items() if value is not None}


def jwks(folder: Path, *keys: Any) -> str:
    """The path of a JWKS file."""
    path = folder / "jwks.json"
    path.write_text(json.dumps({"keys": list(keys)}), encoding="utf-8")
    return str(path)
