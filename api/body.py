"""Request bodies: strict JSON (RFC 8259) in UTF-8, CSV where a route says so, or nothing."""

import json
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, ClassVar, Final, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

from models.errors import PayoutError

CSV: Final = "text/csv"
_WITH_BODY: Final = frozenset({"POST", "PUT"})


def parse_json(body: bytes) -> Any:
    """The value of a JSON text.

    Raises json.JSONDecodeError also for what Python's reader would let pass or trip over:
    another encoding than UTF-8, NaN and Infinity, a name twice in one object, numbers of
    thousands of digits, nesting deeper than the interpreter can follow.
    """
    try:
        return json.loads(
            body.decode(), object_pairs_hook=_without_twins, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", "", 0) from None
    except UnicodeDecodeError:
        raise json.JSONDecodeError("not UTF-8", "", 0) from None
    except ValueError as error:
        raise json.JSONDecodeError(str(error), "", 0) from None


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two readers of {"amount": "1", "amount": "9"} can see two amounts; nobody means that.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


class _JsonRequest(Request):
    async def json(self) -> Any:
        return parse_json(await self.body())


class _TypedRoute(APIRoute):
    """A route whose body, where a POST or PUT has one, must be of one media type. Raises P013."""

    media_type: ClassVar[str]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler that FastAPI made, behind a check of the media type."""
        handle = super().get_route_handler()

        async def handle_typed(request: Request) -> Response:
            request = _JsonRequest(request.scope, request.receive)
            if request.method in _WITH_BODY and await request.body():
                _check_type(request, self.media_type)
            return await handle(request)

        return handle_typed


class JsonRoute(_TypedRoute):
    """A route that takes JSON."""

    media_type = "application/json"


class CsvRoute(_TypedRoute):
    """A route that takes CSV."""

    media_type = CSV


def _check_type(request: Request, media_type: str) -> None:
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    charset = header.get_content_charset() or "utf-8"
    if header.get_content_type() != media_type or charset != "utf-8":
        raise PayoutError("P013", f"send the body as Content-Type: {media_type}")
