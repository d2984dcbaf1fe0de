"""The observer that services and adapters report to, over Prometheus families."""

from utils.metrics import Metrics


class MetricsObserver:
    """Implements `ports.observer.Observer`. Raises KeyError for a family that is not declared."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def count(self, name: str, /, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        family = self._metrics.counter(name)
        (family.labels(**labels) if labels else family).inc(amount)

    def gauge(self, name: str, /, value: float, **labels: str) -> None:
        """Set a gauge."""
        family = self._metrics.gauge(name)
        (family.labels(**labels) if labels else family).set(value)

    def observe(self, name: str, /, value: float, **labels: str) -> None:
        """Add to a histogram."""
        family = self._metrics.histogram(name)
        (family.labels(**labels) if labels else family).observe(value)
