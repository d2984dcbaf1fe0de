"""`/admin/tokens`: revoking tokens, and what was revoked."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from api.auth import Access
from api.body import JsonRoute
from api.container import Parts
from api.paging import page_size
from api.schemas import ListRevocations, RevokeTokens
from api.views import RevocationPage, RevocationView
from models.caller import Caller

router: Final = APIRouter(prefix="/admin/tokens", tags=["tokens"], route_class=JsonRoute)


@router.post("/revoke", summary="Revoke tokens")
async def revoke(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("token:revoke"))],
    body: RevokeTokens,
) -> RevocationView:
    """Revoke the token with a jti, or all tokens of a subject that were issued before a time.

    It holds on every replica within a second (without Redis at once), and for good. A revocation
    is never taken back: `before` of a subject only moves forward, and the answer is what holds
    then. Caller and reason are kept in the audit log.
    """
    return RevocationView.of(await parts.tokens.revoke(caller, body.target, body.reason))


@router.get("/revocations", summary="List revocations")
async def list_revocations(
    parts: Parts,
    caller: Annotated[Caller, Depends(Access("token:view"))],
    page: Annotated[ListRevocations, Query()],
) -> RevocationPage:
    """What was revoked: subjects by tenant and name, then tokens by jti."""
    limit = page_size(parts.settings.router.api, page.limit)
    found = await parts.tokens.revocations(caller, page.cursor, limit + 1)
    return RevocationPage.of(found, limit)
