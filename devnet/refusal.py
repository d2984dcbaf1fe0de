"""A node's refusals: the codes of a broadcast and their texts (`api.proto`, `Wallet.java`)."""

from collections.abc import Mapping
from typing import Final

BROADCAST_TEXTS: Final[Mapping[str, str]] = {
    "SIGERROR": "Validate signature error: sig error",
    "CONTRACT_VALIDATE_ERROR": "Contract validate error : No contract!",
    "CONTRACT_EXE_ERROR": "Contract execute error : Not enough balance",
    "BANDWITH_ERROR": "Account resource insufficient error.",
    "DUP_TRANSACTION_ERROR": "Dup transaction.",
    "TAPOS_ERROR": "Tapos check error.",
    "TOO_BIG_TRANSACTION_ERROR": "Transaction size is too big.",
    "TRANSACTION_EXPIRATION_ERROR": "Transaction expired",
    "SERVER_BUSY": "Server busy.",
    "NO_CONNECTION": "No connection.",
    "NOT_ENOUGH_EFFECTIVE_CONNECTION": "P2P broadcast failed.",
    "BLOCK_UNSOLIDIFIED": "Block unsolidified.",
    "OTHER_ERROR": "Error: unexpected",
}
"""Every failing code of a broadcast, with the text it comes with unless there is a better one."""


class RefusedError(Exception):
    """A transaction that this node, or this block, does not take."""

    def __init__(self, code: str, text: str | None = None) -> None:
        """`code` is one of BROADCAST_TEXTS; `text` takes the place of its standing text."""
        self.code = code
        self.text = BROADCAST_TEXTS[code] if text is None else text
        super().__init__(f"{code}: {self.text}")


def invalid(text: str) -> RefusedError:
    """The refusal of a transaction whose contract does not validate."""
    return RefusedError("CONTRACT_VALIDATE_ERROR", f"Contract validate error : {text}")


def badly_signed(text: str) -> RefusedError:
    """The refusal of a transaction whose signatures do not fit its permission."""
    return RefusedError("SIGERROR", f"Validate signature error: {text}")
