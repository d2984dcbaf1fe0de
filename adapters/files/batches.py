"""CSV files of payouts in a folder, and `<file>.results.ndjson` beside each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import Json, TypeAdapter, ValidationError

from ports.batches import Line
from ports.folders import FolderError
from utils.files import replace

_LINES: Final = TypeAdapter(list[Json[dict[str, Any]]])


class CsvBatches:
    """ports.batches.BatchFolder in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str, limit: int) -> bytes:
        path = self._folder / name
        try:
            with path.open("rb") as file:
                return file.read(limit)
        except OSError as error:
            raise FolderError(f"{path}: {error.strerror}") from None

    def results(self, name: str) -> Sequence[Line]:
        path = self._results_of(name)
        try:
            return _LINES.validate_python(path.read_bytes().splitlines())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise FolderError(f"{path}: {error.strerror}") from None
        except ValidationError:
            raise FolderError(f"{path} is not what this command wrote") from None

    def keep_results(self, name: str, lines: Sequence[Line]) -> None:
        path = self._results_of(name)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        try:
            replace(path, text.encode())
        except OSError as error:
            raise FolderError(f"{path}: {error.strerror}") from None

    def _results_of(self, name: str) -> Path:
        return self._folder / f"{name}.results.ndjson"
