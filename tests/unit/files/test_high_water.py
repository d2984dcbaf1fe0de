"""The high-water mark on the disk."""

import os
from pathlib import Path

import pytest

from adapters.files import high_water
from adapters.files.high_water import FILE_NAME, JsonHighWaterFile
from ports.folders import FolderError, HighWaterMark
from tests.factories import OWNER, a_block
from utils.files import replace

GENESIS = "00" * 8 + "aa" * 24


def mark(number: int) -> HighWaterMark:
    return HighWaterMark(GENESIS, OWNER, a_block(number))


async def test_it_comes_back_as_it_went_in(tmp_path: Path) -> None:
    file = JsonHighWaterFile(tmp_path)
    assert await file.read() is None
    await file.raise_to(mark(7))
    assert await JsonHighWaterFile(tmp_path).read() == mark(7)


async def test_it_never_goes_back(tmp_path: Path) -> None:
    for number, expected in [(5, 5), (3, 5), (9, 9), (8, 9)]:
        assert await JsonHighWaterFile(tmp_path).raise_to(mark(number))
        assert await JsonHighWaterFile(tmp_path).read() == mark(expected)
    assert sorted(os.listdir(tmp_path)) == [FILE_NAME, "tron-payout-router.lock"]


async def test_no_other_replica_writes_between_the_look_and_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = JsonHighWaterFile(tmp_path), JsonHighWaterFile(tmp_path)
    others: list[bool] = []

    def slowly(path: Path, data: bytes) -> None:
        others.append(other._raise_to(mark(9)))
        replace(path, data)

    monkeypatch.setattr(high_water, "replace", slowly)
    assert await one.raise_to(mark(5))
    assert others == [False]
    monkeypatch.undo()
    assert await other.raise_to(mark(9))
    assert await one.read() == mark(9)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"genesis_id": "a", "wallet": "T"}', '{"block": null}']
)
async def test_what_is_no_mark_is_refused_and_stays(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text, encoding="utf-8")
    file = JsonHighWaterFile(tmp_path)
    for call in (file.read(), file.raise_to(mark(1))):
        with pytest.raises(FolderError, match=r"tron-payout-router\.json is not what"):
            await call
    assert path.read_text(encoding="utf-8") == text


async def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    file = JsonHighWaterFile(tmp_path / "gone")
    assert await file.read() is None
    with pytest.raises(FolderError, match=r"gone/tron-payout-router\.json: No such file"):
        await file.raise_to(mark(1))
