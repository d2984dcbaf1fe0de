"""Pages of a list: how large, and where the next one begins."""

import base64
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from api.fields import fault
from models.errors import FieldProblem, InvalidRequest
from settings.router import ApiConfig


def encode_cursor(last: str) -> str:
    """The opaque cursor of the page that begins after the payout id or other key `last`."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def _cursor(pattern: str) -> AfterValidator:
    """Reads the cursor of a key that fits the pattern."""

    def decode(value: str) -> str:
        try:
            last = base64.b64decode(value, altchars=b"-_", validate=True).decode()
            if not re.fullmatch(pattern, last):
                raise ValueError
        except ValueError:
            raise fault("P003", "is not a cursor that this service gave") from None
        return last

    return AfterValidator(decode)


Cursor = Annotated[str, _cursor(r"payout_[0-9a-f]{32}")]
"""The payout id that a cursor holds."""

RevocationCursor = Annotated[str, _cursor(r"(?:token|subject):.{1,256}")]
"""The key of a revocation that a cursor holds."""

AddressCursor = Annotated[str, _cursor(r"T[1-9A-HJ-NP-Za-km-z]{33}")]
"""The address that a cursor holds."""

EntryCursor = Annotated[str, _cursor(r"[1-9][0-9]{0,15}")]
"""The number of an audit entry that a cursor holds, as text."""

PageSize = Annotated[
    Annotated[int, Field(ge=1, strict=False)] | None,
    Field(description="Items on a page; the settings give the default and the maximum."),
]


def page_size(sizes: ApiConfig, wanted: int | None) -> int:
    """How many items a page holds. Raises InvalidRequest above the settings' maximum."""
    if wanted is None:
        return sizes.default_page_size
    if wanted > sizes.max_page_size:
        raise InvalidRequest([FieldProblem("limit", f"must be at most {sizes.max_page_size}")])
    return wanted
