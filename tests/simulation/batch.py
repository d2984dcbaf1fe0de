"""Many seeds: in parallel, resumable, and summed up."""

import gc
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.simulation.collector import collector_at_rest
from tests.simulation.faults import ALL_KINDS
from tests.simulation.world import Result, run_seed

ROOT = Path(__file__).resolve().parents[2]
CODE = ("models", "ports", "services", "workers", "adapters", "devnet", "utils", "tests/simulation")
CHUNK = 50
PROGRESS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """Which seeds, in how many processes; whether to stop at a failure, where to keep progress,
    after how many seconds to begin no more, and without which kinds of faults."""

    seeds: range
    workers: int = 1
    stop: bool = False
    resume: Path | None = None
    seconds: float | None = None
    without: Sequence[str] = ()


@dataclass(slots=True)
class Summary:
    """What a number of seeds came to. Seconds are wall time and processor time."""

    seeds: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    fired: Counter[str] = field(default_factory=Counter)
    worlds: Counter[str] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)

    @property
    def silent(self) -> list[str]:
        """The kinds of faults that never fired."""
        return [kind for kind in ALL_KINDS if not self.fired[kind]]

    def count(self, result: Result) -> None:
        """Take over what one world came to."""
        self.seeds += 1
        self.fired.update(result.fired)
        self.worlds.update(kind for kind, times in result.fired.items() if times)
        self.figures.update(result.figures)
        if not result.ok:
            self.failures[result.seed] = result.problem

    def add(self, other: "Summary") -> None:
        """Take over what another part of the batch came to."""
        self.seeds += other.seeds
        self.cpu_seconds += other.cpu_seconds
        self.fired.update(other.fired)
        self.worlds.update(other.worlds)
        self.figures.update(other.figures)
        self.failures.update(other.failures)

    def text(self) -> str:
        """For people, as Markdown."""
        rate = self.seeds / self.cpu_seconds if self.cpu_seconds else 0.0
        rows = [
            f"- seeds: {self.seeds:,}, failed: {len(self.failures)}",
            f"- time: {self.wall_seconds:,.0f} s, {self.cpu_seconds:,.0f} s of processor; "
            f"{rate:.1f} seeds per processor second",
            "- " + ", ".join(f"{name}: {n:,}" for name, n in sorted(self.figures.items())),
            f"- never fired: {', '.join(self.silent) or 'none'}",
            "",
            "| fault | times | worlds |",
            "|---|---|---|",
            *(f"| {kind} | {self.fired[kind]:,} | {self.worlds[kind]:,} |" for kind in ALL_KINDS),
            *(f"seed {seed}: {problem}" for seed, problem in self.failures.items()),
        ]
        return "\n".join(rows)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "seeds": self.seeds,
            "wall_seconds": self.wall_seconds,
            "cpu_seconds": self.cpu_seconds,
            "seeds_per_cpu_second": self.seeds / self.cpu_seconds if self.cpu_seconds else 0.0,
            "fired": dict(self.fired),
            "worlds": dict(self.worlds),
            "figures": dict(self.figures),
            "never_fired": self.silent,
            "failures": {str(seed): problem for seed, problem in self.failures.items()},
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Summary":
        """What `as_json` wrote."""
        return cls(
            seeds=kept["seeds"],
            wall_seconds=kept["wall_seconds"],
            cpu_seconds=kept["cpu_seconds"],
            fired=Counter(kept["fired"]),
            worlds=Counter(kept["worlds"]),
            figures=Counter(kept["figures"]),
            failures={int(seed): problem for seed, problem in kept["failures"].items()},
        )


def run_seeds(seeds: Sequence[int], stop: bool = False, without: Sequence[str] = ()) -> Summary:
    """Run seeds one after the other, in this process."""
    summary, began = Summary(), time.process_time()
    with collector_at_rest():
        for seed in seeds:
            summary.count(run_seed(seed, without))
            gc.collect()
            if stop and summary.failures:
                break
    summary.cpu_seconds = time.process_time() - began
    return summary


class Batch:
    """One run over a range of seeds."""

    def __init__(self, options: BatchOptions, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._began = time.monotonic()
        self._before = 0.0
        self._said = 0.0
        self._summary, self._done = self._resumed()

    def run(self) -> Summary:
        """Run what is left of the range, and keep and tell how far it came."""
        for first, part in self._parts(self._chunks()):
            self._summary.add(part)
            self._done.add(first)
            self._summary.wall_seconds = self._before + time.monotonic() - self._began
            self._keep()
            for seed, problem in part.failures.items():
                self._say(f"seed {seed}: {problem}")
            self._tell()
            if self._options.stop and self._summary.failures:
                break
            limit = self._options.seconds
            if limit is not None and self._summary.wall_seconds - self._before >= limit:
                break
        return self._summary

    def _chunks(self) -> Iterator[Sequence[int]]:
        seeds = self._options.seeds
        step = min(CHUNK, max(1, len(seeds) // 8))
        for first in range(seeds.start, seeds.stop, step):
            if first not in self._done:
                yield range(first, min(first + step, seeds.stop))

    def _parts(self, chunks: Iterable[Sequence[int]]) -> Iterator[tuple[int, Summary]]:
        stop, without = self._options.stop, self._options.without
        if self._options.workers == 1:
            for chunk in chunks:
                yield chunk[0], run_seeds(chunk, stop, without)
            return
        with get_context("fork").Pool(self._options.workers, maxtasksperchild=200) as pool:
            yield from pool.imap_unordered(_part, ((chunk, stop, without) for chunk in chunks))

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._said < PROGRESS_SECONDS:
            return
        self._said = now
        done, of = self._summary.seeds, len(self._options.seeds)
        rate = done / max(self._summary.wall_seconds, 0.001)
        self._say(
            f"{done:,} of {of:,} seeds, {rate:.1f} a second, {len(self._summary.failures)} failed"
        )

    def _resumed(self) -> tuple[Summary, set[int]]:
        """What an earlier run over the same range and the same code came to."""
        path = self._options.resume
        if path is None or not path.exists():
            return Summary(), set()
        kept = json.loads(path.read_text())
        if kept["of"] != self._identity():
            self._say(f"{path} is of another range or of other code: starting anew")
            return Summary(), set()
        summary = Summary.from_json(kept["summary"])
        self._before = summary.wall_seconds
        self._say(f"going on after {summary.seeds:,} seeds")
        return summary, set(kept["done"])

    def _keep(self) -> None:
        path = self._options.resume
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {
            "of": self._identity(),
            "summary": self._summary.as_json(),
            "done": sorted(self._done),
        }
        other = path.with_suffix(".new")
        other.write_text(json.dumps(kept))
        other.replace(path)

    def _identity(self) -> list[Any]:
        seeds = self._options.seeds
        return [seeds.start, seeds.stop, [*self._options.without], code_hash()]


def code_hash() -> str:
    """What the code is that the seeds run: another code, another world."""
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _part(work: tuple[Sequence[int], bool, Sequence[str]]) -> tuple[int, Summary]:
    chunk, stop, without = work
    return chunk[0], run_seeds(chunk, stop, without)
