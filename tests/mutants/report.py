"""What became of the mutants, for people."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.mutants.mutant import Mutant
from tests.mutants.run import SIMULATION, Outcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """A mutant and what each line that was asked said of it."""

    mutant: Mutant
    outcomes: Sequence[Outcome]

    @property
    def killer(self) -> Outcome | None:
        """The outcome that killed it."""
        return next((outcome for outcome in self.outcomes if outcome.killer), None)

    @property
    def got_away(self) -> bool:
        """Whether it lives, or was killed by other tests only though the simulation must."""
        killer = self.killer
        return killer is None or (killer.line != SIMULATION and not self.mutant.spared)

    @property
    def text(self) -> str:
        """In a few words: by what it was killed, or that it lives."""
        troubles = [f"{each.line}: {each.trouble}" for each in self.outcomes if each.trouble]
        killer = self.killer
        if killer is None:
            return "; ".join(["LIVES", *troubles])
        by = _short(killer.killer)
        if killer.line != SIMULATION:
            why = self.mutant.spared
            by += f"; not by the simulation: {why}" if why else "; ESCAPED the simulation"
        return "; ".join([by, *troubles])

    @property
    def seconds(self) -> float:
        """How long it took to kill it, with all that was tried before."""
        return sum(outcome.seconds for outcome in self.outcomes)


def table(verdicts: Sequence[Verdict]) -> str:
    """All of them as a table in Markdown, and the sums."""
    rows = [
        f"| {each.mutant.name} | {each.mutant.brings_back} "
        f"| {_cell(each.text)} | {each.seconds:.0f} |"
        for each in verdicts
    ]
    return "\n".join(
        [
            "| mutant | brings back | killed by | seconds |",
            "|---|---|---|---|",
            *rows,
            "",
            sums(verdicts),
        ]
    )


def sums(verdicts: Sequence[Verdict]) -> str:
    """How many were killed, by which line, and which got away."""
    lines = [verdict.killer.line for verdict in verdicts if verdict.killer]
    away = [verdict.mutant.name for verdict in verdicts if verdict.got_away]
    by_simulation = lines.count(SIMULATION)
    return (
        f"{len(verdicts)} mutants: {by_simulation} killed by the simulation, "
        f"{len(lines) - by_simulation} by other tests, {len(verdicts) - len(lines)} alive. "
        f"Got away where they must not: {', '.join(away) or 'none'}."
    )


def _short(killer: str) -> str:
    """Without what only a machine reads: long ids, and remarks in parentheses at the end."""
    short = re.sub(r"[0-9a-f]{16,}", lambda found: f"{found[0][:8]}…", killer)
    return re.sub(r" \([^()]*\)$", "", short)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
