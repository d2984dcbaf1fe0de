"""`python -m tests.simulation --seeds FIRST:LAST`: run worlds, and say what happened in them."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.simulation.batch import Batch, BatchOptions
from tests.simulation.faults import ALL_KINDS
from tests.simulation.world import Result, run_seed


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds; 0 if every promise held in all of them, 1 if not."""
    given = _parser().parse_args(arguments)
    if given.minimise:
        return _minimise(given.seeds.start)
    options = BatchOptions(
        given.seeds,
        given.workers,
        stop=given.stop,
        resume=given.resume,
        seconds=given.seconds,
        without=given.without,
    )
    batch = Batch(options, say=lambda line: print(line, file=sys.stderr, flush=True))
    summary = batch.run()
    print(summary.text())
    if given.json is not None:
        given.json.write_text(json.dumps(summary.as_json(), indent=2) + "\n")
    for seed in summary.failures:
        print(told(run_seed(seed, given.without), given.without))
        if given.stop:
            break
    return 1 if summary.failures else 0


def told(result: Result, without: Sequence[str] = ()) -> str:
    """A failure for people: what broke, how to see it again, and the story of it."""
    left = ",".join(kind for kind in ALL_KINDS if kind not in without)
    only = f" --only {left}" if without else ""
    return "\n".join(
        [
            f"seed {result.seed}: {result.problem or 'every promise held'}",
            *result.story,
            f"again: python -m tests.simulation --seeds {result.seed}{only}",
            f"fewer faults: python -m tests.simulation --seeds {result.seed} --minimise",
        ]
    )


def _minimise(seed: int) -> int:
    """Turn off one kind of fault after another, as long as the seed still fails."""
    first = run_seed(seed)
    if first.ok:
        print(f"seed {seed}: every promise held")
        return 0
    off = [kind for kind in ALL_KINDS if not first.fired[kind]]
    last = first
    for kind in ALL_KINDS:
        if kind in off:
            continue
        tried = run_seed(seed, [*off, kind])
        if not tried.ok:
            off.append(kind)
            last = tried
    print(told(last, off))
    return 1


def _all_but(text: str) -> Sequence[str]:
    named = text.split(",")
    unknown = [kind for kind in named if kind and kind not in ALL_KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such faults: {', '.join(unknown)}")
    return [kind for kind in ALL_KINDS if kind not in named]


def _seeds(text: str) -> range:
    first, _, last = text.partition(":")
    return range(int(first), int(last) if last else int(first) + 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=_seeds, required=True, help="FIRST:LAST, or one seed")
    parser.add_argument("--workers", type=int, default=1, help="processes at once")
    parser.add_argument("--seconds", type=float, default=None, help="stop after so long")
    parser.add_argument("--stop", action="store_true", help="stop at the first failure")
    parser.add_argument("--resume", type=Path, default=None, help="file that keeps the progress")
    parser.add_argument("--json", type=Path, default=None, help="write the summary there too")
    parser.add_argument(
        "--only", dest="without", type=_all_but, default=(), help="these faults alone, by commas"
    )
    parser.add_argument("--minimise", action="store_true", help="find which faults it takes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
