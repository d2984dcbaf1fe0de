"""What routes show of themselves in the payouts that went over them."""

from collections.abc import Mapping
from typing import Protocol

from models.figures import RouteFigures
from models.order import RouteName


class FiguresStore(Protocol):
    """Figures of routes, from payouts that have a route; others count nowhere."""

    async def route_figures(
        self, within_seconds: float, sample: int
    ) -> Mapping[RouteName, RouteFigures]:
        """Every route's figures: ends within so many seconds before now (the store's clock), and
        the last `sample` (≥ 1) completed payouts of each. Raises StoreError.
        """
