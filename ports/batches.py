"""What paying a file stands on: the folder of files, the form that a row must fit, the service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

Line = Mapping[str, Any]
"""One object of a results file: text, numbers and nulls by name."""


class DeskUnavailableError(Exception):
    """The service does not answer, or not usefully: whatever was asked may have happened."""


class TokenRefusedError(Exception):
    """The service takes no order with this token."""


class Outcome(StrEnum):
    """What became of a row: a payout was made, was there before, or the service refused it."""

    CREATED = "created"
    THERE_BEFORE = "there_before"
    REFUSED = "refused"

    @property
    def label(self) -> str:
        """As people read it."""
        return self.value.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service said of one order; `details` are the payout's or the problem's fields."""

    outcome: Outcome
    details: Line


class Desk(Protocol):
    """The running service, as a client of it sees it."""

    async def create(self, body: Line, key: str) -> Answer:
        """Ask for a payout under an idempotency key. Raises DeskUnavailableError,
        TokenRefusedError."""


class Form(Protocol):
    """What an order needs, as columns of text."""

    @property
    def columns(self) -> frozenset[str]:
        """All that there are."""

    @property
    def required(self) -> frozenset[str]:
        """Those that must be there."""

    def read(self, cells: Mapping[str, str]) -> tuple[Line, str]:
        """The body of an order, and its fingerprint: two ways to write the same have the same one.

        Raises ValueError; each of its arguments is something that is wrong.
        """


class BatchFolder(Protocol):
    """Files by name, and the results beside each. Raises ports.folders.FolderError."""

    def read(self, name: str, limit: int) -> bytes:
        """The first `limit` bytes of a file."""

    def results(self, name: str) -> Sequence[Line]:
        """The results of a file; none before it was paid."""

    def keep_results(self, name: str, lines: Sequence[Line]) -> None:
        """Replace the results of a file, durably."""
