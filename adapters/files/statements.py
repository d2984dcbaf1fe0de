"""Daily statements as NDJSON files, `payouts-2026-03-01.ndjson`."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path

from ports.folders import FolderError, Line
from utils.files import append, put_in_place, temporary_for


class NdjsonStatements:
    """ports.folders.StatementFolder in a folder that replicas may share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def has(self, day: date) -> bool:
        return await asyncio.to_thread(self._path(day).exists)

    async def write(self, day: date, pages: AsyncIterator[Sequence[Line]]) -> None:
        path = self._path(day)
        temporary = temporary_for(path)
        try:
            await asyncio.to_thread(append, temporary, b"")  # a day without payouts has a file too
            async for page in pages:
                await asyncio.to_thread(append, temporary, _text(page))
            await asyncio.to_thread(put_in_place, temporary, path)
        except OSError as error:
            raise FolderError(f"{path}: {error.strerror}") from error
        finally:
            await asyncio.to_thread(temporary.unlink, missing_ok=True)

    def _path(self, day: date) -> Path:
        return self._folder / f"payouts-{day.isoformat()}.ndjson"


def _text(page: Sequence[Line]) -> bytes:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in page).encode()
