"""Where the services report figures; names and labels are those of `prometheus-metrics.yaml`."""

from typing import Protocol


class Observer(Protocol):
    """Counters, gauges and histograms by family name. Never raises for a declared family."""

    def count(self, name: str, /, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""

    def gauge(self, name: str, /, value: float, **labels: str) -> None:
        """Set a gauge."""

    def observe(self, name: str, /, value: float, **labels: str) -> None:
        """Add to a histogram."""
