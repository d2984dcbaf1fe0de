"""Sections of the YAML files as they are read: strictly, through JSON."""

import json
from typing import Any, TypeVar

import pytest
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def read(section: type[T], data: Any) -> T:
    """The section of this data."""
    return TypeAdapter(section).validate_json(json.dumps(data), strict=True)


def refused(section: Any, data: Any) -> str:
    """What is said about data that is no such section."""
    with pytest.raises(ValidationError) as refusal:
        read(section, data)
    return "\n".join(
        f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
        for fault in refusal.value.errors()
    )
