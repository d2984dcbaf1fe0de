"""All mutants, by the part of the promise that they break."""

from tests.mutants.table import (
    access,
    auditing,
    deaths,
    deciding,
    limits,
    mongo,
    opening,
    pausing,
    sending,
    settling,
)

MUTANTS = (
    *sending.MUTANTS,
    *deaths.MUTANTS,
    *settling.MUTANTS,
    *opening.MUTANTS,
    *pausing.MUTANTS,
    *auditing.MUTANTS,
    *access.MUTANTS,
    *limits.MUTANTS,
    *deciding.MUTANTS,
    *mongo.MUTANTS,
)
