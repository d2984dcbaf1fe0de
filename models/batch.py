"""Batches: several payouts that come in one request.

Nothing is kept of a batch but its payouts. Its id follows from whose it is and its idempotency key,
so that a request that is sent again finds what it made; a payout that comes in it has a key of its
own, which follows from both.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from models.caller import Caller
from models.order import Batch, NewPayout, Order
from models.payout import Payout

BATCH_PREFIX: Final = "batch_"
MAX_BATCH_ITEMS: Final = 200
"""More payouts than this come in no batch, whatever the settings say."""


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A request for several payouts, checked for shape: `orders` has one or more.

    `fingerprint` is the SHA-256 (hex) of the canonical body as a whole.
    """

    orders: Sequence[Order]
    fingerprint: str
    idempotency_key: str

    def batch_of(self, caller: Caller) -> Batch:
        """The batch, where this caller sends it."""
        return Batch(batch_id(caller, self.idempotency_key), len(self.orders))

    def payouts_of(self, caller: Caller) -> Sequence[NewPayout]:
        """The payouts that it asks for, in order. Each has the fingerprint of the whole body: the
        same key with another body is another batch, whichever of its payouts differ."""
        batch = self.batch_of(caller)
        return [
            NewPayout(order, self.fingerprint, item_key(self.idempotency_key, number), batch)
            for number, order in enumerate(self.orders)
        ]


def batch_id(caller: Caller, key: str) -> str:
    """`batch_` and 32 hex digits of the SHA-256 over tenant, subject and idempotency key."""
    whose = json.dumps([caller.tenant, caller.subject, key])
    return f"{BATCH_PREFIX}{hashlib.sha256(whose.encode()).hexdigest()[:32]}"


def item_key(key: str, number: int) -> str:
    """The idempotency key of payout `number` (from 0) of a batch. No client can send it for a
    payout: there is no blank in the keys that are taken (api/fields.py)."""
    return f"{key} {number}"


def item_number(payout: Payout) -> int:
    """Which one of its batch a payout is, from 0. Raises ValueError for one that came alone."""
    return int(str(payout.idempotency_key).partition(" ")[2])
