"""TRON addresses: base58check of 21 bytes, of which the first is 0x41."""

import hashlib

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {character: value for value, character in enumerate(_ALPHABET)}
_PREFIX = b"\x41"
_LENGTH = 34

ZERO_ADDRESS = "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb"
"""0x41 and twenty zero bytes: what is sent there is lost."""


def address_bytes(address: str) -> bytes:
    """The 21 bytes of a base58check address.

    Raises ValueError with a sentence for people: wrong length, character, prefix or checksum.
    """
    if len(address) != _LENGTH:
        raise ValueError(
            f"must be a base58check address of {_LENGTH} characters that begins with T"
        )
    number = 0
    for character in address:
        digit = _DIGITS.get(character)
        if digit is None:
            raise ValueError("has a character that base58 does not use")
        number = number * 58 + digit
    data = number.to_bytes(25, "big")  # 58 ** 34 < 2 ** 200
    payload, checksum = data[:21], data[21:]
    if payload[:1] != _PREFIX:
        raise ValueError("is not a TRON address: the prefix is not 0x41")
    if _checksum(payload) != checksum:
        raise ValueError("has a wrong checksum: a character is mistyped")
    return payload


def address_text(payload: bytes) -> str:
    """The base58check text of 21 address bytes (0x41 first). Raises ValueError otherwise."""
    if len(payload) != 21 or payload[:1] != _PREFIX:
        raise ValueError("an address is 21 bytes of which the first is 0x41")
    number = int.from_bytes(payload + _checksum(payload), "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return text


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
