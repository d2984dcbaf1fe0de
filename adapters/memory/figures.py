"""Figures of routes in memory: the same semantics as in MongoDB."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from models.figures import RouteFigures, fees_of, latency_of, ready_at
from models.order import RouteName
from models.payout import Payout, PayoutStatus


class MemoryFigures:
    """ports.figures.FiguresStore over the payouts of a memory store."""

    def __init__(self, payouts: Mapping[str, Payout], now: Callable[[], datetime]) -> None:
        """`payouts` are the store's, by id, and `now` its clock, UTC."""
        self._payouts = payouts
        self._now = now

    async def route_figures(
        self, within_seconds: float, sample: int
    ) -> Mapping[RouteName, RouteFigures]:
        since = self._now() - timedelta(seconds=within_seconds)
        return {route: self._figures(route, since, sample) for route in RouteName}

    def _figures(self, route: RouteName, since: datetime, sample: int) -> RouteFigures:
        completed = self._newest(route, PayoutStatus.COMPLETED)
        failed = _since(since, self._newest(route, PayoutStatus.FAILED))
        sampled = completed[:sample]
        seconds = [(each.updated_at - ready_at(each)).total_seconds() for each in sampled]
        return RouteFigures(
            in_flight=len(self._newest(route, PayoutStatus.PROCESSING)),
            waiting=len(self._newest(route, PayoutStatus.PENDING)),
            ended=len(_since(since, completed)) + len(failed),
            failed=len(failed),
            last_failed_at=failed[0].updated_at if failed else None,
            sampled=len(sampled),
            latency=latency_of(seconds),
            fees=fees_of(sampled, self._now()),
            last_completed_at=sampled[0].updated_at if sampled else None,
        )

    def _newest(self, route: RouteName, status: PayoutStatus) -> Sequence[Payout]:
        """The payouts of a route in a status, by when they came into it, the last one first."""
        found = (
            each for each in self._payouts.values() if each.route == route and each.status is status
        )
        return sorted(found, key=lambda payout: payout.updated_at, reverse=True)


def _since(moment: datetime, payouts: Sequence[Payout]) -> Sequence[Payout]:
    return [each for each in payouts if each.updated_at >= moment]
