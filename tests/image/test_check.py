"""What the image's own check calls a loss."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from devnet.stack import ROOT

CHECK = runpy.run_path(str(ROOT / "image" / "check.py"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "app.py").write_text("one")
    (tmp_path / "config.py").write_text("two")
    (tmp_path / ".marker").write_text(CHECK["summary"](tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "config.py").unlink(),
        lambda folder: (folder / "config.py").write_text("Two"),
        lambda folder: (folder / "config.py").rename(folder / "settings.py"),
        lambda folder: (folder / "api" / "more.py").touch(),
    ],
)
def test_a_file_that_is_lost_changed_renamed_or_added_shows(
    folder: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(folder)
    assert CHECK["summary"](folder) != (folder / ".marker").read_text()


def test_byte_code_and_logs_do_not_show(folder: Path) -> None:
    for name in ("api/__pycache__/app.pyc", "logs/tron-payout-router.log"):
        (folder / name).parent.mkdir()
        (folder / name).write_text("new")
    assert CHECK["summary"](folder) == (folder / ".marker").read_text()


def test_a_module_that_does_not_import_is_named_with_the_reason() -> None:
    assert list(CHECK["failures"](["json", "no_such_module"])) == [
        "no_such_module: ModuleNotFoundError: No module named 'no_such_module'"
    ]
