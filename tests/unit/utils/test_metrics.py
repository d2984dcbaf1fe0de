import os
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from utils.metrics import MetricFamily, Metrics

FAMILIES = [
    MetricFamily(name="test_calls_total", type="counter", help="Calls.", labels=("code",)),
    MetricFamily(name="test_lag_seconds", type="gauge", help="Lag."),
    MetricFamily(name="test_time_seconds", type="histogram", help="Time.", buckets=(0.1, 1)),
]


def values(text: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_builds_what_is_declared_and_renders_it():
    metrics = Metrics(FAMILIES)
    metrics.counter("test_calls_total").labels(code="200").inc(3)
    metrics.gauge("test_lag_seconds").set(1.5)
    metrics.histogram("test_time_seconds").observe(0.5)
    text, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    found = values(text)
    assert found["test_calls_total", ("200",)] == 3
    assert found["test_lag_seconds", ()] == 1.5
    assert found["test_time_seconds_bucket", ("0.1",)] == 0
    assert found["test_time_seconds_bucket", ("1.0",)] == 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("counter", "missing_total"),
        ("gauge", "test_calls_total"),
        ("histogram", "test_lag_seconds"),
        ("counter", "test_lag_seconds"),
    ],
)
def test_a_name_that_is_not_declared_is_a_clear_error(kind, name):
    with pytest.raises(KeyError, match=f"no {kind} {name} is declared"):
        getattr(Metrics(FAMILIES), kind)(name)


@pytest.mark.parametrize(
    "family",
    [
        {"name": "test_calls", "type": "counter"},
        {"name": "test_lag_total", "type": "gauge"},
        {"name": "Test_lag", "type": "gauge"},
        {"name": "test_lag", "type": "gauge", "buckets": [1]},
        {"name": "test_time", "type": "histogram"},
        {"name": "test_time", "type": "histogram", "buckets": [2, 1]},
        {"name": "test_lag", "type": "gauge", "labels": ["a", "a"]},
        {"name": "test_lag", "type": "summary"},
        {"name": "test_lag", "type": "gauge", "unit": "s"},
    ],
)
def test_refuses_a_declaration_against_the_practice(family):
    with pytest.raises(ValidationError):
        MetricFamily(help="Help.", **family)


PROCESS = """
import sys
from utils.metrics import MetricFamily, Metrics
metrics = Metrics([
    MetricFamily(name="test_calls_total", type="counter", help="Calls."),
    MetricFamily(name="test_lag_seconds", type="gauge", help="Lag."),
])
metrics.counter("test_calls_total").inc(int(sys.argv[1]))
metrics.gauge("test_lag_seconds").set(int(sys.argv[1]))
print(metrics.render()[0].decode())
"""


def test_several_processes_show_as_one(tmp_path):
    environ = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for count in ("2", "3"):
        text = subprocess.run(  # noqa: S603
            [sys.executable, "-c", PROCESS, count], env=environ, check=True, capture_output=True
        ).stdout
    assert values(text) == {("test_calls_total", ()): 5, ("test_lag_seconds", ()): 3}
