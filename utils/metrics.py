"""Prometheus families that are declared as data, built once, and used by name."""

import os
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel, ConfigDict, Field, model_validator

_NAME = r"^[a-z][a-z0-9_]*[a-z0-9]$"


class FamilyType(StrEnum):
    """The kinds of family that are used."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class MetricFamily(BaseModel):
    """One family: what `config/prometheus-metrics.yaml` says of it.

    A counter's name ends in `_total`; a histogram has increasing buckets, in its base unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=_NAME)
    type: FamilyType
    help: str = Field(min_length=1)
    labels: tuple[Annotated[str, Field(pattern=_NAME)], ...] = ()
    buckets: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "MetricFamily":
        if (self.type is FamilyType.COUNTER) != self.name.endswith("_total"):
            raise ValueError(f"{self.name}: a name that ends in _total exactly for a counter")
        if (self.type is FamilyType.HISTOGRAM) != bool(self.buckets):
            raise ValueError(f"{self.name}: buckets exactly for a histogram")
        if list(self.buckets) != sorted(set(self.buckets)):
            raise ValueError(f"{self.name}: buckets that increase")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"{self.name}: each label once")
        return self


class Metrics:
    """The families of one process, by name.

    Raises KeyError, naming the family, for one that is not declared or is of another type.
    When PROMETHEUS_MULTIPROC_DIR is set (several serving processes), `render` adds the
    processes up; that variable must be set before prometheus_client is first imported.
    """

    def __init__(self, families: Iterable[MetricFamily]) -> None:
        self._registry = CollectorRegistry()
        self._families: Mapping[str, Counter | Gauge | Histogram] = {
            family.name: self._build(family) for family in families
        }

    def _build(self, family: MetricFamily) -> Counter | Gauge | Histogram:
        common = (family.name, family.help, family.labels)
        match family.type:
            case FamilyType.COUNTER:
                return Counter(*common, registry=self._registry)
            case FamilyType.GAUGE:
                # Of several processes the one that spoke last is right: what gauges show here is
                # the state of the wallet, the chain and the database, the same for all of them.
                return Gauge(*common, registry=self._registry, multiprocess_mode="mostrecent")
            case FamilyType.HISTOGRAM:
                return Histogram(*common, registry=self._registry, buckets=family.buckets)

    def counter(self, name: str) -> Counter:
        """The counter of that name."""
        family = self._families.get(name)
        if not isinstance(family, Counter):
            raise KeyError(f"no counter {name} is declared")
        return family

    def gauge(self, name: str) -> Gauge:
        """The gauge of that name."""
        family = self._families.get(name)
        if not isinstance(family, Gauge):
            raise KeyError(f"no gauge {name} is declared")
        return family

    def histogram(self, name: str) -> Histogram:
        """The histogram of that name."""
        family = self._families.get(name)
        if not isinstance(family, Histogram):
            raise KeyError(f"no histogram {name} is declared")
        return family

    def render(self) -> tuple[bytes, str]:
        """The text exposition of all families, and its content type."""
        registry = self._registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
