"""Daily statements on the disk."""

import json
import os
from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path

import pytest

from adapters.files.statements import NdjsonStatements
from ports.folders import FolderError, Line
from ports.store import StoreError

DAY = date(2026, 3, 1)
NAME = "payouts-2026-03-01.ndjson"


async def pages(
    *pages: Sequence[Line], error: Exception | None = None
) -> AsyncIterator[list[Line]]:
    for page in pages:
        yield [*page]
    if error is not None:
        raise error


async def test_one_line_for_each_payout_of_all_pages(tmp_path: Path) -> None:
    folder = NdjsonStatements(tmp_path)
    assert not await folder.has(DAY)
    lines: list[Line] = [{"id": 1, "why": "für\n2"}, {"id": 2, "why": None}, {"id": 3}]
    await folder.write(DAY, pages(lines[:2], lines[2:]))
    assert await folder.has(DAY)
    text = (tmp_path / NAME).read_text(encoding="utf-8")
    assert [json.loads(line) for line in text.splitlines()] == lines
    assert os.listdir(tmp_path) == [NAME]


async def test_a_day_without_payouts_has_an_empty_statement(tmp_path: Path) -> None:
    await NdjsonStatements(tmp_path).write(DAY, pages())
    assert (tmp_path / NAME).read_bytes() == b""


async def test_a_statement_that_fails_half_way_is_not_there(tmp_path: Path) -> None:
    folder = NdjsonStatements(tmp_path)
    with pytest.raises(StoreError):
        await folder.write(DAY, pages([{"id": 1}], error=StoreError("gone")))
    assert os.listdir(tmp_path) == []
    assert not await folder.has(DAY)


async def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=f"{NAME}: No such file"):
        await NdjsonStatements(tmp_path / "gone").write(DAY, pages([{"id": 1}]))
