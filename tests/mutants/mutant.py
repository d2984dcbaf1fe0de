"""A mutant: a fault in our own code, kept as data, that brings back a known error."""

from dataclasses import dataclass
from pathlib import Path

FAST_TESTS = (
    "tests/unit/models",
    "tests/unit/services",
    "tests/unit/tron",
    "tests/integration/test_trouble_*.py",
    "tests/contract",
)
"""The second line: what may kill a mutant that the simulation lets live."""

MONGO_TESTS = ("tests/contract", "tests/integration/test_mongo_store.py")
"""What kills a mutant of the MongoDB adapter, over which the simulation does not run."""


class MisfitError(Exception):
    """The code has changed under the table; the message says what no longer fits."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One exact text of a file, which must be there exactly once, and what takes its place."""

    file: str
    old: str
    new: str

    def applied(self, source: str) -> str:
        """The mutated source. Raises MisfitError."""
        found = source.count(self.old)
        if found != 1:
            raise MisfitError(f"{self.file} has this text {found} times, not once:\n{self.old}")
        return source.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mutant:
    """Edits that together bring back one error; `brings_back` says which, for people.

    `spared` says why the simulation cannot kill it, and then it is not asked; empty where it
    must. `tests` are pytest targets below the root, asked of what the simulation did not kill.
    """

    name: str
    brings_back: str
    edits: tuple[Edit, ...]
    spared: str = ""
    tests: tuple[str, ...] = FAST_TESTS

    def sources(self, root: Path) -> dict[str, str]:
        """The mutated text of each file it touches. Raises MisfitError."""
        texts: dict[str, str] = {}
        for edit in self.edits:
            before = texts.get(edit.file) or (root / edit.file).read_text(encoding="utf-8")
            texts[edit.file] = edit.applied(before)
        return texts


def mutant(name: str, brings_back: str, *edits: Edit, spared: str = "") -> Mutant:
    """A mutant of code that the simulation runs."""
    return Mutant(name, brings_back, edits, spared)


def mongo_mutant(
    name: str, brings_back: str, *edits: Edit, tests: tuple[str, ...] = MONGO_TESTS
) -> Mutant:
    """A mutant of the MongoDB adapter."""
    return Mutant(name, brings_back, edits, "it runs over the store in memory", tests)
