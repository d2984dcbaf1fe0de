"""`make bench`: what a payout costs, counted; how long one waits for its broadcast; and what honest
clients notice of greedy ones."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import quantiles

from bench.counts import BLOCK_SECONDS, SOLID_LAG, Costs, count_costs, shipped_settings
from bench.latency import POLL_SECONDS, latencies
from bench.overload import overload, print_overload
from devnet.embedded import embedded_mongod
from tests.e2e.kit import TICK_MS, World

PAYOUTS = 500
SAMPLES = 40
NODE_CALLS_GOAL = 1.1
COMMANDS_GOAL = 0.2

LATENCY_CHANGES = {
    "payout-router-config.yaml": {
        "dispatch.poll_seconds": POLL_SECONDS,
        # Four blocks, as shipped, at the pace of this devnet: else the cursor lags behind the head,
        # and what is measured is how long that keeps dispatch closed.
        "settle.poll_seconds": 4 * TICK_MS / 1000,
    }
}


def main() -> None:
    """Run everything and print it."""
    with (
        tempfile.TemporaryDirectory(prefix="payout-bench-") as folder,
        embedded_mongod(Path(folder, "mongodb")) as mongodb_url,
    ):
        rate = shipped_settings().router.tron.requests_per_second
        for title, pace, rule in (
            ("in one go", None, False),
            ("in one go, the token asked about each recipient, as shipped", None, True),
            (f"at {rate:g} a second, as shipped", rate, False),
        ):
            print_costs(title, count(mongodb_url, pace, token_blacklist=rule))
        print(f"\nFrom the 201 to the broadcast, idle, {SAMPLES} payouts each, in ms")
        print(f"  the dispatcher polls every {POLL_SECONDS * 1000:.0f} ms")
        for name, wakeups in (("with wake-ups", True), ("without, polling alone", False)):
            with World(Path(folder, name), mongodb_url, LATENCY_CHANGES) as world:
                print_latencies(name, asyncio.run(latencies(world, SAMPLES, wakeups=wakeups)))
        with World(Path(folder, "overload"), mongodb_url) as world:
            print_overload(overload(world))


def count(mongodb_url: str, calls_a_second: float | None, *, token_blacklist: bool) -> Costs:
    """The costs of PAYOUTS payouts."""
    return asyncio.run(
        count_costs(mongodb_url, "bench", PAYOUTS, calls_a_second, token_blacklist=token_blacklist)
    )


def print_costs(title: str, costs: Costs) -> None:
    """A table of node calls and one of database commands."""
    calls, commands = sum(costs.node_calls.values()), sum(costs.commands.values())
    paying = commands - costs.idle_commands
    print(
        f"\n{costs.payouts} USDT payouts due at once, broadcast {title}; a block every "
        f"{BLOCK_SECONDS:g} s, solid after {SOLID_LAG} more; no preflight; settled after "
        f"{costs.virtual_seconds:.0f} s of chain time"
    )
    print(f"  {calls:5}  node calls: {each(costs.node_calls_each, NODE_CALLS_GOAL)}")
    print_parts(costs.node_calls)
    print(f"  {commands:5}  MongoDB commands of dispatcher, settler, reviewer and housekeeper")
    print(f"  {costs.idle_commands:5}  they send in the same time with nothing to do")
    print(f"  {paying:5}  the difference: {each(costs.commands_each, COMMANDS_GOAL)}")
    print(f"         all of them: {commands / costs.payouts:.3f} per settled payout")
    print_parts(costs.commands)
    audit = sum(costs.audit_commands.values())
    print(f"  {audit:5}  of the sequencer, apart: {audit / costs.payouts:.3f} per settled payout")
    print_parts(costs.audit_commands)


def each(figure: float, goal: float) -> str:
    """A figure per payout beside its goal."""
    return f"{figure:.3f} per settled payout (goal {goal:g} at most)"


def print_parts(parts: Mapping[str, int]) -> None:
    """What a count is made of, largest first."""
    for name, number in sorted(parts.items(), key=lambda part: -part[1]):
        print(f"      {number:5}  {name}")


def print_latencies(name: str, seconds: Sequence[float]) -> None:
    """Percentiles, and the worst."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    figures = {"p50": cuts[49], "p99": cuts[98], "max": seconds[-1]}
    line = "  ".join(f"{name} {value * 1000:7.1f}" for name, value in figures.items())
    print(f"  {name:24}{line}", flush=True)


if __name__ == "__main__":
    main()
