"""Refusals: what they carry for the caller."""

import pytest

from models.errors import FieldProblem, InvalidRequest, PayoutError


def test_a_refusal_carries_its_code_its_sentence_and_its_figures() -> None:
    error = PayoutError("P103", "the limit is reached", field="amount", left="1.00")
    assert (error.code, error.message, error.field) == ("P103", "the limit is reached", "amount")
    assert error.extra == {"left": "1.00"}
    assert str(error) == "P103: the limit is reached"


def test_several_faults_are_one_refusal_that_the_first_one_names() -> None:
    problems = [
        FieldProblem("amount", "must be a decimal string", "P004"),
        FieldProblem("currency", "is unknown"),
    ]
    error = InvalidRequest(problems)
    assert error.problems == problems
    assert (error.code, error.message, error.field) == (
        "P004",
        "must be a decimal string",
        "amount",
    )


def test_a_refusal_needs_a_fault() -> None:
    with pytest.raises(IndexError):
        InvalidRequest([])
