"""The OpenAPI document, completed: what FastAPI cannot say of every operation by itself.

A route names only the statuses that are its own. Those that follow from what it takes (a body,
parameters, a token) and from what stands before every route are added here.
"""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from api.auth import Access
from api.problems import MEDIA_TYPE, Problem

Json = dict[str, Any]

_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}

_HEADERS: Final[Mapping[str, Json]] = {
    "X-Request-ID": {
        "description": "Names the request in the logs; yours, if you sent a fit one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait, or the moment to wait for, as an HTTP date.",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "The rate that the request counted for: `q` requests in `w` seconds.",
        "schema": {"type": "string", "examples": ['"read";q=120;w=60']},
    },
    "RateLimit": {
        "description": "What is left of it: `r` requests now, the whole burst in `t` seconds.",
        "schema": {"type": "string", "examples": ['"read";r=119;t=1']},
    },
}
_OF_STATUS: Final = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}
_OF_EVERY_REQUEST: Final = (413, 431, 500, 503)
_OF_A_TOKEN: Final = (401, 429)
_HEADERS_OF_A_TOKEN: Final = ("RateLimit-Policy", "RateLimit")
_OF_A_PERMISSION: Final = (403,)
_OF_A_BODY: Final = (400, 415)
_OF_PARAMETERS: Final = (400,)


PLACEHOLDER: Final[dict[int | str, Json]] = {"default": {"model": Problem}}
"""The `responses` of every router: keeps FastAPI from adding a 422 of its own, and goes again."""


def complete(document: Json, routes: Sequence[BaseRoute]) -> None:
    """Name the permission of each operation, and every status and header that it can answer."""
    actions = dict(_actions(routes))
    document["components"]["headers"] = dict(_HEADERS)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(operation, actions.get((path, method)))


def _actions(routes: Sequence[BaseRoute]) -> Iterator[tuple[tuple[str, str], str]]:
    """((path, method), action) of every route that asks for a permission."""
    for route in iter_route_contexts(routes):
        for access in accesses(route.dependant):
            if access.action is not None:
                for method in route.methods or ():
                    yield (route.path or "", method.lower()), access.action


def accesses(dependant: Dependant) -> Iterator[Access]:
    """Every `Access` that a route depends on."""
    if isinstance(dependant.call, Access):
        yield dependant.call
    for deeper in dependant.dependencies:
        yield from accesses(deeper)


def _complete(operation: Json, action: str | None) -> None:
    if action is not None:
        # OpenAPI 3.1 lets a requirement name the roles that it takes; here, the permission.
        operation["security"] = [{scheme: [action] for scheme in operation["security"][0]}]
        operation["description"] += f"\n\nNeeds the permission `{action}`."
    responses: Json = operation["responses"]
    del responses["default"]
    for number in _statuses(operation, action):
        responses.setdefault(str(number), {"description": HTTPStatus(number).phrase})
    told = _HEADERS_OF_A_TOKEN if "security" in operation else ()
    for status, response in responses.items():
        _complete_response(status, response, told)


def _statuses(operation: Json, action: str | None) -> Iterator[int]:
    yield from _OF_EVERY_REQUEST
    if "security" in operation:
        yield from _OF_A_TOKEN
    if action is not None:
        yield from _OF_A_PERMISSION
    if "requestBody" in operation:
        yield from _OF_A_BODY
    if any(parameter["in"] != "path" for parameter in operation.get("parameters", ())):
        yield from _OF_PARAMETERS


def _complete_response(status: str, response: Json, told: Sequence[str]) -> None:
    headers = response.setdefault("headers", {})
    for name in filter(None, ("X-Request-ID", _OF_STATUS.get(status), *told)):
        headers[name] = {"$ref": f"#/components/headers/{name}"}
    if status >= "400":
        content = response.setdefault("content", {})
        # FastAPI gives a problem the media type of everything else.
        wrong = [media for media, what in content.items() if what["schema"] == _PROBLEM]
        for media in wrong:
            del content[media]
        content[MEDIA_TYPE] = {"schema": _PROBLEM}
