from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from utils.config_loader import Loaded, Override, load_config


class Pool(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = Field(ge=1)
    timeout: float = 1.5


class Service(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = "router"
    debug: bool = False
    pool: Pool
    roles: tuple[str, ...] = ()


def load(tmp_path: Path, text: str, environ=None, overrides=()) -> Loaded[Service]:
    path = tmp_path / "service.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, Service, environ or {}, overrides)


def complaints(loaded: Loaded[Service]) -> list[str]:
    assert loaded.model is None
    return [str(problem) for problem in loaded.problems]


def test_reads_a_file_into_the_model(tmp_path):
    loaded = load(tmp_path, "pool: {size: 3}\nroles: [a, b]\n")
    assert loaded.problems == ()
    assert loaded.model == Service(pool=Pool(size=3), roles=("a", "b"))


@pytest.mark.parametrize(
    ("environ", "size"), [({}, 8), ({"SIZE": "5"}, 5), ({"SIZE": ""}, 8), ({"OTHER": "1"}, 8)]
)
def test_the_environment_beats_the_default_of_the_file(tmp_path, environ, size):
    loaded = load(tmp_path, "pool:\n  size: ${SIZE:-8}\n  timeout: 2\n", environ)
    assert loaded.model is not None
    assert loaded.model.pool.size == size


@pytest.mark.parametrize(
    ("scalar", "value", "expected"),
    [
        ("${X}", "true", True),
        ("${X:-false}", "", False),
        ("${X}", "no", False),
    ],
)
def test_a_plain_scalar_gets_its_type_after_the_variable(tmp_path, scalar, value, expected):
    loaded = load(tmp_path, f"pool: {{size: 1}}\ndebug: {scalar}\n", {"X": value})
    assert loaded.model is not None
    assert loaded.model.debug is expected


def test_a_quoted_scalar_stays_a_string(tmp_path):
    loaded = load(tmp_path, 'pool: {size: 1}\nname: "a-${X}-${Y:-d}"\n', {"X": "12"})
    assert loaded.model is not None
    assert loaded.model.name == "a-12-d"
    assert "debug: expected true or false, found the value of X" in str(
        load(tmp_path, 'pool: {size: 1}\ndebug: "${X}"\n', {"X": "true"}).problems[0]
    )


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    text = """
name: 5
debug: "yes"
pool: {size: 0, timeout: fast, sice: 3}
roles: one
extra: 1
name: again
"""
    assert sorted(complaints(load(tmp_path, text))) == [
        "service.yaml: debug: expected true or false, found 'yes'",
        "service.yaml: extra: expected no such key, found 1",
        "service.yaml: name: expected each key once, found it again in line 7",
        "service.yaml: pool.sice: expected no such key, found 3",
        "service.yaml: pool.size: expected greater than or equal to 1, found 0",
        "service.yaml: pool.timeout: expected a number, found 'fast'",
        "service.yaml: roles: expected a list, found 'one'",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: x", "service.yaml: pool: expected a value (required), found nothing"),
        ("pool: {size: '3'}", "service.yaml: pool.size: expected an integer, found '3'"),
        ("pool: {size: 3.5}", "service.yaml: pool.size: expected"),
        ("pool: 3", "service.yaml: pool: expected"),
        ("pool:\n  size: ${NOPE}", "service.yaml: line 2: expected variable NOPE to be set"),
        ("", "service.yaml: expected a mapping, found NoneType"),
        ("- a", "service.yaml: expected a mapping, found list"),
        ("pool:\n  size: [", "service.yaml: expected valid YAML, found line 2: "),
        ("name: !!python/object:os.system {}\npool: {size: 1}", "expected valid YAML"),
        ("name: 2026-01-01\npool: {size: .nan}", "service.yaml: pool.size: expected"),
        ("name: a\x00b", "service.yaml: expected valid YAML"),
    ],
)
def test_each_fault_names_file_key_and_what_is_expected(tmp_path, text, complaint):
    assert complaint in complaints(load(tmp_path, text))[0]


def test_a_date_is_a_string(tmp_path):
    loaded = load(tmp_path, "name: 2026-01-01\npool: {size: 1}")
    assert loaded.model is not None
    assert loaded.model.name == "2026-01-01"


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    loaded = load_config(tmp_path / "none.yaml", Service, {})
    assert "none.yaml: expected a readable UTF-8 file" in complaints(loaded)[0]
    (tmp_path / "latin.yaml").write_bytes("name: Grüße".encode("latin-1"))
    loaded = load_config(tmp_path / "latin.yaml", Service, {})
    assert "latin.yaml: expected a readable UTF-8 file" in complaints(loaded)[0]


def test_a_value_from_a_variable_is_never_shown(tmp_path):
    loaded = load(tmp_path, "pool:\n  size: x${SECRET}", {"SECRET": "hunter2"})
    assert complaints(loaded) == [
        "service.yaml: pool.size: expected an integer, found the value of SECRET"
    ]


OVERRIDES = (Override("NAME", ("name",)), Override("POOL_NAME", ("pool", "size")))


def test_an_override_replaces_the_value_of_the_file(tmp_path):
    loaded = load(tmp_path, "name: file\npool: {size: 1}", {"NAME": "env"}, OVERRIDES)
    assert loaded.model is not None
    assert loaded.model.name == "env"
    loaded = load(tmp_path, "name: file\npool: {size: 1}", {"NAME": ""}, OVERRIDES)
    assert loaded.model is not None
    assert loaded.model.name == "file"


def test_a_wrong_override_names_the_variable(tmp_path):
    loaded = load(tmp_path, "pool: {size: 1}", {"POOL_NAME": "many"}, OVERRIDES)
    assert complaints(loaded) == ["POOL_NAME: expected an integer, found 'many'"]


def test_an_override_of_a_key_below_nothing_changes_nothing(tmp_path):
    loaded = load(tmp_path, "name: x", {"POOL_NAME": "1"}, OVERRIDES)
    assert complaints(loaded) == ["service.yaml: pool: expected a value (required), found nothing"]


@given(st.text())
def test_no_text_makes_it_raise(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("yaml") / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    loaded = load_config(path, Service, {})
    assert (loaded.model is None) == bool(loaded.problems)
