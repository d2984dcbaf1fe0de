"""What the service keeps in folders, outside of the database: for people, and as a check on it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from models.audit import Head
from models.chain import BlockRef


class FolderError(Exception):
    """A file can't be read or written, or is not what this service wrote; the message names it."""


@dataclass(frozen=True, slots=True)
class HighWaterMark:
    """How far a deployment has read solid blocks, whatever becomes of its database.

    `genesis_id` (block id of block 0, hex) and `wallet` say whose mark it is; `audit` is where
    the audit log ended then.
    """

    genesis_id: str
    wallet: str
    block: BlockRef
    audit: Head | None = None


class HighWaterFile(Protocol):
    """The deployment's one high-water mark."""

    async def read(self) -> HighWaterMark | None:
        """The mark; None before the first one. Raises FolderError."""

    async def raise_to(self, mark: HighWaterMark) -> bool:
        """Keep a mark, durably, unless one of a later block is there. False if another replica is
        just writing. Raises FolderError."""


Line = Mapping[str, Any]
"""One object of a statement: text, numbers and nulls by name."""


class StatementFolder(Protocol):
    """The statements, one for each UTC day."""

    async def has(self, day: date) -> bool:
        """Whether that day's statement is there. Raises FolderError."""

    async def write(self, day: date, pages: AsyncIterator[Sequence[Line]]) -> None:
        """Write a day's statement; it is there whole or, when anything fails, not at all.

        Raises FolderError, and whatever `pages` raises.
        """
