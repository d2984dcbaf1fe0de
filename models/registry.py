"""What is known of addresses and clients: lists, verified identities, and how often they occur."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AddressList(StrEnum):
    """A list that addresses stand on: `deny` and `sanctions` must not be paid, `allow` may be."""

    DENY = "deny"
    ALLOW = "allow"
    SANCTIONS = "sanctions"


@dataclass(frozen=True, slots=True)
class ListEntry:
    """An address on a list: why, put there by whom ("ROLE:subject") and when (database clock)."""

    list_name: AddressList
    address: str
    reason: str | None
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class KycRecord:
    """That the owner of an address was verified. `level` is 1 (basic) to 3 (advanced); it counts
    from `verified_at` until `expires_at`, both with an offset."""

    address: str
    level: int
    verified_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Velocity:
    """How many payouts were created lately: to a recipient (by whomever), and by a client.

    Keys are windows in seconds that end now; a count goes no further than what was asked for.
    `recipient_known` tells whether there ever was a payout to the recipient.
    """

    to_recipient: Mapping[int, int]
    by_client: Mapping[int, int]
    recipient_known: bool
