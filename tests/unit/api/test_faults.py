"""A refused field is told what it must be, in our words, with its limit."""

import json
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from api.app import build_app
from api.faults import OTHERWISE, field_problem
from tests.unit.api.edge import GOOD_BODY, World

JSON = {"Content-Type": "application/json"}
BODY_WORDS: dict[str, tuple[Any, str]] = {
    "reference": ("r" * 129, "must have 128 or fewer characters"),
    "session_id": ("", "must have 1 or more characters"),
    "node_id": (7, "must be a string"),
    "description": ("\ud800", "must not contain half a surrogate pair"),
    "metadata": ({str(number): "" for number in range(21)}, "must have 20 or fewer entries"),
    "priority": (11, "must be at most 10"),
    "amuont": ("1", "is not a field of this request"),
}
QUERY_WORDS = {
    "limit": ("0", "must be at least 1"),
    "txid": ("x", "must match ^[0-9a-fA-F]{64}$"),
    "status": ("paid", "must be one of scheduled"),
}


@pytest.mark.parametrize("field", BODY_WORDS)
async def test_fields_of_a_body(edge: World, field: str) -> None:
    value, words = BODY_WORDS[field]
    body = json.dumps({**GOOD_BODY, field: value})
    answer = await edge.client.post("/payouts", content=body, headers=JSON)
    (fault,) = answer.json()["errors"]
    assert fault == {"field": field, "message": words, "code": "P003"}
    assert answer.json()["detail"] == f"{field} {words}"


@pytest.mark.parametrize("field", QUERY_WORDS)
async def test_fields_of_a_query(edge: World, field: str) -> None:
    value, words = QUERY_WORDS[field]
    answer = await edge.client.get("/payouts", params={field: value})
    (fault,) = answer.json()["errors"]
    assert fault["field"] == field
    assert fault["message"].startswith(words)


async def test_a_whole_body(edge: World) -> None:
    for content, words in (("[]", "must be a JSON object"), ("{", "is not valid JSON: Expecting")):
        answer = await edge.client.post("/payouts", content=content, headers=JSON)
        (fault,) = answer.json()["errors"]
        assert fault["field"] == "body"
        assert fault["message"].startswith(words)


def request_models() -> dict[str, type[BaseModel]]:
    """Every model that a route reads a body or a query with."""
    found: dict[str, type[BaseModel]] = {}
    for route in iter_route_contexts(build_app(None).routes):  # type: ignore[arg-type]
        fields = [*route.dependant.body_params, *route.dependant.query_params]
        for model in (one for field in fields for one in _classes(field.field_info.annotation)):
            found[model.__name__] = model
    return found


def _classes(annotation: Any) -> list[type[BaseModel]]:
    choices = getattr(annotation, "__args__", None) or (annotation,)
    return [one for one in choices if isinstance(one, type) and issubclass(one, BaseModel)]


MODELS = request_models()

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=25),
    max_leaves=10,
)


@pytest.mark.parametrize("name", MODELS)
@given(data=st.data())
def test_every_kind_of_fault_has_words(name: str, data: st.DataObject) -> None:
    model = MODELS[name]
    fields = st.sampled_from(sorted(model.model_fields)) | st.text(max_size=5)
    body = data.draw(st.dictionaries(fields, values, max_size=5))
    try:
        model.model_validate(body)
    except ValidationError as error:
        for fault in error.errors():
            problem = field_problem({**fault, "loc": ("body", *fault["loc"])})
            assert problem.message != OTHERWISE, fault


def test_the_models_are_found() -> None:
    assert {"CreatePayout", "ListPayouts", "CancelPayout", "PauseOrResume"} <= set(MODELS)
