"""Decimal strings and base units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.money import BASE_UNITS, DECIMALS, format_amount, parse_amount

LARGEST = 10**13 * BASE_UNITS - 1


@given(st.integers(0, LARGEST))
def test_what_is_written_reads_back(units: int) -> None:
    assert parse_amount(format_amount(units)) == units


@given(st.integers(0, 10**13 - 1), st.text("0123456789", min_size=1, max_size=DECIMALS))
def test_digits_keep_their_place(whole: int, fraction: str) -> None:
    expected = whole * BASE_UNITS + int(fraction) * 10 ** (DECIMALS - len(fraction))
    assert parse_amount(f"{whole}.{fraction}") == expected


@given(st.text(max_size=12))
def test_any_text_is_an_amount_or_a_value_error(text: str) -> None:
    try:
        units = parse_amount(text)
    except ValueError:
        return
    assert 0 <= units <= LARGEST
    assert set(text) <= set("0123456789.")


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("12.50", 12_500_000),
        ("0", 0),
        ("0.000001", 1),
        ("9" * 13, 10**19 - 10**6),
    ],
)
def test_amounts(text: str, units: int) -> None:
    assert parse_amount(text) == units


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " 1",
        "1 ",
        "1\n",
        "-1",
        "+1",
        "1e3",
        "1E3",
        "1e400",
        "NaN",
        "nan",
        "Infinity",
        "0x10",
        "1_000",
        "1,50",
        "1.",
        ".5",
        "1.2.3",
        "1.0000000",
        "007",
        "00.5",
        "0.0000001",
        "12345678901234",
        "١٢",
        "１２",
        "1.٥",
        "²",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"decimal"):
        parse_amount(text)


@pytest.mark.parametrize("number", [1, 12.5, None, b"12.50"])
def test_only_text_is_read(number: object) -> None:
    with pytest.raises(TypeError):
        parse_amount(number)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("units", "text"),
    [(0, "0.00"), (1, "0.000001"), (12_500_000, "12.50"), (10**19, f"{10**13}.00")],
)
def test_at_least_two_decimals_are_shown(units: int, text: str) -> None:
    assert format_amount(units) == text
