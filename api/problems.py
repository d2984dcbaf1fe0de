"""Errors as RFC 9457 problem documents, whoever raised them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import quote

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.faults import field_problem
from config import SERVICE_NAME, ErrorCode
from models.errors import FieldProblem, InvalidRequest, PayoutError
from ports.chain import ChainUnavailableError
from ports.store import StoreError

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 5
"""When to come back after a 503: about as long as a fail-over of the database takes."""

MAX_ERRORS: Final = 50
"""A body of thousands of unknown fields must not make an answer many times its size."""

_log = structlog.get_logger("api.problems")


class FieldError(BaseModel):
    """One fault of one field of the request."""

    field: str = Field(description="The field, with a dot between levels.", examples=["amount"])
    message: str
    code: str = Field(examples=["P003"])


class Refusal(BaseModel):
    """Why something that was asked for was not done: what a problem document says of it."""

    type: str = Field(examples=[f"urn:{SERVICE_NAME}:problem:P003"])
    title: str = Field(examples=["Request invalid"])
    status: int = Field(examples=[400])
    detail: str = Field(examples=['amount must be a decimal string such as "12.50"'])
    code: str = Field(description="What went wrong.", examples=["P003"])
    retryable: bool = Field(description="Whether the same request can succeed later.")
    recovery_action: str = Field(examples=["correct_request"])
    field: str | None = Field(default=None, description="The first field at fault.")
    errors: list[FieldError] = Field(default=[], description="All fields at fault.")
    extra: dict[str, Any] = Field(default={}, description="Figures that help, such as a limit.")

    @classmethod
    def of(cls, error: PayoutError, codes: Mapping[str, ErrorCode]) -> Self:
        """What a PayoutError says."""
        entry = codes[error.code]
        return cls(
            type=f"urn:{SERVICE_NAME}:problem:{error.code}",
            title=entry.title,
            status=entry.http_status or HTTPStatus.INTERNAL_SERVER_ERROR,
            detail=_detail(error),
            code=error.code,
            retryable=entry.retryable,
            recovery_action=entry.recovery_action,
            field=error.field,
            errors=[
                FieldError(field=fault.field, message=fault.message, code=fault.code)
                for fault in _faults(error)[:MAX_ERRORS]
            ],
            extra=error.extra,
        )


class Problem(Refusal):
    """An RFC 9457 problem document."""

    instance: str = Field(description="The path of the request.", examples=["/payouts"])
    request_id: str


def problem_response(request: Request, error: PayoutError) -> Response:
    """The answer to a request that a PayoutError refused."""
    refusal = Refusal.of(error, request.app.state.container.settings.error_codes.codes)
    problem = Problem(
        instance=quote(request.scope["path"], safe="/", errors="replace")[:200],
        request_id=request.state.request_id,
        **refusal.model_dump(),
    )
    return Response(
        json.dumps(problem.model_dump(exclude_defaults=True)),
        problem.status,
        headers=_headers(request, problem.status, error),
        media_type=MEDIA_TYPE,
    )


def _detail(error: PayoutError) -> str:
    if isinstance(error, InvalidRequest):
        return f"{error.field} {error.message}"
    return error.message


def _faults(error: PayoutError) -> Sequence[FieldProblem]:
    if isinstance(error, InvalidRequest):
        return error.problems
    if error.field is not None:
        return [FieldProblem(error.field, error.message, error.code)]
    return []


_HEADERS: Final[Mapping[int, Mapping[str, str]]] = {
    401: {"WWW-Authenticate": f'Bearer realm="{SERVICE_NAME}"'},
    # The rest of the body was not read, so the connection cannot carry another request.
    413: {"Connection": "close"},
    503: {"Retry-After": str(RETRY_AFTER_SECONDS)},
}


def _headers(request: Request, status: int, error: PayoutError) -> Mapping[str, str]:
    wait = error.extra.get("retry_after_seconds")
    if wait is not None:
        return {"Retry-After": str(wait)}
    resets_at = error.extra.get("resets_at")
    if resets_at is not None:
        moment = datetime.fromisoformat(resets_at)
        return {"Retry-After": format_datetime(moment.astimezone(UTC), usegmt=True)}
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        # FastAPI names the methods of one route; several can share a path.
        methods: Mapping[str, frozenset[str]] = request.app.state.methods
        return {"Allow": ", ".join(sorted(methods[request.scope["route"].path]))}
    return _HEADERS.get(status, {})


# ---- from what FastAPI and the layers below raise ----

HANDLED: Final = (
    PayoutError,
    RequestValidationError,
    HTTPException,
    ClientDisconnect,
    StoreError,
    ChainUnavailableError,
)
"""The exceptions that are answers; any other one is a fault of ours."""


async def handle(request: Request, error: Exception) -> Response:
    """The problem document for one of the HANDLED exceptions."""
    if isinstance(error, StoreError | ChainUnavailableError):
        _log.warning("dependency_down", error=f"{type(error).__name__}: {error}")
    return problem_response(request, _refusal(error))


def invalid(error: RequestValidationError) -> InvalidRequest:
    """What FastAPI refused, with every field at fault."""
    return InvalidRequest([field_problem(fault) for fault in error.errors()])


_OF_STATUS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("P003", "the request cannot be read"),
    404: ("P010", "there is nothing at this path"),
    405: ("P011", "this path does not know this method"),
}


def _refusal(error: Exception) -> PayoutError:
    match error:
        case PayoutError():
            return error
        case RequestValidationError():
            return invalid(error)
        case HTTPException():
            return PayoutError(*_OF_STATUS[error.status_code])
        case ClientDisconnect():
            return PayoutError("P003", "the body ended before its end")
        case _:
            return PayoutError(
                "P007",
                "a service that is needed did not answer; what was asked may or may not have "
                "happened. Repeat it, a create with the same Idempotency-Key",
            )


# ---- in the OpenAPI document ----


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer with problems of these statuses; those that
    many routes have in common are added by api/document.py."""
    return {
        status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in statuses
    }


def shown_header(name: str, description: str, *, required: bool = True) -> dict[str, Any]:
    """The `headers` of a response that has this one besides those of every response."""
    schema = {"type": "string"}
    return {name: {"description": description, "required": required, "schema": schema}}
