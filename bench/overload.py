"""Honest clients, alone and while others ask for far more than they may.

Both in one run, on one machine that serves and asks at once, so that the ratio says more than the
figures do. Honest clients create payouts and look at each a few times; the others hold a connection
each and ask as fast as they are answered: creates and lists beyond the limits of their tokens, and
tokens that do not count.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import httpx

from bench.hammer import Answers, Hammer, request
from devnet.embedded import embedded_mongod
from tests.e2e.kit import Service, World, everything, order, token, until

ATTACKERS = 100
GREEDY = "greedy"
"""The subject of the tokens that ask for more than they may."""

HONEST = 8
ROUNDS = 5
PAYOUTS = 5
"""Of each honest client, in each round."""

LOOKS = 4
REST_SECONDS = 2.0
"""Until the last answers of a round have come; longer than a refusal waits."""

PAUSE_SECONDS = 0.05
"""Between two requests of an honest client."""


@dataclass
class Honest:
    """What honest clients saw."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of requests that were answered as they should be."""
        return 1 - len(self.failures) / len(self.seconds)

    def milliseconds(self, percent: int) -> float:
        """How long so many percent of the requests took at most."""
        return quantiles(self.seconds, n=100, method="inclusive")[percent - 1] * 1000


@dataclass(frozen=True)
class Comparison:
    """The same honest clients alone and under attack; `lost` were accepted and are not there."""

    alone: Honest
    attacked: Honest
    attack: Answers
    lost: Sequence[str]


async def ask(api: httpx.AsyncClient, seen: Honest, method: str, path: str, **body: object) -> str:
    """One request of an honest client; the id of the payout that it is about, if it went well."""
    begun = time.perf_counter()
    answer = await api.request(method, path, json=body or None)
    seen.seconds.append(time.perf_counter() - begun)
    await asyncio.sleep(PAUSE_SECONDS)
    if not answer.is_success:
        seen.failures.append(answer.text)
        return ""
    return str(answer.json()["payout_id"])


async def honest_client(url: str, name: str, seen: Honest) -> None:
    """Create a payout and look at it, again and again."""
    headers = {"Authorization": f"Bearer {token('SERVICE', name)}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as api:
        for _ in range(PAYOUTS):
            if payout_id := await ask(api, seen, "POST", "/payouts", **order(amount="0.01")):
                seen.accepted.append(payout_id)
                for _ in range(LOOKS):
                    await ask(api, seen, "GET", f"/payouts/{payout_id}")


async def honest(url: str, clients: int, seen: Honest) -> None:
    """So many of them at once."""
    names = [f"honest-{number}" for number in range(clients)]
    await asyncio.gather(*(honest_client(url, name, seen) for name in names))


def attackers(number: int) -> list[list[bytes]]:
    """What each of them sends: creates, lists, and whatever with a token that does not count."""
    user = token("USER", GREEDY)
    kinds = (
        [request("POST", "/payouts", user, order(amount="0.01"))],
        [request("GET", "/payouts", user)],
        [request("POST", "/payouts", "nonsense", order()), request("GET", "/payouts", "nonsense")],
    )
    return [kinds[each % len(kinds)] for each in range(number)]


async def compare(service: Service, number: int, clients: int, rounds: int) -> Comparison:
    """Run honest clients alone and beside attackers, in turns, so that what else goes on here
    touches both; see that what was accepted is there."""
    alone, attacked = Honest(), Honest()
    async with Hammer(service.port, attackers(number)) as hammer:
        for _ in range(rounds):
            await honest(service.url, clients, alone)
            hammer.go()
            await honest(service.url, clients, attacked)
            hammer.rest()
            await asyncio.sleep(REST_SECONDS)
    with service.api() as api:
        there = {payout["payout_id"] for payout in everything(api)}
    accepted = {*alone.accepted, *attacked.accepted, *hammer.answers.accepted}
    return Comparison(alone, attacked, hammer.answers, sorted(accepted - there))


def overload(world: World) -> Comparison:
    """The comparison over a service of its own, with the limits as shipped."""
    service = world.service("overloaded", LOG_LEVEL="WARNING", ACCESS_LOG="false")
    service.start()
    until(service.is_healthy, lambda: service.health().text)
    return asyncio.run(compare(service, ATTACKERS, HONEST, ROUNDS))


def print_overload(found: Comparison) -> None:
    """Two rows, their ratio, and what the others got."""
    print(f"\n{HONEST} honest clients, alone and beside {ATTACKERS} connections that ask for more")
    rows = {"alone": found.alone, "attacked": found.attacked}
    for name, seen in rows.items():
        share = f"{len(seen.seconds):6} requests, {seen.share:.1%} answered as they should be"
        times = f"p50 {seen.milliseconds(50):7.1f}  p99 {seen.milliseconds(99):7.1f} ms"
        print(f"  {name:10}{share}  {times}")
    ratio = found.attacked.milliseconds(99) / found.alone.milliseconds(99)
    print(f"  p99 {ratio:.1f} times as long; accepted and lost: {len(found.lost)}")
    answers = ", ".join(
        f"{count} × {status}" for status, count in sorted(found.attack.statuses.items())
    )
    print(f"  the others got {answers}")


def main() -> None:
    """This comparison alone."""
    with (
        tempfile.TemporaryDirectory(prefix="payout-bench-") as folder,
        embedded_mongod(Path(folder, "mongodb")) as mongodb_url,
        World(Path(folder, "overload"), mongodb_url) as world,
    ):
        print_overload(overload(world))


if __name__ == "__main__":
    main()
