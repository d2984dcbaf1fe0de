"""Read a YAML file into a pydantic model and report every problem at once.

`${NAME}` and `${NAME:-default}` inside any scalar are resolved from a given environment before the
scalar gets its type, so `port: ${PORT:-8092}` is an integer and `port: "${PORT:-8092}"` a string
(between braces, `{port: …}`, YAML allows the quoted form only). An empty variable counts as one
that is not set.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

ModelT = TypeVar("ModelT", bound=BaseModel)

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_SHOWN_CHARACTERS = 60

# Pydantic's own words are kept for everything that is not in this table.
_EXPECTED_BY_ERROR_TYPE = {
    "extra_forbidden": "no such key",
    "missing": "a value (required)",
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "frozen_set_type": "a list",
}


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong: in a file, at a dotted key, or in a variable (`path` empty)."""

    source: str
    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        where = f"{self.source}: {self.path}" if self.path else self.source
        return f"{where}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Loaded(Generic[ModelT]):
    """Either the model, or at least one problem."""

    model: ModelT | None
    problems: tuple[ConfigProblem, ...]


@dataclass(frozen=True, slots=True)
class Override:
    """A variable whose value, where it is set, replaces the value at `path` of the file."""

    variable: str
    path: tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """Safe loader that resolves variables, and notes repeated keys instead of dropping one."""

    def __init__(self, text: str, source: str, environ: Mapping[str, str]) -> None:
        super().__init__(text)
        self.source = source
        self.environ = environ
        self.problems: list[ConfigProblem] = []
        self.variable_of: dict[str, str] = {}

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        for match in _VARIABLE.finditer(event.value):
            resolved = event.value.replace(match[0], self._resolve(match, line))
            if self.environ.get(match["name"]):
                self.variable_of[resolved] = match["name"]
            event.value = resolved
        return super().compose_scalar_node(anchor)

    def _resolve(self, match: re.Match[str], line: int) -> str:
        name, default = match["name"], match["default"]
        value = self.environ.get(name) or default
        if value is None:
            self.problems.append(
                ConfigProblem(self.source, f"line {line}", f"variable {name} to be set", "nothing")
            )
            return ""
        return value

    def shown(self, location: Sequence[str]) -> str:
        """A dotted key, with the names of variables where they made up parts of it."""
        variables = self.variable_of
        return ".".join(f"${{{variables[p]}}}" if p in variables else p for p in location)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                line = key_node.start_mark.line + 1
                self.problems.append(
                    ConfigProblem(
                        self.source, self.shown([key]), "each key once", f"it again in line {line}"
                    )
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# Dates stay strings: the models say what a value is, not YAML's guess.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_config(
    path: Path,
    model: type[ModelT],
    environ: Mapping[str, str],
    overrides: Sequence[Override] = (),
) -> Loaded[ModelT]:
    """Read `path` into `model`; never raises for what is wrong with the file or its values.

    Types are checked strictly (a quoted number is no number). A value that came from a variable is
    never echoed in a problem: it might be a secret.
    """
    source = path.name
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return Loaded(None, (ConfigProblem(source, "", "a readable UTF-8 file", _reason(error)),))
    try:
        loader = _Loader(text, source, environ)
        data = loader.get_single_data()
    except yaml.YAMLError as error:
        return Loaded(None, (ConfigProblem(source, "", "valid YAML", _reason(error)),))
    if not isinstance(data, dict):
        return Loaded(None, (ConfigProblem(source, "", "a mapping", type(data).__name__),))
    replaced = _apply_overrides(data, overrides, environ)
    return _validate(source, model, data, loader, replaced)


def _apply_overrides(
    data: dict[str, Any], overrides: Sequence[Override], environ: Mapping[str, str]
) -> dict[tuple[str, ...], str]:
    replaced: dict[tuple[str, ...], str] = {}
    for override in overrides:
        value = environ.get(override.variable)
        parent: Any = data
        for key in override.path[:-1]:
            parent = parent.get(key) if isinstance(parent, dict) else None
        if value and isinstance(parent, dict):
            parent[override.path[-1]] = value
            replaced[override.path] = override.variable
    return replaced


def _validate(
    source: str,
    model: type[ModelT],
    data: dict[str, Any],
    loader: _Loader,
    replaced: Mapping[tuple[str, ...], str],
) -> Loaded[ModelT]:
    problems = list(loader.problems)
    try:
        # Through JSON, because pydantic's strict mode takes a list for a tuple and a string for an
        # enum only there.
        valid = model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        for detail in error.errors():
            location = tuple(str(part) for part in detail["loc"])
            variable = replaced.get(location)
            found = describe_found(detail, hidden=loader.variable_of)
            problems.append(
                ConfigProblem(variable, "", describe_expected(detail), found)
                if variable
                else ConfigProblem(source, loader.shown(location), describe_expected(detail), found)
            )
        return Loaded(None, tuple(problems))
    return Loaded(None if problems else valid, tuple(problems))


def describe_expected(detail: ErrorDetails) -> str:
    """What a pydantic error says was expected, in the form "an integer"."""
    if detail["type"] in _EXPECTED_BY_ERROR_TYPE:
        return _EXPECTED_BY_ERROR_TYPE[detail["type"]]
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return detail["msg"].removeprefix("Input should be ").partition(", unable to")[0]


def describe_found(detail: ErrorDetails, hidden: Mapping[str, str] = MappingProxyType({})) -> str:
    """What was found instead; `hidden` maps values that must not be shown to their variables."""
    value = detail["input"]
    if detail["type"] == "missing":
        return "nothing"
    if str(value) in hidden:
        return f"the value of {hidden[str(value)]}"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return " ".join(str(error).split())
