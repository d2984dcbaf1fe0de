"""What is said about a field that a request model refuses: our own words, never pydantic's."""

from collections.abc import Mapping
from typing import Any, Final

from api.fields import shown
from models.errors import FieldProblem

_WORDS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "json_invalid": "is not valid JSON: {error}",
    "model_attributes_type": "must be a JSON object",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "list_type": "must be a list",
    "string_type": "must be a string",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have {max_length} or fewer characters",
    "string_pattern_mismatch": "must match {pattern}",
    "string_unicode": "must not contain half a surrogate pair",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} or fewer entries",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_parsing_size": "must be an integer of fewer digits",
    "int_from_float": "must be an integer",
    "finite_number": "must be an integer",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}
"""By the type of pydantic's error; its context fills the limits in."""

OTHERWISE: Final = "is not valid"
"""What is said of a kind that has no words yet."""


def field_problem(error: Mapping[str, Any]) -> FieldProblem:
    """One of pydantic's errors; the type of an error of our own (api/fields.py) is its P-code."""
    kind: str = error["type"]
    context = error.get("ctx", {})
    if kind.startswith("P"):
        return FieldProblem(_field(error), context["message"], kind)
    if kind == "json_invalid":
        return FieldProblem("body", _WORDS[kind].format_map(context))
    return FieldProblem(_field(error), _WORDS.get(kind, OTHERWISE).format_map(context))


def _field(error: Mapping[str, Any]) -> str:
    """The path of a field, with a dot between levels; where it came from if it has none."""
    source, *path = error["loc"]
    return ".".join(shown(str(part), 64) for part in path) or source
