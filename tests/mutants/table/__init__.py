"""All mutants, by the part of the promise that they break."""

from tests.mutants.table import deaths, limits, mongo, opening, sending, settling

MUTANTS = (
    *sending.MUTANTS,
    *deaths.MUTANTS,
    *settling.MUTANTS,
    *opening.MUTANTS,
    *limits.MUTANTS,
    *mongo.MUTANTS,
)
