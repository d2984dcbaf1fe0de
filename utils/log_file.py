"""A log file that several processes write to, and that is rotated when it is full."""

import fcntl
import logging
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 20_000_000
OLD_FILES: Final = 5


class SharedLogFile(logging.Handler):
    """Appends each record to a file; at `max_bytes` it becomes `<name>.1`, that one `<name>.2`, and
    so on up to `old_files`.

    Whoever finds it full rotates it, and the others notice and follow. Nobody waits for anybody.
    Logging never fails: when the file can't be written, that is told on standard error, once until
    it can be again. Raises OSError if it can't be opened in the first place.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, old_files: int = OLD_FILES) -> None:
        super().__init__()
        self._path = path
        self._max_bytes = max_bytes
        self._old_files = old_files
        self._failing = False
        self._descriptor = self._open()

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record) + "\n"
        try:
            self._follow()
            if os.fstat(self._descriptor).st_size >= self._max_bytes:
                self._rotate()
            os.write(self._descriptor, line.encode("utf-8", "backslashreplace"))
        except OSError as error:
            if not self._failing:
                print(f"cannot write {self._path}: {error.strerror}", file=sys.stderr)
            self._failing = True
        else:
            self._failing = False

    def close(self) -> None:
        os.close(self._descriptor)
        super().close()

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _follow(self) -> None:
        """Go on in the new file when the one that we have was renamed or removed."""
        if not self._is_current():
            descriptor = self._open()
            os.close(self._descriptor)
            self._descriptor = descriptor

    def _rotate(self) -> None:
        """Rename the files, unless another process is just doing that."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if self._is_current():
            files = [self._path, *(Path(f"{self._path}.{n + 1}") for n in range(self._old_files))]
            for newer, older in reversed([*pairwise(files)]):
                if newer.exists():
                    newer.replace(older)
        self._follow()  # which gives up the lock with the old file
