"""The command verify: an export, and nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import payout_router_entrypoint as entrypoint
from models.audit import Entry
from services.audit_export import entry_line, story_line
from tests.audit import a_log, a_story, an_act, records_of

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _bare_environment() -> Iterator[None]:
    """Not one variable is set: none is needed."""
    before = dict(os.environ)
    os.environ.clear()
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def log() -> list[Entry]:
    """A payout that was paid, whose reason holds what other programs take for the end of a line."""
    return a_log(an_act(subject="a\u2028b\x85c\rd"), *records_of(a_story()))


@pytest.fixture
def file(tmp_path: Path, log: list[Entry]) -> Path:
    file = tmp_path / "audit.ndjson"
    file.write_bytes("".join(f"{entry_line(entry)}\n" for entry in log).encode())
    return file


def verify(file: Path, *options: str) -> int:
    return entrypoint.main(["verify", str(file), *options])


def test_a_whole_export(file: Path, log: list[Entry], capsys: Output) -> None:
    assert verify(file) == 0
    assert capsys.readouterr().out == f"entries 1 to 4 are whole; head 4:{log[-1].hash}\n"


def test_a_part_of_an_export(file: Path, log: list[Entry], capsys: Output) -> None:
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[-2:]))
    assert verify(file, "--head", f"2:{log[1].hash}", "--head", f"4:{log[3].hash[:12]}") == 0
    assert capsys.readouterr().out == f"entries 3 to 4 are whole; head 4:{log[-1].hash}\n"


def test_what_was_tampered_with(file: Path, capsys: Output) -> None:
    file.write_text(file.read_text(encoding="utf-8").replace("settler", "nobody", 1), "utf-8")
    assert verify(file) == 1
    assert capsys.readouterr().out == "entry 3 (changed): its hash is not that of its content\n"


def test_what_contradicts_a_history(file: Path, log: list[Entry], capsys: Output) -> None:
    other = a_story(payout_id=log[1].record.source, details="99.00 USDT to T…")
    with file.open("a", encoding="utf-8") as lines:
        lines.write(f"{story_line(other)}\n")
    assert verify(file) == 1
    assert capsys.readouterr().out.startswith("entry 2 (contradiction): the history of payout_")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (f"4:{'ab' * 32}", "entry 4 (changed): its hash is not the one that was published\n"),
        (f"4:{'ab' * 6}", "entry 4 (changed): its hash is not the one that was published\n"),
        (
            f"9:{'ab' * 32}",
            "entry 9 (missing): it was published, but the export does not hold it\n",
        ),
    ],
)
def test_a_head_that_was_published(file: Path, head: str, said: str, capsys: Output) -> None:
    assert verify(file, "--head", head) == 1
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("head", ["", "4", "4:", f"x:{'ab' * 32}", "4:abc", f"4:{'AB' * 32}"])
def test_a_head_that_is_none(file: Path, head: str, capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        verify(file, f"--head={head}")
    assert ended.value.code == 2
    assert "NUMBER:HASH" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it holds no entry"),
        (b"hello\n", "line 1 is no entry and no history"),
        (b"\xff\n", "'utf-8' codec can't decode"),
    ],
)
def test_what_is_no_export(file: Path, content: bytes, said: str, capsys: Output) -> None:
    file.write_bytes(content)
    assert verify(file) == 65
    assert capsys.readouterr().err.startswith(f"{file}: {said}")


def test_a_file_that_is_not_there(tmp_path: Path, capsys: Output) -> None:
    assert verify(tmp_path / "gone") == 65
    assert "No such file" in capsys.readouterr().err
