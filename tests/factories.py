"""Builders of domain values with sensible defaults; every argument can be overridden by name."""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from models.chain import BLOCK_INTERVAL_MS, BlockRef, Cursor, Hit, Transfer
from models.money import Currency
from models.order import Order, PayoutReason
from models.payout import Payout, PayoutStatus
from models.spending import Period, SpendScope, SpendWindow
from models.transaction import Attempt, txid_of

OWNER = "TQn9Y2khEsLJW1ChVWFMSMeRDow5KcbLSE"
RECIPIENT = "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"
USDT_CONTRACT = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)

_numbers = count(1)


def a_payout_id() -> str:
    """A payout id greater than all before it, as those of a UUIDv7 are."""
    return f"payout_{next(_numbers):012x}{uuid.uuid4().hex[12:]}"


def an_order(**overrides: Any) -> Order:
    """An order of 12.50 USDT."""
    return Order(
        **{
            "recipient_address": RECIPIENT,
            "amount": 12_500_000,
            "currency": Currency.USDT,
            "reason": PayoutReason.CUSTOM,
        }
        | overrides
    )


def a_payout(**overrides: Any) -> Payout:
    """A pending payout that has long been due."""
    return Payout(
        **{
            "payout_id": a_payout_id(),
            "client": "client-1",
            "order": an_order(),
            "status": PayoutStatus.PENDING,
            "created_at": LONG_AGO,
            "updated_at": LONG_AGO,
            "due_at": LONG_AGO,
            "window_ids": ("day:USDT:2024-01-01",),
            "fingerprint": "f" * 64,
        }
        | overrides
    )


def a_window(window_id: str = "day", **overrides: Any) -> SpendWindow:
    """A limit window of all payouts of a long past day: 1,000 base units unless told otherwise."""
    return SpendWindow(
        **{
            "window_id": window_id,
            "code": "P103",
            "scope": SpendScope.ALL,
            "period": Period.DAY,
            "currency": Currency.USDT,
            "maximum": 1_000,
            "max_count": None,
            "starts_at": LONG_AGO,
            "ends_at": LONG_AGO + timedelta(days=1),
        }
        | overrides
    )


def a_block(number: int = 1_000, fork: str = "") -> BlockRef:
    """The block of that number; of another chain with another `fork`."""
    digest = hashlib.sha256(f"{fork}{number}".encode()).hexdigest()
    return BlockRef(number, f"{number:016x}{digest[16:]}", number * BLOCK_INTERVAL_MS)


def an_attempt(payout: Payout | None = None, **overrides: Any) -> Attempt:
    """A live attempt at a payout, with bytes of its own, of which the txid is the hash."""
    order = an_order() if payout is None else payout.order
    raw = overrides.pop("raw", f"raw {next(_numbers)}".encode())
    contract = USDT_CONTRACT if order.currency is Currency.USDT else None
    return Attempt(
        **{
            "number": 1,
            "txid": txid_of(raw),
            "owner": OWNER,
            "transfer": Transfer(contract, OWNER, order.recipient_address, order.amount),
            "raw": raw,
            "signature": b"\x01" * 65,
            "ref_block": a_block(),
            "expiration_ms": a_block().time_ms + 90_000,
            "fee_limit_sun": 20_000_000,
            "max_cost_sun": 20_345_000,
            "created_at": LONG_AGO,
        }
        | overrides
    )


def a_hit(attempt: Attempt | None = None, **overrides: Any) -> Hit:
    """The successful transaction of an attempt, in a solid block."""
    attempt = attempt or an_attempt()
    return Hit(
        **{
            "txid": attempt.txid,
            "owner": attempt.owner,
            "block": a_block(1_010),
            "contract_ret": "SUCCESS",
            "transfers": (attempt.transfer,),
            "fee_sun": 13_000_000,
            "energy_used": 64_285,
        }
        | overrides
    )


def a_cursor(number: int = 1_000, **overrides: Any) -> Cursor:
    """A cursor at the block of that number."""
    return Cursor(**{"block": a_block(number), "run_start": 900} | overrides)
