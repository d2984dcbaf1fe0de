"""The table of mutants is true to the code: each edit fits exactly once, and the rest compiles."""

from pathlib import Path

import pytest

from tests.mutants.mutant import Edit, MisfitError, Mutant
from tests.mutants.table import MUTANTS

ROOT = Path(__file__).parents[2]
LEAST = 25


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_fits_the_code(mutant: Mutant) -> None:
    for file, text in mutant.sources(ROOT).items():
        compile(text, file, "exec")
        assert text != (ROOT / file).read_text(encoding="utf-8")
    for target in mutant.tests:
        assert list(ROOT.glob(target)), target


def test_the_table() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names) >= LEAST
    edits = [mutant.edits for mutant in MUTANTS]
    assert len(set(edits)) == len(edits)


@pytest.mark.parametrize("source", ["", "here, and here"])
def test_a_text_that_is_not_there_once_is_an_error(source: str) -> None:
    with pytest.raises(MisfitError):
        Edit("some.py", "here", "there").applied(source)
