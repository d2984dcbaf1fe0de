"""The values that fields of requests hold: what is taken, and what is said about the rest.

An error of our own carries its P-code as its type; every other error of a field is P003.
"""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, LiteralString, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

from models.address import address_bytes
from models.money import Currency, parse_amount
from models.order import BatchWindow, PayoutReason, PayoutType, RouteChoice, RouteName
from models.pause import Activity
from models.payout import PayoutStatus, Resolution
from models.registry import AddressList

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of surrogate pairs, which UTF-8 cannot carry."""


def shown(value: str, limit: int) -> str:
    """What a client sent as it may stand in an answer: printable, at most `limit` characters."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value[:limit])


def fault(code: LiteralString, message: str) -> PydanticCustomError:
    """An error whose type is its P-code."""
    return PydanticCustomError(code, "{message}", {"message": message})


EnumT = TypeVar("EnumT", bound=StrEnum)


def _one_of(choices: type[EnumT], code: LiteralString = "P003") -> BeforeValidator:
    def parse(value: object) -> EnumT:
        if isinstance(value, str) and value in tuple(choices):
            return choices(value)
        raise fault(code, f"must be one of {', '.join(choices)}")

    return BeforeValidator(parse)


def _amount(value: object) -> int:
    if not isinstance(value, str):
        raise fault("P003", 'must be a decimal string such as "12.50", not a number')
    try:
        return parse_amount(value)
    except ValueError as error:
        raise fault("P003", str(error)) from None


def _address(value: object) -> str:
    if not isinstance(value, str):
        raise fault("P100", "must be a base58check address, a string that begins with T")
    try:
        address_bytes(value)
    except ValueError as error:
        raise fault("P100", str(error)) from None
    return value


def _moment(value: object) -> datetime:
    """UTC, cut to the millisecond, which is what the database keeps."""
    try:
        if not isinstance(value, str) or len(value) > 40:
            raise ValueError
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise fault(
            "P003",
            'must be a time in ISO 8601 with an offset, such as "2030-01-31T12:00:00Z" '
            "(in a URL, write + as %2B)",
        ) from None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class _Plain:
    """Marks a string that must not contain control characters, in the OpenAPI document as well."""

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}

    def _check(self, value: str) -> str:
        if _UNPRINTABLE.search(value):
            raise fault("P003", "must not contain control characters")
        return value


_PLAIN: Final = _Plain()

Amount = Annotated[
    int,
    BeforeValidator(_amount),
    WithJsonSchema({"type": "string", "pattern": r"^(0|[1-9][0-9]{0,12})(\.[0-9]{1,6})?$"}),
]
Address = Annotated[
    str,
    BeforeValidator(_address),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^T[1-9A-HJ-NP-Za-km-z]{33}$",
            "examples": ["TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"],
        }
    ),
]
Moment = Annotated[datetime, BeforeValidator(_moment)]
AnyCurrency = Annotated[Currency, _one_of(Currency, "P106")]
AnyReason = Annotated[PayoutReason, _one_of(PayoutReason, "P108")]
AnyStatus = Annotated[PayoutStatus, _one_of(PayoutStatus)]
AnyResolution = Annotated[Resolution, _one_of(Resolution)]
AnyActivity = Annotated[Activity, _one_of(Activity)]
AnyPayoutType = Annotated[PayoutType, _one_of(PayoutType)]
AnyBatchWindow = Annotated[BatchWindow, _one_of(BatchWindow)]
AnyRoute = Annotated[RouteName, _one_of(RouteName, "P400")]
AnyRouteChoice = Annotated[RouteChoice, _one_of(RouteChoice, "P400")]
RouteOfPath = Annotated[RouteName, _one_of(RouteName, "P010")]
ListOfPath = Annotated[AddressList, _one_of(AddressList, "P010")]
"""Names in a path: of what is not there, as with any other path."""

IdempotencyKey = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")]
Txid = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$"), AfterValidator(str.lower)]
Name = Annotated[str, Field(min_length=1, max_length=128), _PLAIN]
"""An identifier that a client chose."""

BatchId = Annotated[str, Field(pattern=r"^batch_[0-9a-f]{32}$")]
Tenant = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Remark = Annotated[str, Field(max_length=500), _PLAIN]
"""A sentence for people."""

RequiredRemark = Annotated[str, Field(min_length=1, max_length=500), _PLAIN]
MetadataKey = Annotated[str, Field(min_length=1, max_length=64), _PLAIN]
MetadataValue = Annotated[str, Field(max_length=256), _PLAIN]
Metadata = Annotated[
    dict[MetadataKey, MetadataValue],
    # In the document the rule for keys is one for the keys that fit: without this, all others pass.
    Field(max_length=20, json_schema_extra={"additionalProperties": False}),
]
