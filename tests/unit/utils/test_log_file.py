"""The log file that several processes share."""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from utils.log_file import SharedLogFile

Opener = Callable[..., SharedLogFile]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens another process's view of the same file: rotated at 100 bytes, 2 old files."""
    handlers: list[SharedLogFile] = []

    def one_more(**options: int) -> SharedLogFile:
        sizes = {"max_bytes": 100, "old_files": 2} | options
        handlers.append(SharedLogFile(tmp_path / "app.log", **sizes))
        return handlers[-1]

    yield one_more
    for handler in handlers:
        handler.close()


def say(handler: SharedLogFile, text: str) -> None:
    handler.handle(logging.makeLogRecord({"msg": text}))


def contents(folder: Path) -> dict[str, list[str]]:
    return {path.name: path.read_text(encoding="utf-8").splitlines() for path in folder.iterdir()}


def test_it_goes_on_where_it_stood(tmp_path: Path, opened: Opener) -> None:
    (tmp_path / "app.log").write_text("before\n", encoding="utf-8")
    say(opened(), "Grüße \ud800")
    assert contents(tmp_path) == {"app.log": ["before", "Grüße \\ud800"]}


def test_a_full_file_is_rotated_and_the_oldest_goes(tmp_path: Path, opened: Opener) -> None:
    handler = opened()
    for number in range(5):
        say(handler, f"{number}" * 100)
    assert contents(tmp_path) == {
        "app.log": ["4" * 100],
        "app.log.1": ["3" * 100],
        "app.log.2": ["2" * 100],
    }


def test_no_line_is_lost_when_one_of_two_rotates(tmp_path: Path, opened: Opener) -> None:
    one, other = opened(old_files=9), opened(old_files=9)
    lines = [f"{number:02}" + "x" * 28 for number in range(30)]
    for number, line in enumerate(lines):
        say(other if number % 3 else one, line)
    files = contents(tmp_path)
    assert sorted(line for found in files.values() for line in found) == lines
    assert sorted(files) == ["app.log", *(f"app.log.{n}" for n in range(1, 8))]
    assert {len(found) for found in files.values()} == {4, 2}


def test_a_process_that_hangs_while_it_rotates_holds_nobody_up(
    tmp_path: Path, opened: Opener
) -> None:
    handler = opened()
    say(handler, "x" * 100)
    with (tmp_path / "app.log").open("ab") as hanging:
        fcntl.flock(hanging, fcntl.LOCK_EX)
        say(handler, "goes on in the full file")
    assert contents(tmp_path) == {"app.log": ["x" * 100, "goes on in the full file"]}
    say(handler, "after")
    assert contents(tmp_path)["app.log"] == ["after"]


def test_of_two_that_find_it_full_only_one_rotates(
    tmp_path: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, slow = opened(), opened()
    say(quick, "x" * 100)
    flock = fcntl.flock

    def after_the_other(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        say(quick, "quick")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", after_the_other)
    say(slow, "slow")
    assert contents(tmp_path) == {"app.log": ["quick", "slow"], "app.log.1": ["x" * 100]}


def test_a_file_that_was_removed_comes_back(tmp_path: Path, opened: Opener) -> None:
    handler = opened()
    say(handler, "first")
    (tmp_path / "app.log").unlink()
    say(handler, "second")
    assert contents(tmp_path) == {"app.log": ["second"]}


def test_a_full_disk_is_told_once_and_stops_nobody(
    tmp_path: Path,
    opened: Opener,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = opened()

    def full_disk(*_: object) -> int:
        raise OSError(28, "No space left on device")

    for _ in range(2):
        with monkeypatch.context() as disk:
            disk.setattr(os, "write", full_disk)
            say(handler, "lost")
            say(handler, "lost")
        say(handler, "kept")
    complaint = f"cannot write {tmp_path}/app.log: No space left on device\n"
    assert capsys.readouterr().err == complaint * 2
    assert contents(tmp_path) == {"app.log": ["kept", "kept"]}


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SharedLogFile(tmp_path / "gone" / "app.log")
