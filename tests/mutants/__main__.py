"""`python -m tests.mutants`: put known errors into a copy of our code, and see who notices.

The tree as it is goes first: tests that fail without a mutant prove nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.mutants.report import Verdict, sums, table
from tests.mutants.run import Budget, Outcome, copy_of, judge, simulated, tested
from tests.mutants.table import MUTANTS

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Exit status: 0 all is well, 1 a mutant got away, 2 the tree fails without one."""
    options = _options()
    chosen = [each for each in MUTANTS if not options.only or each.name in options.only]
    budget = Budget(options.seeds, options.seconds)
    with copy_of(ROOT) as tree:
        faults = [] if options.trust else _faults_of(tree, chosen, budget)
        for fault in faults:
            print(f"without a mutant: {fault.line}: {fault.killer or fault.trouble}")
        if faults:
            return 2
        verdicts = _judged(chosen, tree, budget, options.workers)
    if options.table:
        options.table.write_text(table(verdicts) + "\n", encoding="utf-8")
    print(sums(verdicts))
    return any(verdict.got_away for verdict in verdicts)


def _faults_of(tree: Path, chosen: Sequence[Mutant], budget: Budget) -> Sequence[Outcome]:
    """What is wrong with the tree as it is, by every line that the mutants will be asked by."""
    with copy_of(tree) as copy:
        targets = sorted({target for mutant in chosen for target in mutant.tests})
        outcomes = [tested(copy, targets, budget)]
        if not all(mutant.spared for mutant in chosen):
            outcomes.append(simulated(copy, budget))
    return [outcome for outcome in outcomes if outcome.killer or outcome.trouble]


def _judged(
    chosen: Sequence[Mutant], tree: Path, budget: Budget, workers: int
) -> Sequence[Verdict]:
    verdicts = []
    with ThreadPoolExecutor(workers) as pool:
        for mutant, outcomes in zip(
            chosen, pool.map(lambda each: judge(each, tree, budget), chosen), strict=True
        ):
            verdicts.append(Verdict(mutant, outcomes))
            print(f"{mutant.name}: {verdicts[-1].text} ({verdicts[-1].seconds:.0f} s)", flush=True)
    return verdicts


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3000, help="simulated for each mutant")
    parser.add_argument("--seconds", type=float, default=300, help="for each line of tests")
    parser.add_argument("--workers", type=int, default=2, help="mutants at a time")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these mutants")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write a Markdown table there")
    parser.add_argument("--trust", action="store_true", help="do not test the tree itself first")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
