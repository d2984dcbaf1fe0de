"""Every single fault at every single call: a quiet world, and one thing that goes wrong in it.

The calls are those of the run itself: it is run once to see which there are, and then once for each
call and each fault that can happen to it.
"""

import argparse
import gc
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.simulation.collector import collector_at_rest
from tests.simulation.faults import CALL_FAULTS, Rates, SinglePlan
from tests.simulation.scenario import quiet_scenario, seeded
from tests.simulation.world import Result, run_world


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault at one call, counted from 0; `at` below 0 is none."""

    at: int
    kind: str

    def __str__(self) -> str:
        return f"{self.at}:{self.kind}"


def run_injection(injection: Injection) -> tuple[Result, list[tuple[str, str]]]:
    """The quiet world with that fault, and the (port, method) of each of its calls."""
    plan = SinglePlan(injection.at, injection.kind)
    rates = Rates(calls={}, events={}, situations=frozenset())
    result = run_world(0, quiet_scenario(), plan, rates, seeded(0))
    return result, plan.calls


def injections() -> Iterator[Injection]:
    """Every fault that fits, at every call of the quiet run."""
    quiet, calls = run_injection(Injection(-1, ""))
    if not quiet.ok:
        raise RuntimeError(f"the quiet world is broken: {quiet.problem}")
    for at, (port, method) in enumerate(calls):
        for kind, fault in CALL_FAULTS.items():
            if fault.fits(port, method):
                yield Injection(at, kind)


@dataclass(slots=True)
class Exploration:
    """What a number of injections came to: how many there were, which fired, what broke."""

    runs: int
    fired: Counter[str]
    failures: dict[str, str]


def explore(chosen: Iterable[Injection]) -> Exploration:
    """Run injections; each must end well."""
    found = Exploration(0, Counter(), {})
    with collector_at_rest():
        for injection in chosen:
            result, _ = run_injection(injection)
            gc.collect()
            found.runs += 1
            found.fired.update(result.fired)
            if not result.ok:
                found.failures[str(injection)] = result.problem
    return found


def main(arguments: list[str] | None = None) -> int:
    """Explore everything, or every so manieth injection, or one of them with its story."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.explore", description=__doc__)
    parser.add_argument("--stride", type=int, default=1, help="only every so manieth")
    parser.add_argument("--only", help="one injection, as CALL:FAULT, with its story")
    given = parser.parse_args(arguments)
    if given.only:
        at, _, kind = given.only.partition(":")
        result, calls = run_injection(Injection(int(at), kind))
        print(f"{'.'.join(calls[int(at)])} {kind}: {result.problem or 'every promise held'}")
        print("\n".join(result.story))
        return 0 if result.ok else 1
    began, everything = time.process_time(), list(injections())
    found = explore(everything[:: given.stride])
    seconds = time.process_time() - began
    print(f"{found.runs} of {len(everything)} injections in {seconds:.0f} s of processor")
    print(", ".join(f"{kind}: {times}" for kind, times in sorted(found.fired.items())))
    for name, problem in found.failures.items():
        print(f"{name}: {problem}")
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
