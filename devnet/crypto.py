"""Keys, signatures and hashes as TRON uses them."""

from functools import lru_cache
from typing import Final

from coincurve import PrivateKey, PublicKey
from Crypto.Hash import keccak

from adapters.tron.protocol import ADDRESS_PREFIX

SIGNATURE_LENGTH: Final = 65


def keccak256(data: bytes) -> bytes:
    """Keccak-256 (not SHA3-256) of the data."""
    return keccak.new(digest_bits=256, data=data).digest()


@lru_cache(maxsize=1_024)
def address_of(private_key: str) -> bytes:
    """The 21-byte address of a private key in hex."""
    return _address_of_point(_key(private_key).public_key)


def sign(private_key: str, digest: bytes) -> bytes:
    """A signature r‖s‖v of 65 bytes over a 32-byte digest (RFC 6979, low s, v 0 or 1)."""
    return _key(private_key).sign_recoverable(digest, hasher=None)


@lru_cache(maxsize=65_536)
def recover(digest: bytes, signature: bytes) -> bytes:
    """The 21-byte address that signed a digest; v may be 0/1 or 27/28, bytes after the 65th are
    ignored, as java-tron does.

    Raises ValueError where no address can be recovered.
    """
    if len(signature) < SIGNATURE_LENGTH:
        raise ValueError(f"Signature size is {len(signature)}")
    v = signature[64]
    recovery_id = v - 27 if v >= 27 else v
    try:
        point = PublicKey.from_signature_and_message(
            signature[:64] + bytes([recovery_id]), digest, hasher=None
        )
    except Exception as error:  # coincurve raises bare Exception and ValueError alike
        raise ValueError("Signature is not recoverable") from error
    return _address_of_point(point)


@lru_cache(maxsize=1_024)
def _key(private_key: str) -> PrivateKey:
    return PrivateKey.from_hex(private_key)


def _address_of_point(point: PublicKey) -> bytes:
    return bytes([ADDRESS_PREFIX]) + keccak256(point.format(compressed=False)[1:])[-20:]
