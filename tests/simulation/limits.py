"""The limits, held against the payouts themselves: who counts where is worked out here anew, from
the policy and from what each payout says, and not by the code that reserves."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from models.limits import Used
from models.payout import TERMINAL, Payout
from models.spending import Ceiling, Ceilings, Period, SpendPolicy
from services.limits import keeps_reservation
from tests.simulation.store import WatchedStore
from tests.simulation.violation import Violation, instantly

_STARTS: Mapping[Period, str] = {Period.HOUR: "%Y-%m-%dT%H", Period.DAY: "%Y-%m-%d"}
_MONTH = "%Y-%m"

Place = tuple[str, ...]
"""A scope, whose it is (a client is of a tenant), the currency, the period and when it began."""


class LimitOracle:
    """No window holds more than it may, by amount and by number, and each what is out of it."""

    def __init__(self, policy: SpendPolicy, roles: Mapping[str, str]) -> None:
        """`roles`: those of the clients, by subject."""
        self._policy = policy
        self._roles = roles

    def check(self, store: WatchedStore, payouts: Iterable[Payout]) -> None:
        """Hold what must be true at every moment. Raises Violation."""
        self._check_places(payout for payout in payouts if _counts(payout))
        for window_id, (needed, who) in _by_window(payouts).items():
            used = _used(store, window_id)
            if used.amount < needed.amount or used.count < needed.count:
                raise Violation(f"{window_id} counts {used}, and {needed} are out ({who})", who[0])

    def owed(self, store: WatchedStore, payouts: Iterable[Payout]) -> Violation | None:
        """The first window that does not hold exactly what is out of it."""
        for window_id, (needed, _) in _by_window(payouts).items():
            used = _used(store, window_id)
            if used != needed:
                return Violation(f"{window_id} counts {used} at the end, and should {needed}")
        return None

    def _check_places(self, payouts: Iterable[Payout]) -> None:
        amounts: Counter[Place] = Counter()
        counts: Counter[Place] = Counter()
        window_ids: set[str] = set()
        for payout in payouts:
            places = self._places(payout)
            window_ids |= {*payout.window_ids}
            if len(places) != len(payout.window_ids):
                raise Violation(f"{payout.payout_id} counts in {payout.window_ids}, not {places}")
            for place, ceiling in places.items():
                amounts[place] += payout.order.amount
                counts[place] += 1
                if _above(amounts[place], ceiling.amount) or _above(counts[place], ceiling.count):
                    raise Violation(
                        f"{place} has {amounts[place]} in {counts[place]} payouts, above {ceiling}",
                        payout.payout_id,
                    )
        if len(window_ids) != len(counts):
            raise Violation(f"{sorted(window_ids)} are not one each for {sorted(counts)}")

    def _places(self, payout: Payout) -> dict[Place, Ceiling]:
        """Every window that a payout counts in, by the policy."""
        policy, currency, route = self._policy, payout.order.currency, payout.route
        none: Ceilings = {}
        client = policy.clients.get(self._roles[payout.client], {}).get(currency)
        scopes: list[tuple[str, str, Ceilings]] = [
            ("all", "", policy.all.get(currency, none)),
            (
                "client",
                f"{payout.tenant}/{payout.client}",
                none if client is None else client.ceilings,
            ),
            ("recipient", payout.order.recipient_address, policy.recipients.get(currency, none)),
        ]
        if route is not None:
            scopes.append(("route", route, policy.routes.get(route, {}).get(currency, none)))
        return {
            (scope, owner, currency, period, _start(payout.created_at, period)): ceiling
            for scope, owner, ceilings in scopes
            for period, ceiling in ceilings.items()
        }


def _above(figure: int, most: int | None) -> bool:
    return most is not None and figure > most


def _start(moment: datetime, period: Period) -> str:
    return moment.strftime(_STARTS.get(period, _MONTH))


def _counts(payout: Payout) -> bool:
    """Whether money moved for a payout, or may."""
    return payout.status not in TERMINAL or keeps_reservation(payout)


def _used(store: WatchedStore, window_id: str) -> Used:
    return instantly(store.used([window_id])).get(window_id, Used())


def _by_window(payouts: Iterable[Payout]) -> dict[str, tuple[Used, list[str]]]:
    """What the payouts that count must hold of each window, and who they are."""
    amounts: Counter[str] = Counter()
    who: dict[str, list[str]] = defaultdict(list)
    for payout in payouts:
        for window_id in payout.window_ids:
            amounts[window_id] += payout.order.amount if _counts(payout) else 0
            who[window_id] += [payout.payout_id] * _counts(payout)
    return {each: (Used(amounts[each], len(who[each])), who[each]) for each in amounts}
