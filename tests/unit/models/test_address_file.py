"""CSV files of addresses: what is read, and every fault by its line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.address import address_text
from models.address_file import MAX_BYTES, MAX_REASON, MAX_ROWS, read_addresses
from models.errors import InvalidRequest, PayoutError
from tests.factories import OWNER, RECIPIENT, USDT_CONTRACT

addresses = st.binary(min_size=20, max_size=20).map(lambda tail: address_text(b"\x41" + tail))
reasons = st.none() | st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=40
)


def numbered(count: int) -> list[str]:
    return [address_text(b"\x41" + number.to_bytes(20, "big")) for number in range(count)]


def test_addresses_with_and_without_a_reason() -> None:
    data = f'address,reason\n{OWNER},"stolen, reported"\n{RECIPIENT}\n{USDT_CONTRACT},\n'
    assert read_addresses(data.encode()) == {
        OWNER: "stolen, reported",
        RECIPIENT: None,
        USDT_CONTRACT: None,
    }


@pytest.mark.parametrize(
    "text",
    [
        f"address\n{OWNER}\n",
        f"address\r\n{OWNER}\r\n",
        f"\ufeffaddress\n\n {OWNER} \n\n",
        f"address,reason\n{OWNER}, \n,\n",
    ],
    ids=["one column", "Windows lines", "mark and blanks", "blank reason"],
)
def test_files_as_spreadsheets_write_them(text: str) -> None:
    assert read_addresses(text.encode()) == {OWNER: None}


@given(st.dictionaries(addresses, reasons, min_size=1, max_size=20))
def test_what_was_written_is_read(listed: dict[str, str | None]) -> None:
    quoted = {address: (reason or "").replace('"', '""') for address, reason in listed.items()}
    lines = [f'{address},"{reason}"' for address, reason in quoted.items()]
    read = read_addresses("\n".join(["address,reason", *lines]).encode())
    assert read == listed
    assert list(read) == list(listed)


def test_every_bad_line_is_named() -> None:
    lines = [
        "address,reason",
        OWNER,
        OWNER[:-1] + "x",
        "",
        f"{OWNER},again",
        f"{RECIPIENT},one,too many",
        f"{RECIPIENT},\x07",
        f"{RECIPIENT},{'x' * (MAX_REASON + 1)}",
        "nonsense",
    ]
    with pytest.raises(InvalidRequest) as refusal:
        read_addresses("\n".join(lines).encode())
    problems = {problem.field: problem.message for problem in refusal.value.problems}
    assert list(problems) == ["line 3", "line 5", "line 6", "line 7", "line 8", "line 9"]
    assert "checksum" in problems["line 3"]
    assert "earlier line" in problems["line 5"]
    assert "columns" in problems["line 6"]
    assert "printable" in problems["line 7"]
    assert str(MAX_REASON) in problems["line 8"]
    assert "34 characters" in problems["line 9"]
    assert all(problem.code == "P003" for problem in refusal.value.problems)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "first line"),
        (OWNER.encode(), "first line"),
        (b"address,why\n", "first line"),
        (b"address\n", "1 to 10,000 addresses"),
        (b"address\n\n , \n", "1 to 10,000 addresses"),
        (b"address\n\xff\xfe", "UTF-8"),
        (b'address\n"' + OWNER.encode(), "CSV"),
        (b"address\n" + b"\n" * MAX_BYTES, "1,000,000 bytes"),
    ],
    ids=["empty", "no header", "columns", "no rows", "blank rows", "bytes", "quote", "large"],
)
def test_what_is_no_such_file(data: bytes, message: str) -> None:
    with pytest.raises(PayoutError, match=message) as refusal:
        read_addresses(data)
    assert refusal.value.code == "P003"


def test_so_many_addresses_and_not_one_more() -> None:
    every = numbered(MAX_ROWS + 1)
    assert len(read_addresses("\n".join(["address", *every[:-1]]).encode())) == MAX_ROWS
    with pytest.raises(PayoutError, match="1 to 10,000"):
        read_addresses("\n".join(["address", *every]).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(PayoutError):
        read_addresses(b"address\n" + data)
