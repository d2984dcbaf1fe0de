"""Base58check addresses."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.address import ZERO_ADDRESS, address_bytes, address_text

USDT = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
USDT_HEX = "41a614f803b6fd780986a42c78ec9c7f77e6ded13c"
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

payloads = st.binary(min_size=20, max_size=20).map(lambda account: b"\x41" + account)


def base58check(payload: bytes) -> str:
    """Base58check by the definition: leading zero bytes are ones."""
    checksum = hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    data = payload + checksum
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


@given(payloads)
def test_text_and_bytes_are_one(payload: bytes) -> None:
    text = address_text(payload)
    assert text == base58check(payload)
    assert len(text) == 34
    assert text[0] == "T"
    assert address_bytes(text) == payload


def test_a_known_address() -> None:
    assert address_bytes(USDT).hex() == USDT_HEX
    assert address_text(bytes.fromhex(USDT_HEX)) == USDT
    assert address_bytes(ZERO_ADDRESS) == b"\x41" + bytes(20)


@given(payloads, st.integers(0, 33), st.sampled_from(ALPHABET))
def test_one_mistyped_character_is_always_noticed(
    payload: bytes, position: int, character: str
) -> None:
    text = address_text(payload)
    typo = text[:position] + character + text[position + 1 :]
    if typo == text:
        assert address_bytes(typo) == payload
        return
    with pytest.raises(ValueError, match=r"checksum|prefix"):
        address_bytes(typo)


@given(payloads, st.integers(0, 32))
def test_two_swapped_characters_are_always_noticed(payload: bytes, position: int) -> None:
    text = address_text(payload)
    pair = text[position : position + 2]
    typo = text[:position] + pair[::-1] + text[position + 2 :]
    if typo != text:
        with pytest.raises(ValueError, match=r"checksum|prefix"):
            address_bytes(typo)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        payload = address_bytes(text)
    except ValueError:
        return
    assert address_text(payload) == text


@given(st.text(ALPHABET, min_size=34, max_size=34))
def test_any_base58_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        payload = address_bytes(text)
    except ValueError:
        return
    assert address_text(payload) == text


@given(
    st.integers(0, 255).filter(lambda prefix: prefix != 0x41), st.binary(min_size=20, max_size=20)
)
def test_another_prefix_is_refused(prefix: int, account: bytes) -> None:
    payload = bytes([prefix]) + account
    with pytest.raises(ValueError, match=r"prefix|34 characters"):
        address_bytes(base58check(payload))
    with pytest.raises(ValueError, match="41"):
        address_text(payload)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "34 characters"),
        (USDT[:-1], "34 characters"),
        (USDT + "t", "34 characters"),
        (" " + USDT, "34 characters"),
        (USDT_HEX, "34 characters"),
        ("0x" + USDT_HEX[2:], "34 characters"),
        (USDT.replace("j", "0", 1), "base58"),
        (USDT.replace("j", "l", 1), "base58"),
        (USDT.replace("j", "Т", 1), "base58"),
        ("z" * 34, "prefix"),
        (USDT[:-1] + "u", "checksum"),
    ],
)
def test_refusals_say_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        address_bytes(text)


@pytest.mark.parametrize("payload", [b"", bytes(21), b"\x41" + bytes(19), b"\x41" + bytes(21)])
def test_bytes_that_are_no_address_have_no_text(payload: bytes) -> None:
    with pytest.raises(ValueError, match="21 bytes"):
        address_text(payload)
