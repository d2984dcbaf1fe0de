"""The holder of the hot wallet's key."""

from typing import Protocol


class SignerUnavailableError(Exception):
    """No signature came; nothing was sent, so nothing is lost by trying again later."""


class Signer(Protocol):
    """Signs digests with one key."""

    @property
    def address(self) -> str:
        """The wallet's base58check address."""

    async def sign(self, digest: bytes) -> bytes:
        """65 bytes r‖s‖v over a 32-byte digest. Raises SignerUnavailableError."""
