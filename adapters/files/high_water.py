"""The high-water mark as a small JSON file, replaced whole."""

import asyncio
import fcntl
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from ports.folders import FolderError, HighWaterMark
from utils.files import replace

FILE_NAME: Final = "tron-payout-router.json"

_MARK: Final = TypeAdapter(HighWaterMark)


class JsonHighWaterFile:
    """ports.folders.HighWaterFile in a folder that replicas may share."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    async def read(self) -> HighWaterMark | None:
        return await asyncio.to_thread(self._read)

    async def raise_to(self, mark: HighWaterMark) -> bool:
        return await asyncio.to_thread(self._raise_to, mark)

    def _read(self) -> HighWaterMark | None:
        try:
            return _MARK.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FolderError(f"{self._path}: {error.strerror}") from error
        except ValidationError:
            raise FolderError(f"{self._path} is not what this service wrote") from None

    def _raise_to(self, mark: HighWaterMark) -> bool:
        try:
            with self._path.with_suffix(".lock").open("ab") as lock:
                # Between this look and the write no other replica writes.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                there = self._read()
                if there is None or there.block.number < mark.block.number:
                    replace(self._path, _MARK.dump_json(mark, indent=2) + b"\n")
        except BlockingIOError:
            return False
        except OSError as error:
            raise FolderError(f"{self._path}: {error.strerror}") from error
        return True
