"""secp256k1 as TRON uses it: addresses of keys, signatures, and who signed."""

from coincurve import PrivateKey, PublicKey
from Crypto.Hash import keccak

from adapters.tron.protocol import ADDRESS_PREFIX, hex_to_address

SIGNATURE_BYTES = 65


def address_of_private_key(private_key: bytes) -> str:
    """The base58check address of a 32-byte private key. Raises ValueError if it is no key."""
    return address_of_point(private_key_of(private_key).public_key)


def private_key_of(private_key: bytes) -> PrivateKey:
    """The key object of 32 bytes. Raises ValueError unless they are a number in 1..order-1."""
    if len(private_key) != 32:
        raise ValueError("a private key has 32 bytes")
    return PrivateKey(private_key)


def address_of_point(point: PublicKey) -> str:
    """Base58check of 0x41 and the last 20 bytes of the Keccak-256 of the uncompressed point."""
    digest = keccak.new(digest_bits=256, data=point.format(compressed=False)[1:]).digest()
    return hex_to_address((bytes([ADDRESS_PREFIX]) + digest[-20:]).hex())


def recover(digest: bytes, signature: bytes) -> str:
    """The address whose key signed the 32-byte digest; `signature` is r‖s‖v with v 0 or 1.

    Raises ValueError when no address can be recovered.
    """
    if len(digest) != 32 or len(signature) != SIGNATURE_BYTES:
        raise ValueError("a digest of 32 bytes and a signature of 65 are needed")
    try:
        point = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception as error:  # the binding raises bare Exception for some inputs
        raise ValueError("the signature fits no key") from error
    return address_of_point(point)
