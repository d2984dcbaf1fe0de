"""Files that are there whole or not at all."""

import os
from pathlib import Path

import pytest

from utils.files import append, put_in_place, replace, temporary_for


def test_a_file_is_made_and_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    for content in (b"first", b"second, longer", b""):
        replace(path, content)
        assert path.read_bytes() == content
        assert os.listdir(tmp_path) == ["file.json"]


def test_what_cannot_be_put_in_place_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.json"
    replace(path, b"old")

    def full_disk(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.json"]


def test_it_is_on_the_disk_before_it_takes_the_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.json"
    temporary = temporary_for(path)
    append(temporary, b"a")
    append(temporary, b"b")
    synced = []

    def fsync(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    put_in_place(temporary, path)
    assert synced == [(str(temporary), False), (str(tmp_path), True)]
    assert path.read_bytes() == b"ab"


def test_two_writers_never_share_a_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    names = {temporary_for(path) for _ in range(10)}
    assert len(names) == 10
    assert {name.parent for name in names} == {tmp_path}
