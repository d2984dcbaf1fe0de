"""`make chaos`: two services, three mongods, Valkey, two endpoints, and no rest for any of them.

With `--pace as-shipped` (the default) the devnet makes a block every 3 s and the service has the
settings that it is shipped with, so that the figures are those of the real thing.
"""

import argparse
import secrets
import sys
import tempfile
from functools import partial
from pathlib import Path

from devnet.stack import stop_on_signals
from tests.chaos.cluster import AS_SHIPPED, FAST
from tests.chaos.storm import Storm, go_through

PACES = {"as-shipped": AS_SHIPPED, "fast": FAST}


def main() -> int:
    """Go through the storm; 1 where the reckoning does not fit."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--payouts", type=int, default=2_000)
    parser.add_argument("--troubles", type=int, default=60, help="all 30, before one comes again")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 32))
    parser.add_argument("--pace", choices=PACES, default="as-shipped")
    parser.add_argument("--patience", type=float, default=1_800, help="seconds, when all is calm")
    parser.add_argument("--keep", type=Path, help="folder for logs and data (default: thrown away)")
    parser.add_argument("--only", default="", help="troubles whose names have this in them")
    options = parser.parse_args()
    storm = Storm(
        payouts=options.payouts,
        troubles=options.troubles,
        seed=options.seed,
        pace=PACES[options.pace],
        patience_seconds=options.patience,
        only=options.only,
    )
    say = partial(print, flush=True)
    say(f"seed {options.seed}, pace {options.pace}")
    stop_on_signals()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        try:
            figures = go_through(storm, options.keep or Path(folder), say)
        except AssertionError as error:
            say(f"FAILED: {error}")
            return 1
    say(f"\n{figures}\nevery payout was paid exactly once, and nobody had to mend anything")
    return 0


if __name__ == "__main__":
    sys.exit(main())
