"""The OpenAPI document and the service agree, whoever asks and whatever they send.

Schemathesis makes requests from the document: its examples, each bound of each field from both
sides, and random ones. They are sent with a token of each role and with none, to the real services
in this process, and every second one is about an object that is there.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, count
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.parameters import ParameterLocation

from api.app import build_app
from api.faults import OTHERWISE
from tests.access import ASKS, BEFORE, OBJECTS, OWNERS, ROLES, Asking, expected
from tests.front import BASE_URL, Front, open_front

DOCUMENT = build_app(None).openapi()  # type: ignore[arg-type]
for _operation in chain.from_iterable(path.values() for path in DOCUMENT["paths"].values()):
    _operation.pop("security", None)  # so that no tokens are made up: those are ours to choose
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
NAMES = [
    f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods
]
CALLERS = (None, *ROLES)
RANDOM_CASES = settings.default.max_examples // 5
THOROUGH = settings.get_current_profile_name() == "full"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
BEYOND_A_SCHEMA = {
    *("cursor", "limit", "after", "before", "wallet", "body", "priority"),
    *("scheduled_at", "batch_window", "verified_at", "level"),
}
"""Fields with rules that JSON Schema cannot tell: settings, the clock, what is stored, one field or
another, and that 9.0 is no way to write an integer."""

_numbers = count()


@pytest.mark.parametrize("name", NAMES)
async def test_the_document_tells_what_happens(name: str) -> None:
    method, _, path = name.partition(" ")
    async with open_front() as front:
        for number, case in enumerate(cases_of(SCHEMA[path][method])):
            for role in callers(number):
                asking = Asking(role or ROLES[0], None, OWNERS[0], f"subject-{next(_numbers)}")
                if name in BEFORE:
                    await BEFORE[name](front)
                request = await request_for(front, case, asking, real=number % 2 == 0)
                if role is not None:
                    request["headers"]["Authorization"] = f"Bearer {asking.bearer}"
                answer = await front.client.request(**request)
                case.validate_response(answer, checks=CHECKS)
                check_permission(name, role, answer)
                check_words(case, answer)


# ---- requests ----


def callers(number: int) -> tuple[str | None, ...]:
    """Who sends a case: everybody the first ones of each operation, then whoever may do everything,
    and another one in turn."""
    if THOROUGH or number < 3:
        return CALLERS
    return ("SUPER_ADMIN", CALLERS[number % (len(CALLERS) - 1)])


def cases_of(operation: APIOperation) -> Iterator[Case]:
    """Requests for an operation, the same in every run."""
    for example in operation.get_strategies_from_examples():
        yield from drawn(example, 1)
    yield from SCHEMA.iter_coverage_cases(
        operation,
        generation_modes=list(GenerationMode),
        generation_config=SCHEMA.config.generation_for(operation=operation, phase="coverage"),
    )
    for mode in GenerationMode:
        with suppress(Unsatisfiable):  # an operation of which nothing can be wrong
            yield from drawn(operation.as_strategy(generation_mode=mode), RANDOM_CASES // 2)


def drawn(strategy: st.SearchStrategy[Case], how_many: int) -> list[Case]:
    found: list[Case] = []

    @settings(
        max_examples=how_many,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(case: Case) -> None:
        found.append(case)

    draw()
    return found


async def request_for(front: Front, case: Case, asking: Asking, real: bool) -> dict[str, Any]:
    """A case as httpx takes it; with `real`, about an object that is there."""
    made: dict[str, Any] = case.as_transport_kwargs(base_url=BASE_URL)
    names = re.findall(r"\{(\w+)\}", case.path)
    if real and names and not path_is_bad(case):
        values = {name: await OBJECTS[name](front, asking) for name in names}
        made["url"] = f"{BASE_URL}{case.path.format(**values)}"
    return {
        "method": made["method"],
        "url": made["url"],
        "params": made.get("params"),
        "headers": dict(made["headers"]),
        "content": made.get("data"),
        "json": made.get("json"),
    }


def path_is_bad(case: Case) -> bool:
    """Whether a case is about a path that the document does not permit."""
    path = case.meta and case.meta.components.get(ParameterLocation.PATH)
    return path is not None and path.mode is GenerationMode.NEGATIVE


# ---- checks of our own ----


def check_permission(name: str, role: str | None, answer: httpx.Response) -> None:
    """Nobody is served who may not ask for this."""
    if (action := ASKS.get(name)) is not None:
        refused = role is None or expected(role, action, None, None) is not None
        assert not (refused and answer.is_success), f"{name} serves {role or 'without a token'}"


def check_words(case: Case, answer: httpx.Response) -> None:
    """A refused field is told in our words; what the document permits is no malformed request."""
    if answer.status_code != 400:
        return
    problem = answer.json()
    told = [fault["message"] for fault in problem.get("errors", ())]
    assert OTHERWISE not in told, answer.text
    assert "Input should" not in answer.text
    if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
        found = problem.get("errors", ())  # none for a file as a whole
        fields = {fault["field"].rpartition(".")[2] for fault in found if fault["code"] == "P003"}
        assert fields <= BEYOND_A_SCHEMA, f"the document permits this: {answer.text}"
