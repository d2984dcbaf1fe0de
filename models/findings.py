"""What rules say about a payout: findings in words, and the hold that one of them can put on it."""

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """What a finding does to the payout."""

    REFUSE = "refuse"
    HOLD = "hold"
    APPROVE = "approve"
    ALERT = "alert"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule said: its name in the policy file, what follows, and a sentence that an
    operator understands. `code` is the P-code of what it refuses or holds."""

    rule: str
    effect: Effect
    text: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Which rules hold a payout back, why, and which roles may release or reject it."""

    rules: tuple[str, ...]
    text: str
    code: str
    roles: tuple[str, ...]
