"""Running one mutant in a copy of the tree: the simulation first, then the tests that it names."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant

NOT_COPIED = shutil.ignore_patterns(
    ".*_cache", ".dev", ".git", ".hypothesis", ".venv", "__pycache__", "node_modules"
)
SIMULATION = "simulation"

FAULT_FOUND = 1
"""What both the simulation and pytest exit with when they find a fault."""

FAILING_SEED = re.compile(r"^(seed \d+: .+)$", re.MULTILINE)
FAILING_TEST = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Budget:
    """How many seeds each mutant must survive, and how many seconds each line of tests has."""

    seeds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one line of tests said of a mutant after so many seconds.

    `killer` is the seed with what broke, or the test, that failed; empty if the mutant lives.
    `trouble` is why the line could not judge, empty if it could.
    """

    line: str
    killer: str
    seconds: float
    trouble: str = ""


@contextmanager
def copy_of(tree: Path) -> Iterator[Path]:
    """A copy of a tree's sources, which may be changed, with its environment linked in."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(tree, copy, ignore=NOT_COPIED)
        (copy / ".venv").symlink_to((tree / ".venv").resolve())
        yield copy


def judge(mutant: Mutant, tree: Path, budget: Budget) -> Sequence[Outcome]:
    """Put a mutant into a copy of the tree, and ask one line after another until it is killed.

    Raises MisfitError.
    """
    with copy_of(tree) as copy:
        for file, text in mutant.sources(tree).items():
            (copy / file).write_text(text, encoding="utf-8")
        outcomes: list[Outcome] = []
        if not mutant.spared:
            outcomes.append(simulated(copy, budget))
        if not any(outcome.killer for outcome in outcomes):
            outcomes.append(tested(copy, mutant.tests, budget))
        return outcomes


def simulated(tree: Path, budget: Budget) -> Outcome:
    """What the simulation says of a tree."""
    command = ["tests.simulation", "--seeds", f"0:{budget.seeds}", "--stop"]
    return _asked(SIMULATION, tree, command, FAILING_SEED, budget.seconds)


def tested(tree: Path, targets: Sequence[str], budget: Budget) -> Outcome:
    """What tests say of a tree, up to the first that fails."""
    paths = [str(path.relative_to(tree)) for each in targets for path in sorted(tree.glob(each))]
    command = ["pytest", "-x", "-q", "-p", "no:cacheprovider", *paths]
    return _asked("tests", tree, command, FAILING_TEST, budget.seconds)


def _asked(
    line: str, tree: Path, module: Sequence[str], killer: re.Pattern[str], seconds: float
) -> Outcome:
    started = time.monotonic()
    status, said = _run(tree, [sys.executable, "-m", *module], seconds)
    took = time.monotonic() - started
    if status == 0:
        return Outcome(line, "", took)
    found = killer.search(said)
    if status == FAULT_FOUND and found:
        return Outcome(line, found[1], took)
    trouble = "out of time" if status is None else f"exit status {status}: {said.strip()[-300:]}"
    return Outcome(line, "", took, trouble)


def _run(tree: Path, command: Sequence[str], seconds: float) -> tuple[int | None, str]:
    """Exit status and output of a command with its children; None when its time is over."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(  # noqa: S603  this interpreter, on modules of this tree
        command,
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None, ""
    return process.returncode, said
