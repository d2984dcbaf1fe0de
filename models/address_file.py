"""A CSV file of addresses: what a list is imported from."""

import csv
from collections.abc import Mapping
from io import StringIO
from typing import Final

from models.address import address_bytes
from models.errors import FieldProblem, InvalidRequest, PayoutError

MAX_BYTES: Final = 1_000_000
MAX_ROWS: Final = 10_000
MAX_REASON: Final = 500
"""Characters of the reason why an address is listed."""

_HEADERS: Final = (["address"], ["address", "reason"])


def read_addresses(data: bytes) -> Mapping[str, str | None]:
    """The addresses of a file with the reason of each, in the file's order.

    UTF-8 with commas; the first line is `address` or `address,reason`; blank lines don't count.
    Raises InvalidRequest that names every bad line by its number (the header's is 1), and
    PayoutError P003 for what is no such file at all, and for one that is too large.
    """
    if len(data) > MAX_BYTES:
        raise PayoutError("P003", f"the file has more than {MAX_BYTES:,} bytes")
    try:
        table = csv.reader(StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        lines = [(table.line_num, [cell.strip() for cell in cells]) for cells in table]
    except (UnicodeDecodeError, csv.Error) as error:
        raise PayoutError("P003", f"the file is not CSV in UTF-8: {error}") from None
    if not lines or lines[0][1] not in _HEADERS:
        raise PayoutError("P003", "the file's first line must be address or address,reason")
    rows = [(number, cells) for number, cells in lines[1:] if any(cells)]
    if not 0 < len(rows) <= MAX_ROWS:
        raise PayoutError("P003", f"the file must have 1 to {MAX_ROWS:,} addresses")
    return _checked(rows, columns=len(lines[0][1]))


def _checked(rows: list[tuple[int, list[str]]], columns: int) -> Mapping[str, str | None]:
    reasons: dict[str, str | None] = {}
    problems: list[FieldProblem] = []
    for number, cells in rows:
        address = cells[0]
        try:
            if len(cells) > columns:
                raise ValueError(f"must have {columns} columns or fewer")
            address_bytes(address)
            if address in reasons:
                raise ValueError("is an address that an earlier line has")
            reasons[address] = _reason(cells[1:])
        except ValueError as error:
            problems.append(FieldProblem(f"line {number}", str(error)))
    if problems:
        raise InvalidRequest(problems)
    return reasons


def _reason(cells: list[str]) -> str | None:
    text = "".join(cells)
    if len(text) > MAX_REASON or not text.isprintable():
        raise ValueError(f"must have a reason of at most {MAX_REASON} printable characters")
    return text or None
