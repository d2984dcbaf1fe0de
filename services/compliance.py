"""What compliance people keep: lists of addresses, and the registry of verified recipients. Every
change is an audited act, noted before it is done."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from models.caller import Caller
from models.compliance import kyc_record
from models.errors import PayoutError
from models.registry import AddressList, KycRecord, ListEntry
from ports.compliance import ComplianceStore
from services.acts import Acts


class RegistryStore(ComplianceStore, Protocol):
    """What the registry asks of the store."""

    async def now(self) -> datetime:
        """The store's clock, UTC."""


class Compliance:
    """Shows and changes lists and the KYC registry. `validity`: for how long each level counts."""

    def __init__(self, store: RegistryStore, acts: Acts, validity: Mapping[int, timedelta]) -> None:
        self._store = store
        self._acts = acts
        self._validity = validity

    async def put_listed(
        self,
        caller: Caller,
        list_name: AddressList,
        reasons: Mapping[str, str | None],
        reason: str,
    ) -> int:
        """Put addresses on a list; how many were not on it. Raises StoreError."""
        caller.require("compliance:edit")
        await self._note(caller, f"list:{list_name}", reason, added=sorted(reasons))
        return await self._store.put_listed(list_name, reasons, caller.name)

    async def remove_listed(
        self, caller: Caller, list_name: AddressList, address: str, reason: str
    ) -> None:
        """Take an address off a list. Raises PayoutError P010 when it is not on it."""
        caller.require("compliance:edit")
        listed = await self._store.listed([address])
        if not any(entry.list_name is list_name for entry in listed):
            raise PayoutError("P010", "this address is not on the list", field="address")
        await self._note(caller, f"list:{list_name}", reason, removed=[address])
        await self._store.remove_listed(list_name, [address])

    async def list_page(
        self, caller: Caller, list_name: AddressList, after: str | None, limit: int
    ) -> Sequence[ListEntry]:
        """A page of a list, by address."""
        caller.require("compliance:view")
        return await self._store.list_page(list_name, after, limit)

    async def put_kyc(
        self, caller: Caller, address: str, level: int, verified_at: datetime, reason: str
    ) -> KycRecord:
        """Keep that the owner of an address was verified.

        Raises PayoutError P003 (no such level; in the future; too long ago), StoreError.
        """
        caller.require("compliance:edit")
        now = await self._store.now()
        record = kyc_record(address, level, verified_at, self._validity, now)
        before = (await self._store.kyc_of([address])).get(address)
        await self._acts.note(
            caller,
            "compliance:edit",
            f"kyc:{address}",
            reason=reason,
            before=_level(before),
            after=_level(record),
        )
        await self._store.put_kyc(record)
        return record

    async def remove_kyc(self, caller: Caller, address: str, reason: str) -> None:
        """Forget a verification. Raises PayoutError P010 when there is none."""
        caller.require("compliance:edit")
        record = await self.kyc(caller, address)
        await self._acts.note(
            caller,
            "compliance:edit",
            f"kyc:{address}",
            reason=reason,
            before=_level(record),
            after=_level(None),
        )
        await self._store.remove_kyc(address)

    async def kyc(self, caller: Caller, address: str) -> KycRecord:
        """A verification, expired or not. Raises PayoutError P010 when there is none."""
        caller.require("compliance:view")
        record = (await self._store.kyc_of([address])).get(address)
        if record is None:
            raise PayoutError("P010", "this address is not verified", field="address")
        return record

    async def kyc_page(self, caller: Caller, after: str | None, limit: int) -> Sequence[KycRecord]:
        """A page of the registry, by address."""
        caller.require("compliance:view")
        return await self._store.kyc_page(after, limit)

    async def _note(
        self, caller: Caller, subject: str, reason: str, **addresses: Sequence[str]
    ) -> None:
        after = "; ".join(
            f"{what} {len(some)}: {', '.join(some[:SHOWN])}{', …' if len(some) > SHOWN else ''}"
            for what, some in addresses.items()
        )
        await self._acts.note(caller, "compliance:edit", subject, reason=reason, after=after)


SHOWN = 20
"""Addresses of an import that the audit log names; the list itself keeps all, with who and when."""


def _level(record: KycRecord | None) -> str:
    if record is None:
        return "not verified"
    return f"level {record.level} until {record.expires_at:%Y-%m-%d}"
