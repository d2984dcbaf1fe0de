"""`python -m tests.mutants.mutation`: mutmut over what decides about money, and who survives.

mutmut alters one expression at a time and runs the fast tests that reach it, in a copy of the tree.
What mypy objects to counts as killed, since the test command runs it as well.
"""

import argparse
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.mutants.equivalent import why_equivalent
from tests.mutants.run import copy_of

ROOT = Path(__file__).parents[2]
MUTATED = ("models/*", "services/dispatch.py", "services/settlement.py", "services/limits.py")
TESTS = (
    "tests/unit/models",
    "tests/unit/services",
    "tests/unit/workers",
    "tests/integration/test_trouble_*.py",
    "tests/contract/test_store_*.py",
)
WITHOUT_SERVERS = ("-k", "not mongo")
MYPY = ("mypy", "--output", "json", "--no-warn-unused-ignores")
LOGGING = r"\blog\.\w+\("
"""Lines that are left as they are: what is logged is no part of the promise."""

KILLED = frozenset({"killed", "caught by type check", "timeout"})
RESULT = re.compile(r"^\s*(\S+__mutmut_\d+): (.+)$", re.MULTILINE)


def main() -> int:
    """Exit status: 0 every survivor is known to be equivalent, 1 some is not, 2 mutmut failed."""
    options = _options()
    with copy_of(ROOT) as tree:
        (tree / "setup.cfg").write_text(_settings(tree), encoding="utf-8")
        if _mutmut(tree, "run", "--max-children", str(options.workers), *options.names):
            return 2
        results = _results(tree)
        survivors = [name for name, result in results.items() if result not in KILLED]
        differences = {name: _difference(tree, name) for name in survivors}
    return _reported(results, differences)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.mutation", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="these mutants; * stands for any")
    parser.add_argument("--workers", type=int, default=1, help="mutants at a time")
    return parser.parse_args()


def _settings(tree: Path) -> str:
    """mutmut's settings, as it reads them from setup.cfg."""
    sources = sorted({path.split("/")[0] for path in MUTATED})
    known = {*sources, "tests", ".venv"}
    rest = sorted(path.name for path in tree.iterdir() if path.name not in known)
    tests = [str(path.relative_to(tree)) for each in TESTS for path in sorted(tree.glob(each))]
    settings: Mapping[str, Sequence[str]] = {
        "source_paths": sources,
        "only_mutate": MUTATED,
        "do_not_mutate_patterns": [LOGGING],
        "also_copy": rest,
        "pytest_add_cli_args_test_selection": tests,
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-p", "no:xdist", *WITHOUT_SERVERS],
        "type_check_command": [sys.executable, "-m", *MYPY, *sources],
        "use_git_change_detection": ["false"],
    }
    lines = ["[mutmut]"]
    for name, values in settings.items():
        lines += [f"{name} =", *(f"    {value}" for value in values)]
    return "\n".join(lines) + "\n"


def _mutmut(tree: Path, *command: str) -> int:
    return _started(tree, *command, stdout=None).returncode


def _results(tree: Path) -> Mapping[str, str]:
    """What became of each mutant that was run."""
    said = _started(tree, "results", "--all", "true", stdout=subprocess.PIPE).stdout
    return {name: result for name, result in RESULT.findall(said) if result != "not checked"}


def _difference(tree: Path, name: str) -> str:
    """The lines that a mutant takes away (-) and puts in their place (+)."""
    said = _started(tree, "show", name, stdout=subprocess.PIPE).stdout
    lines = [line for line in said.splitlines() if re.match(r"[-+](?!--|\+\+)", line)]
    return "\n".join(lines)


def _started(tree: Path, *command: str, stdout: int | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  this interpreter, on a pinned module
        [sys.executable, "-m", "mutmut", *command],
        cwd=tree,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=stdout,
        text=True,
        check=False,
    )


def _reported(results: Mapping[str, str], differences: Mapping[str, str]) -> int:
    """Print the score and the survivors; 1 if some is not known to be equivalent."""
    reasons = {name: why_equivalent(name, each) for name, each in differences.items()}
    holes = [name for name, why in reasons.items() if not why]
    for name in holes:
        print(f"SURVIVES {name}: {results[name]}\n{differences[name]}\n")
    for why, count in Counter(why for why in reasons.values() if why).most_common():
        print(f"{count:5} equivalent: {why}")
    killed = len(results) - len(differences)
    print(
        f"{len(results)} mutants: {killed} killed, {len(differences) - len(holes)} equivalent, "
        f"{len(holes)} survive; score {killed / (killed + len(holes)):.1%} of those that matter, "
        f"{killed / len(results):.1%} of all"
    )
    return bool(holes)


if __name__ == "__main__":
    sys.exit(main())
