"""Pages of a list: how large, and where the next one begins."""

import base64
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from api.container import Container
from api.fields import fault
from models.errors import FieldProblem, InvalidRequest


def encode_cursor(payout_id: str) -> str:
    """The opaque cursor of the page that begins after a payout."""
    return base64.urlsafe_b64encode(payout_id.encode()).decode()


def _decode_cursor(value: str) -> str:
    try:
        payout_id = base64.b64decode(value, altchars=b"-_", validate=True).decode()
        if not re.fullmatch(r"payout_[0-9a-f]{32}", payout_id):
            raise ValueError
    except ValueError:
        raise fault("P003", "is not a cursor that this service gave") from None
    return payout_id


Cursor = Annotated[str, AfterValidator(_decode_cursor)]
"""The payout id that a cursor holds."""

PageSize = Annotated[
    Annotated[int, Field(ge=1, strict=False)] | None,
    Field(description="Items on a page; the settings give the default and the maximum."),
]


def page_size(parts: Container, wanted: int | None) -> int:
    """How many items a page holds. Raises InvalidRequest above the settings' maximum."""
    sizes = parts.settings.router.api
    if wanted is None:
        return sizes.default_page_size
    if wanted > sizes.max_page_size:
        raise InvalidRequest([FieldProblem("limit", f"must be at most {sizes.max_page_size}")])
    return wanted
