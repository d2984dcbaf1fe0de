"""How many at once, and whose turn it is: what must hold when an attempt is recorded or claimed."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass

from models.order import RouteName
from models.payout import Payout
from tests.simulation.rules import Rules

LOOK_SECONDS = 5.0
"""So old may be what a replica knows of the others' attempts when it claims."""


@dataclass(frozen=True, slots=True)
class _Look:
    """When a replica was told which attempts are live, and their txids."""

    at: float
    live: Set[str]


@dataclass(frozen=True, slots=True)
class _Own:
    """When a replica asked for a record, and when that took effect."""

    asked_at: float
    at: float
    txid: str


class Rooms:
    """No route has more live attempts than its capacity, as far as the replica can know that
    records another one: it knows those of its last look, and what it recorded itself since then.

    Of its looks the one counts that showed it most room: it need not have used the last one. A
    record may take effect long after it was asked for; what it knew by then counts. Moments are
    seconds of the event loop.
    """

    def __init__(self, capacities: Mapping[RouteName, int]) -> None:
        self._capacities = capacities
        self._looks: dict[str, list[_Look]] = defaultdict(list)
        self._own: dict[str, list[_Own]] = defaultdict(list)
        self._claims: dict[str, float] = {}

    def looked(self, host: str, at: float, live: Set[str]) -> None:
        """A replica was told the figures of the routes."""
        self._looks[host].append(_Look(at, live))

    def claimed(self, token: str, asked_at: float) -> None:
        """A replica asked for payouts then."""
        self._claims[token] = asked_at

    def recorded(self, host: str, asked_at: float, at: float, txid: str) -> None:
        """A replica was told that its attempt is recorded."""
        self._own[host].append(_Own(asked_at, at, txid))

    def overfull(
        self, host: str, token: str, route: RouteName, asked_at: float, others: Set[str]
    ) -> str:
        """What is wrong with one more live attempt of a route, on which `others` are live."""
        oldest = self._claims[token] - LOOK_SECONDS
        looks = [look for look in self._looks[host] if look.at <= asked_at]
        usable = [
            *[look for look in looks if look.at <= oldest][-1:],
            *[look for look in looks if look.at > oldest],
        ]
        known = min(
            (len(others & self._known(host, look, asked_at)) for look in usable), default=None
        )
        if known is None:
            return "nobody had looked how full its route is"
        capacity = self._capacities[route]
        return "" if known < capacity else f"{known} of {capacity} were live on {route}"

    def _known(self, host: str, look: _Look, asked_at: float) -> Set[str]:
        own = self._own[host]
        return look.live | {o.txid for o in own if o.at >= look.at and o.asked_at <= asked_at}


def overtaking(claimed: Collection[Payout], left: Sequence[Payout], rules: Rules) -> str:
    """Who was claimed before one whose turn it was; empty if nobody was. What is `left` could have
    been claimed as well."""
    first = min(left, key=rules.turn, default=None)
    last = max(claimed, key=rules.turn, default=None)
    if first is None or last is None or rules.turn(last) <= rules.turn(first):
        return ""
    return (
        f"{last.payout_id} was claimed, whose turn is {rules.turn(last)}, "
        f"before {first.payout_id}, whose turn is {rules.turn(first)}"
    )
