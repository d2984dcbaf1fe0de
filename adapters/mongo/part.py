"""What the parts of the store share: the collections, the breaker, how long a call may take."""

from typing import Any

from adapters.mongo.breaker import mongo_breaker
from adapters.mongo.client import Database
from utils.circuit_breaker import BreakerPolicy, CircuitBreaker

NEVER_OPENS = BreakerPolicy(failure_threshold=1000, recovery_seconds=0)


class StorePart:
    """A group of the store's methods over its collections.

    All calls go through `breaker`; one that never opens unless another is given.
    """

    def __init__(self, database: Database, breaker: CircuitBreaker | None = None) -> None:
        self.breaker = breaker or mongo_breaker(NEVER_OPENS)
        self._database = database
        self._payouts = database["payouts"]
        self._windows = database["limit_windows"]
        self._marks = database["marks"]
        self._acts = database["acts"]
        self._log = database["audit_log"]
        self._archive = database["audit_archive"]
        self._revocations = database["revocations"]
        self._lists = database["lists"]
        self._kyc = database["kyc"]
        options: Any = database.client.options  # the driver's annotation is wrong
        self.timeout_seconds: float | None = options.timeout
