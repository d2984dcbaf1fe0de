"""A promise that is broken, and a look that needs no waiting."""

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Violation(Exception):  # noqa: N818  what is wrong, not an error of ours
    """A promise is broken; `payout_id` names whose, if it is one payout's."""

    def __init__(self, message: str, payout_id: str | None = None) -> None:
        super().__init__(message)
        self.payout_id = payout_id


def instantly(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise RuntimeError("this was to need no waiting")
