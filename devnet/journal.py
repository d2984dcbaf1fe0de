"""The append-only journal from which a devnet goes on where it stopped."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from devnet.settings import DevnetSettings

FILE_NAME: Final = "chain.jsonl"

_BINDING: Final = (
    "network",
    "genesis_ms",
    "block_interval_ms",
    "solid_lag",
    "token_address",
    "wallet_trx_sun",
    "wallet_token_units",
)
"""Settings that a chain is born with: a restart takes them from the journal."""


class Journal:
    """One file: a first line with the settings that bind, then one line for every change."""

    def __init__(self, path: Path, settings: DevnetSettings) -> None:
        """Open the journal in `path`, made where it is missing. A torn last line, which a kill in
        the middle of a write leaves, is cut off. Raises ValueError for a file that is no journal.
        """
        path.mkdir(parents=True, exist_ok=True)
        self._file = (path / FILE_NAME).open("a+b")
        try:
            self.settings = self._begin(settings)
        except (ValueError, TypeError) as error:
            self.close()
            raise ValueError(f"{path / FILE_NAME} is not a devnet's journal: {error}") from error

    def entries(self) -> Iterator[Mapping[str, Any]]:
        """Every recorded change, oldest first."""
        self._file.seek(0)
        self._file.readline()
        for line in self._file:
            yield json.loads(line)

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append a change; it survives the death of this process."""
        self._file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _begin(self, settings: DevnetSettings) -> DevnetSettings:
        self._cut_torn_line()
        first = self._file.readline()
        if first:
            return replace(settings, **json.loads(first))
        born = asdict(settings)
        self.write({name: born[name] for name in _BINDING})
        return settings

    def _cut_torn_line(self) -> None:
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
        self._file.truncate(whole)
        self._file.seek(0)
