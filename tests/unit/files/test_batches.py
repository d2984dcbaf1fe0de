"""CSV files and their results on the disk."""

import os
from pathlib import Path

import pytest

from adapters.files.batches import CsvBatches
from ports.folders import FolderError

RESULTS = "march.csv.results.ndjson"


def test_a_file_is_read_up_to_a_limit(tmp_path: Path) -> None:
    (tmp_path / "march.csv").write_bytes(b"0123456789")
    folder = CsvBatches(tmp_path)
    assert folder.read("march.csv", 100) == b"0123456789"
    assert folder.read("march.csv", 4) == b"0123"


def test_results_come_back_and_are_replaced_whole(tmp_path: Path) -> None:
    folder = CsvBatches(tmp_path)
    assert [*folder.results("march.csv")] == []
    for lines in ([{"file": "march.csv"}, {"row": 2, "detail": "für\u2028x"}], [{"file": "a"}]):
        folder.keep_results("march.csv", lines)
        assert [*folder.results("march.csv")] == lines
    assert os.listdir(tmp_path) == [RESULTS]


@pytest.mark.parametrize("text", ["{", "[]\n", '{"file": 1}\n\n'])
def test_what_are_no_results_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / RESULTS).write_text(text, encoding="utf-8")
    with pytest.raises(FolderError, match=f"{RESULTS} is not what this command wrote"):
        CsvBatches(tmp_path).results("march.csv")


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    folder = CsvBatches(tmp_path / "gone")
    with pytest.raises(FolderError, match=r"gone/march\.csv: No such file"):
        folder.read("march.csv", 1)
    with pytest.raises(FolderError, match=f"gone/{RESULTS}: No such file"):
        folder.keep_results("march.csv", [])
    (tmp_path / RESULTS).mkdir()
    with pytest.raises(FolderError, match=f"{RESULTS}: Is a directory"):
        CsvBatches(tmp_path).results("march.csv")
