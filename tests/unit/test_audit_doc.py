"""docs/audit.md: the few lines of Python that verify an export say what the service says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from models.audit import Entry
from services.audit_export import entry_line, story_line
from tests.audit import a_log, a_story, an_act, records_of

DOC = Path(__file__).parents[2] / "docs" / "audit.md"


@pytest.fixture
def log() -> list[Entry]:
    return a_log(an_act(subject='ü "\\ \u2028\x7f'), *records_of(a_story()), an_act(by="\ud800"))


def run(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    (code,) = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "check.py").write_text(code, encoding="utf-8")
    (tmp_path / "audit.ndjson").write_text(text, encoding="utf-8", newline="\n")
    words = [sys.executable, "-I", "check.py", "audit.ndjson"]
    return subprocess.run(  # noqa: S603 - ours, without a shell
        words, cwd=tmp_path, capture_output=True, text=True, check=False
    )


def test_it_accepts_what_is_whole(tmp_path: Path, log: list[Entry]) -> None:
    lines = [*map(entry_line, log), story_line(a_story())]
    run_of_all = run(tmp_path, "".join(f"{line}\n" for line in lines))
    assert (run_of_all.stdout, run_of_all.stderr) == (f"5 {log[-1].hash}\n", "")


@pytest.mark.parametrize(("old", "new"), [("settler", "nobody"), ('"number":3', '"number":4')])
def test_it_refuses_what_is_not(tmp_path: Path, log: list[Entry], old: str, new: str) -> None:
    text = "".join(f"{entry_line(entry)}\n" for entry in log)
    assert old in text
    assert run(tmp_path, text.replace(old, new, 1)).returncode == 1
