"""Who calls, and what that lets them do."""

from dataclasses import dataclass

from models.errors import PayoutError
from models.payout import Payout


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller: `may` holds the actions of the role, `scope` whose payouts.

    `scope` is "own", "node" (own, and those of `node_id`) or "all".
    """

    subject: str
    role: str
    scope: str
    may: frozenset[str]
    node_id: str | None = None
    request_id: str | None = None

    @property
    def name(self) -> str:
        """How the history names the caller."""
        return f"{self.role}:{self.subject}"

    def require(self, action: str) -> None:
        """Raise PayoutError P002 unless the role may do this."""
        if action not in self.may:
            raise PayoutError("P002", f"the role {self.role} has no permission: {action}")

    def sees(self, payout: Payout) -> bool:
        """Whether a payout is the caller's to see."""
        if self.scope == "all" or payout.client == self.subject:
            return True
        return (
            self.scope == "node"
            and self.node_id is not None
            and self.node_id == payout.order.node_id
        )
