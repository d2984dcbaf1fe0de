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


class Rooms:
    """No route has more live attempts than its capacity, as far as the replica can know that
    records another one: it knows those of its last look, and what it recorded itself since then.

    Of its looks the one counts that showed it most room: it need not have used the last one.
    Moments are seconds of the event loop.
    """

    def __init__(self, capacities: Mapping[RouteName, int]) -> None:
        self._capacities = capacities
        self._looks: dict[str, list[_Look]] = defaultdict(list)
        self._own: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self._claims: dict[str, float] = {}

    def looked(self, host: str, at: float, live: Set[str]) -> None:
        """A replica was told the figures of the routes."""
        self._looks[host].append(_Look(at, live))

    def claimed(self, token: str, asked_at: float) -> None:
        """A replica asked for payouts then."""
        self._claims[token] = asked_at

    def recorded(self, host: str, at: float, txid: str) -> None:
        """A replica was told that its attempt is recorded."""
        self._own[host].append((at, txid))

    def overfull(self, host: str, token: str, route: RouteName, others: Set[str]) -> str:
        """What is wrong with one more live attempt of a route, on which `others` are live."""
        oldest = self._claims[token] - LOOK_SECONDS
        looks = self._looks[host]
        usable = [
            *[look for look in looks if look.at <= oldest][-1:],
            *[look for look in looks if look.at > oldest],
        ]
        known = min((len(others & self._known(host, look)) for look in usable), default=None)
        if known is None:
            return "nobody had looked how full its route is"
        capacity = self._capacities[route]
        return "" if known < capacity else f"{known} of {capacity} were live on {route}"

    def _known(self, host: str, look: _Look) -> Set[str]:
        return look.live | {txid for at, txid in self._own[host] if at >= look.at}


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
