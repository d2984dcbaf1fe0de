"""Whom we pay, over HTTP: lists of addresses, and the registry of verified recipients."""

from typing import Annotated, Final

from fastapi import APIRouter, Body, Depends, Query
from pydantic import WithJsonSchema

from api.auth import Access
from api.body import CSV, CsvRoute, JsonRoute
from api.compliance_views import (
    Because,
    KycPage,
    KycView,
    ListAddresses,
    ListChangeView,
    ListPage,
    PutKyc,
    PutListed,
)
from api.container import Parts
from api.fields import Address, ListOfPath
from api.paging import page_size
from api.problems import documented
from models.address_file import read_addresses
from models.caller import Caller

kyc: Final = APIRouter(prefix="/kyc", tags=["compliance"], route_class=JsonRoute)
lists: Final = APIRouter(prefix="/lists", tags=["compliance"], route_class=JsonRoute)
imports: Final = APIRouter(prefix="/lists", tags=["compliance"], route_class=CsvRoute)

_FILE: Final = "address,reason\nTJRabPrwbZy45sbavfcjinPJC18kjpRTv8,fraud\n"

Viewer = Annotated[Caller, Depends(Access("compliance:view"))]
Editor = Annotated[Caller, Depends(Access("compliance:edit"))]


@kyc.get("", summary="List verified recipients")
async def list_kyc(
    parts: Parts, caller: Viewer, page: Annotated[ListAddresses, Query()]
) -> KycPage:
    """The registry by address, with verifications that count no more."""
    limit = page_size(parts.settings.router.api, page.limit)
    return KycPage.of(await parts.compliance.kyc_page(caller, page.cursor, limit + 1), limit)


@kyc.get("/{address}", summary="Look at a verification", responses=documented(400, 404))
async def get_kyc(parts: Parts, caller: Viewer, address: Address) -> KycView:
    """To which level the owner of an address was verified, and until when it counts."""
    return KycView.of(await parts.compliance.kyc(caller, address))


@kyc.put("/{address}", summary="Keep a verification")
async def put_kyc(parts: Parts, caller: Editor, address: Address, body: PutKyc) -> KycView:
    """Say that the owner of an address was verified, in place of what was said before.

    Payouts that come from now on are judged by it. Caller and reason are kept in the audit log.
    """
    return KycView.of(
        await parts.compliance.put_kyc(caller, address, body.level, body.verified_at, body.reason)
    )


@kyc.delete(
    "/{address}", status_code=204, summary="Forget a verification", responses=documented(404)
)
async def remove_kyc(
    parts: Parts, caller: Editor, address: Address, why: Annotated[Because, Query()]
) -> None:
    """Take a verification back. Caller and reason are kept in the audit log."""
    await parts.compliance.remove_kyc(caller, address, why.reason)


@lists.get("/{list_name}", summary="List addresses", responses=documented(404))
async def list_addresses(
    parts: Parts, caller: Viewer, list_name: ListOfPath, page: Annotated[ListAddresses, Query()]
) -> ListPage:
    """The addresses of `deny`, `allow` or `sanctions`, each with who put it there, when and why.

    What being on a list means is said by the rules of the configuration.
    """
    limit = page_size(parts.settings.router.api, page.limit)
    found = await parts.compliance.list_page(caller, list_name, page.cursor, limit + 1)
    return ListPage.of(list_name, found, limit)


@lists.put("/{list_name}/{address}", summary="Put an address on a list", responses=documented(404))
async def put_listed(
    parts: Parts, caller: Editor, list_name: ListOfPath, address: Address, body: PutListed
) -> ListChangeView:
    """It holds for payouts that come from now on, and where a rule is asked again before a payout
    is sent, for those that wait. Caller and reason are kept in the audit log."""
    reasons = {address: body.reason}
    added = await parts.compliance.put_listed(caller, list_name, reasons, body.reason)
    return ListChangeView(addresses=1, added=added)


@lists.delete(
    "/{list_name}/{address}",
    status_code=204,
    summary="Take an address off a list",
    responses=documented(404),
)
async def remove_listed(
    parts: Parts,
    caller: Editor,
    list_name: ListOfPath,
    address: Address,
    why: Annotated[Because, Query()],
) -> None:
    """Caller and reason are kept in the audit log."""
    await parts.compliance.remove_listed(caller, list_name, address, why.reason)


@imports.post(
    "/{list_name}/import", summary="Put a file of addresses on a list", responses=documented(404)
)
async def import_list(
    parts: Parts,
    caller: Editor,
    list_name: ListOfPath,
    why: Annotated[Because, Query()],
    body: Annotated[
        bytes,
        Body(media_type=CSV),
        WithJsonSchema({"type": "string", "examples": [_FILE]}),
    ],
) -> ListChangeView:
    """Put every address of a CSV file on a list: all of them, or none where a line is wrong.

    UTF-8; the first line is `address` or `address,reason`. Send a file that is too large for one
    request (P008) in parts, each with that line. Sending a line again does no harm.
    """
    reasons = read_addresses(body)
    added = await parts.compliance.put_listed(caller, list_name, reasons, why.reason)
    return ListChangeView(addresses=len(reasons), added=added)
