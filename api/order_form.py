"""An order as columns of text: what a create takes, held against the same rules beforehand."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from api.faults import field_problem
from api.schemas import CreatePayout
from models.errors import PayoutError
from models.limits import Limits, check_amount

_NO_COLUMN: Final = frozenset({"metadata"})


class OrderForm:
    """ports.batches.Form of `POST /payouts`; amounts must be within `limits`."""

    columns: Final = frozenset(CreatePayout.model_fields) - _NO_COLUMN
    required: Final = frozenset(
        name for name, field in CreatePayout.model_fields.items() if field.is_required()
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def read(self, cells: Mapping[str, str]) -> tuple[Mapping[str, Any], str]:
        body: dict[str, Any] = dict(cells)
        if body.get("priority", "").isdecimal():
            body["priority"] = int(body["priority"])
        try:
            order = CreatePayout.model_validate_json(json.dumps(body))
        except ValidationError as error:
            raise ValueError(*_told(error)) from None
        if (limits := self._limits.get(order.currency)) is None:
            raise ValueError(f"currency: {order.currency} is not paid here")
        try:
            check_amount(limits, order.currency, order.amount)
        except PayoutError as error:
            raise ValueError(f"amount: {error.message}") from None
        return body, order.fingerprint


def _told(error: ValidationError) -> list[str]:
    found = [field_problem({**fault, "loc": ("row", *fault["loc"])}) for fault in error.errors()]
    return [f"{problem.field}: {problem.message}" for problem in found]
