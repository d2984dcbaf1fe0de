"""Lists of addresses and the KYC registry, as requests and answers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from api.fields import Moment, RequiredRemark
from api.paging import AddressCursor, PageSize, encode_cursor
from api.schemas import Request, examples
from models.registry import AddressList, KycRecord, ListEntry


class ListAddresses(Request):
    """A page of a list, or of the KYC registry."""

    cursor: Annotated[
        AddressCursor | None, Field(description="`next_cursor` of the page before.")
    ] = None
    limit: PageSize = None


class Because(Request):
    """Why something is done."""

    reason: Annotated[
        RequiredRemark, Field(description="Kept in the audit log.", examples=["case 4711"])
    ]


class PutListed(Request):
    """Why an address is put on a list."""

    model_config = examples({"reason": "fraud, case 4711"})

    reason: RequiredRemark


class PutKyc(Request):
    """To which level the owner of an address was verified, when, and why this is said."""

    model_config = examples(
        {"level": 2, "verified_at": "2026-03-01T09:30:00Z", "reason": "file 2026-118"}
    )

    level: Annotated[int, Field(ge=1, le=3, description="1 basic, 2 enhanced, 3 advanced.")]
    verified_at: Annotated[Moment, Field(description="It counts for some days from then on.")]
    reason: RequiredRemark


class ListChangeView(BaseModel):
    """How many addresses were put on a list, and how many of these were not on it before."""

    addresses: int
    added: int


class ListEntryView(BaseModel):
    """An address on a list."""

    address: str
    reason: str | None
    by: Annotated[str, Field(examples=["ADMIN:ada"])]
    at: datetime

    @classmethod
    def of(cls, entry: ListEntry) -> Self:
        """Render an entry."""
        return cls(address=entry.address, reason=entry.reason, by=entry.by, at=entry.at)


class ListPage(BaseModel):
    """A page of a list, by address. `next_cursor` is null on the last page."""

    list_name: AddressList
    items: list[ListEntryView]
    next_cursor: str | None

    @classmethod
    def of(cls, list_name: AddressList, found: Sequence[ListEntry], limit: int) -> Self:
        """A page of at most `limit` of them, of which one more tells that there are more."""
        items = [ListEntryView.of(each) for each in found[:limit]]
        more = len(found) > limit
        return cls(
            list_name=list_name,
            items=items,
            next_cursor=encode_cursor(items[-1].address) if more else None,
        )


class KycView(BaseModel):
    """That the owner of an address was verified; it counts until `expires_at`."""

    address: str
    level: int
    verified_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, record: KycRecord) -> Self:
        """Render a record."""
        return cls(
            address=record.address,
            level=record.level,
            verified_at=record.verified_at,
            expires_at=record.expires_at,
        )


class KycPage(BaseModel):
    """A page of the registry, by address. `next_cursor` is null on the last page."""

    items: list[KycView]
    next_cursor: str | None

    @classmethod
    def of(cls, found: Sequence[KycRecord], limit: int) -> Self:
        """A page of at most `limit` of them, of which one more tells that there are more."""
        items = [KycView.of(each) for each in found[:limit]]
        more = len(found) > limit
        return cls(items=items, next_cursor=encode_cursor(items[-1].address) if more else None)
