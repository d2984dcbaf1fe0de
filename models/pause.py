"""Pauses: what a person has stopped, and the name of the gate that says so."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from models.money import Currency

PREFIX: Final = "pause"
ALL: Final = "all"
WALLET: Final = "wallet"


def is_pause(name: str) -> bool:
    """Whether this is the name of a pause (`Pause.name`) or of its gate."""
    return Pause.of(name) is not None


class Activity(StrEnum):
    """What can be stopped: taking payouts, or making transactions for them."""

    INTAKE = "intake"
    DISPATCH = "dispatch"


@dataclass(frozen=True, slots=True)
class Pause:
    """An activity that is stopped: as a whole, for one currency, or (dispatch) for one wallet.

    Raises ValueError for a currency and a wallet together, and for a wallet's intake.
    """

    what: Activity
    currency: Currency | None = None
    wallet: str | None = None

    def __post_init__(self) -> None:
        if self.currency is not None and self.wallet is not None:
            raise ValueError("must not be given together with currency")
        if self.wallet is not None and self.what is Activity.INTAKE:
            raise ValueError("is for dispatch only: a payout is taken before it has a wallet")

    @property
    def gate(self) -> str:
        """The name of its gate: `pause:dispatch`, `pause:intake:USDT`, `pause:dispatch:T…`."""
        return _joined(self.what, self.currency, self.wallet)

    @property
    def name(self) -> str:
        """A short name for metrics: that of the gate, with `wallet` for a wallet's address."""
        return _joined(self.what, self.currency, self.wallet and WALLET)

    @property
    def target(self) -> str:
        """What of the activity, as one of few words: `all`, a currency, or `wallet`."""
        return self.currency or (WALLET if self.wallet else ALL)

    @classmethod
    def of(cls, gate: str) -> Self | None:
        """The pause of a gate's name; None for the name of another gate."""
        prefix, _, rest = gate.partition(":")
        what, _, target = rest.partition(":")
        if prefix != PREFIX or what not in tuple(Activity):
            return None
        if not target:
            found = cls(Activity(what))
        elif target in tuple(Currency):
            found = cls(Activity(what), currency=Currency(target))
        elif what == Activity.DISPATCH:
            found = cls(Activity.DISPATCH, wallet=target)
        else:
            return None
        return found if found.gate == gate else None

    def __str__(self) -> str:
        where = {ALL: "", WALLET: f" from {self.wallet}"}.get(self.target, f" of {self.target}")
        return f"{self.what}{where} is paused"


def _joined(*parts: str | None) -> str:
    return ":".join(part for part in (PREFIX, *parts) if part)
