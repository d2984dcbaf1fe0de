"""The one way in which the router refuses something: a code, a message, and where it applies.

The HTTP status, title, `retryable` and `recovery_action` of a code are data, in
`config/payout-error-codes.yaml`.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a payout is in its state, for people: a P-code and a sentence.

    No code where a person gave the reason.
    """

    code: str | None
    message: str


class PayoutError(Exception):
    """A refusal with a P-code.

    `field` names the request field that is at fault, `extra` holds figures that help the
    caller (a limit, what is left of it).
    """

    def __init__(self, code: str, message: str, *, field: str | None = None, **extra: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.field = field
        self.extra = extra


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One fault of one request field."""

    field: str
    message: str
    code: str = "P003"


class InvalidRequest(PayoutError):  # noqa: N818  a request, not an error of ours
    """Several faults of one request, reported together; the first one gives the code, if none is
    given for all."""

    def __init__(self, problems: list[FieldProblem], code: str | None = None) -> None:
        first = problems[0]
        super().__init__(code or first.code, first.message, field=first.field)
        self.problems = problems
